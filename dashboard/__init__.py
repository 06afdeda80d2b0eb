"""The Streamlit application; start it with `streamlit run dashboard/app.py`."""
