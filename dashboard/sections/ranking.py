"""The section of the Leaderboard page on the uncertainty of the ranking."""

import streamlit as st

from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart, pickers
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.evaluation.ranking import DRAWS, Doubt, Ranking
from fer_core.evaluation.scope import Scope
from fer_core.figures import ranking as figures

_TITLES = {
    Doubt.IMAGES: "Images",
    Doubt.ANNOTATORS: "Annotators",
    Doubt.SEEDS: "Seeds",
}
_MEANING = {
    Doubt.IMAGES: "the {over} are resampled with replacement",
    Doubt.ANNOTATORS: "the votes of each image are resampled from its vote shares, and the "
    "majority is its label",
    Doubt.SEEDS: "one of the seeds of each recipe is drawn",
}
_NEEDS = {
    Doubt.ANNOTATORS: "resampling annotators needs a benchmark with votes",
    Doubt.SEEDS: "resampling seeds needs a recipe that was trained with several seeds",
}
_ALL = "all"


def ranking(benchmark: Benchmark, scope: Scope) -> None:
    """Shows how certain the order of the models is under resampled images, votes and seeds."""
    doubts = results.doubts(benchmark, scope)
    options = {doubt.value: _TITLES[doubt] for doubt in doubts}
    if len(doubts) > 1:
        options[_ALL] = "All together"
    choice = pickers.switch(
        "Resampled",
        options,
        Key.DOUBT,
        help_text="Source of uncertainty in the ranking.",
    )
    resampled = doubts if choice == _ALL else (Doubt(choice),)
    drawn = results.ranking(benchmark, scope, resampled)
    names = _names(benchmark, drawn)
    titles = list(names.values())
    over = results.board(benchmark, scope).results.resampled
    st.caption(_sentence(drawn, titles, resampled, over))
    chart.show(
        figure(figures.place_bars, drawn, names, benchmark.colours),
        "places",
        "How often each model has each rank in the resamples, one row per rank.",
    )
    chart.show(
        figure(figures.beats_heatmap, drawn, titles),
        "beats",
        "Share of the resamples in which the model of the row is more accurate than that of the "
        "column.",
    )
    missing = [need for doubt, need in _NEEDS.items() if doubt not in doubts]
    if missing:
        st.caption(f"Not resampled here: {'; '.join(missing)}.")


def _names(benchmark: Benchmark, drawn: Ranking) -> dict[str, str]:
    """Returns the shown name of each recipe; several seeds of one are not told apart."""
    return {
        run_id: benchmark.titles[run_id]
        if seeds == 1
        else f"{benchmark.run(run_id).info.title}, {seeds} seeds"
        for run_id, seeds in zip(drawn.runs, drawn.seeds, strict=True)
    }


def _sentence(drawn: Ranking, titles: list[str], resampled: tuple[Doubt, ...], over: str) -> str:
    meaning = "; ".join(_MEANING[doubt].format(over=over) for doubt in resampled)
    sentence = (
        f"{plain(titles[0])} ranks first in {drawn.places[0, 0]:.0%} of {DRAWS:,} draws, in "
        f"which {meaning}."
    )
    if len(titles) > 1:
        sentence += (
            f" It is more accurate than {plain(titles[1])} in {drawn.beats[0, 1]:.0%} of them. "
            "The model that ranks first on these images also ranks first in most of their "
            "resamples, so this is no significance test: for that, see the tiers."
        )
    if max(drawn.seeds) > 1 and Doubt.SEEDS not in resampled:
        sentence += " The accuracy of a recipe with several seeds is the mean over its runs."
    return sentence
