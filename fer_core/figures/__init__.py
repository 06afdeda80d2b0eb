"""Typed results as plotly figures. No streamlit, no torch."""
