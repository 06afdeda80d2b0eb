"""The Streamlit application; start it with `streamlit run dashboard/Home.py`."""
