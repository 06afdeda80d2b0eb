"""Charts and image overlays of results. Imports neither streamlit nor torch."""
