"""Scores under given and corrected test labels on the Leaderboard page."""

from collections.abc import Sequence

import streamlit as st

from dashboard.cache import results
from dashboard.cache.results import LabelPair
from dashboard.components.columns import percent_column
from dashboard.components.text import plain
from fer_core.errors import FerscopeError
from fer_core.figures.tables import label_comparison_table

TITLE = "Given and corrected labels compared"


def corrected_labels(pairs: Sequence[LabelPair]) -> None:
    """Shows every run under both labels; nothing if no benchmark corrects another here."""
    for pair in pairs:
        st.subheader(TITLE, anchor=False)
        try:
            comparison = results.label_comparison(pair)
        except FerscopeError as error:
            st.error(plain(str(error)))
            continue
        percent = percent_column()
        st.dataframe(
            label_comparison_table(comparison),
            hide_index=True,
            key=f"labels-{pair.corrected.name}",
            column_config={
                "given rank": st.column_config.NumberColumn("#", width="small"),
                "given labels": percent,
                "given interval": st.column_config.TextColumn("95% (%)"),
                "corrected rank": st.column_config.NumberColumn("# ", width="small"),
                "corrected labels": percent,
                "corrected interval": st.column_config.TextColumn("95% (%) "),
                "difference": percent,
            },
        )
        st.caption(
            f"Test accuracy of every run. {plain(comparison.base)} has the given labels "
            f"({comparison.base_images:,} images), {plain(comparison.corrected)} the corrected "
            f"ones ({comparison.corrected_images:,}): {comparison.relabelled:,} labels are "
            f"changed, {comparison.removed:,} images removed. They are two benchmarks. A score "
            "under corrected labels is too high for models that helped to propose the corrections. "
            "A run has no score on a benchmark for which it lacks predictions."
        )
        for warning in comparison.warnings:
            st.warning(f"A run is left out. {plain(warning)}", icon=":material/warning:")
