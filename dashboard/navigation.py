"""The pages, in the order a visitor meets them."""

import streamlit as st

from dashboard import theme
from dashboard.components import pickers


def run() -> None:
    """Shows navigation, the benchmark picker and the chosen page."""
    theme.apply()
    page = st.navigation(
        {
            "": [
                st.Page("views/overview.py", title="Overview", icon=":material/home:", default=True)
            ],
            "Data": [
                st.Page(
                    "views/explorer.py", title="Dataset explorer", icon=":material/photo_library:"
                ),
                st.Page("views/quality.py", title="Data quality", icon=":material/rule:"),
            ],
            "Results": [
                st.Page("views/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
                st.Page("views/confusion.py", title="Confusion matrix", icon=":material/grid_on:"),
                st.Page(
                    "views/errors.py", title="Error explorer", icon=":material/search_insights:"
                ),
                st.Page(
                    "views/head_to_head.py", title="Head to head", icon=":material/compare_arrows:"
                ),
                st.Page("views/trust.py", title="Trust", icon=":material/verified_user:"),
            ],
            "Explain": [
                st.Page("views/features.py", title="Feature maps", icon=":material/layers:"),
                st.Page("views/saliency.py", title="Saliency lab", icon=":material/biotech:"),
                st.Page(
                    "views/regions.py", title="Where models look", icon=":material/visibility:"
                ),
            ],
            "Try": [
                st.Page(
                    "views/compare.py",
                    title="Compare on a face",
                    icon=":material/familiar_face_and_zone:",
                )
            ],
            "Runs": [
                st.Page("views/monitor.py", title="Training monitor", icon=":material/monitoring:")
            ],
        },
        expanded=True,  # a page behind "View more" is a page that nobody finds
    )
    with st.sidebar:
        pickers.benchmark_picker()
    page.run()
    with st.sidebar:
        st.caption(
            "FERscope measures classifiers of facial expressions. It does not read minds and "
            "makes no diagnosis."
        )
