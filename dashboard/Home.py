"""FERscope's dashboard: `streamlit run dashboard/Home.py`."""

import sys
from pathlib import Path

import streamlit as st

# `streamlit run` puts this folder on the path, not the project's root. This line makes the
# imports work where only requirements.txt was installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboard import navigation, theme

st.set_page_config(page_title="FERscope", page_icon=theme.ICON, layout="wide")
navigation.run()
