"""The sections of the start page: the verdict, its reasons and its limits."""

import json
from collections.abc import Iterable, Sequence
from html import escape

import streamlit as st

from dashboard import pages
from dashboard.cache import benchmarks
from dashboard.cache import verdict as cache
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download, viewer
from dashboard.components.gallery import Card, gallery
from dashboard.components.text import plain
from dashboard.state import ONLY_CHANGED, Key
from fer_core.evaluation import verdict_text
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.verdict import Verdict
from fer_core.evaluation.verdict_json import verdict_json
from fer_core.evaluation.weaknesses import confused_images, errors_in_slice
from fer_core.figures.palette import class_colour

FACES = 5
"""Faces of each slice and confusion."""


def sentence(verdict: Verdict) -> None:
    """Shows the verdict in one sentence, what test says against it, and the main numbers."""
    st.html(f'<p class="fs-verdict">{escape(verdict_text.headline(verdict))}</p>')
    doubt = verdict_text.licence_warning(verdict)
    for text in (*verdict_text.contradictions(verdict), doubt, *verdict.warnings):
        if text:
            st.warning(plain(text), icon=":material/warning:")
    for step in verdict_text.next_steps(verdict):
        st.markdown(f"- {plain(step.text)}")
        if step.command:
            st.code(step.command, language="bash")
    pick = verdict.recommended
    if pick is None:
        return
    with st.container(key="verdict-cards"):
        _estimate("Accuracy", pick.accuracy)
        _estimate("Macro-recall", pick.macro_recall)
        _metric(
            "Latency",
            verdict_text.ms_text(pick.milliseconds),
            f"Median per cropped face, without face detection, {verdict.device or 'not measured'}",
        )
        _metric(
            "Size",
            verdict_text.mb_text(pick.megabytes),
            f"Weight files. Licence: {verdict_text.licence_text(pick)}",
        )
    st.caption(
        f"On test: accuracy {pick.accuracy.text}, macro-recall {pick.macro_recall.text}, with 95% "
        "bootstrap intervals. The model was chosen on validation. "
        f"{plain(' '.join((*verdict_text.notes(verdict), verdict_text.transfer_note(verdict))))}"
    )


def links(benchmark: Benchmark, verdict: Verdict) -> None:
    """Shows links that open the recommended model."""
    pick = verdict.recommended
    with st.container(horizontal=True):
        if pick is not None:
            query = pages.run_query(benchmark.info.name, pick.run_id)
            everywhere = pages.run_query(benchmark.info.name, pick.run_id, {Key.WHERE: ""})
            pages.link("run", "Its page", query)
            pages.link("confusion", "Its confusion matrix", everywhere)
            test = cache.candidate(benchmark, pick.run_id).test
            pages.link("errors", f"Its {int((~test.right).sum()):,} errors", everywhere)
            pages.link("trust", "Its calibration and slices", query)
            pages.link("compare", "Try it on a face", query)


def downloads(benchmark: Benchmark, verdict: Verdict, point: OperatingPoint | None) -> None:
    """Shows the downloads of the verdict.

    Args:
        benchmark: The benchmark.
        verdict: The verdict.
        point: Operating point of the recommended model; None without one.
    """
    content = json.dumps(verdict_json(verdict, point), indent=2)
    with st.container(horizontal=True):
        download.button(
            "PDF",
            cache.pdf(verdict, point, content),
            f"{benchmark.info.name}-verdict.pdf",
            icon=":material/picture_as_pdf:",
            help="Two pages with the same numbers, and the operating point if one is chosen: "
            "`python -m training recommend --pdf`.",
        )
        download.button(
            "JSON",
            content,
            f"{benchmark.info.name}-verdict.json",
            help="The same as `python -m training recommend --json`.",
        )


def reasons(verdict: Verdict) -> None:
    """Shows why each other model is not recommended."""
    recommendation = verdict.recommendation
    rows = [
        (item.title, verdict_text.reason(item, recommendation)) for item in recommendation.others
    ]
    rows += verdict_text.not_compared(verdict)
    _list(f"<b>{escape(title)}</b>: {escape(text)}" for title, text in rows)


def failures(benchmark: Benchmark, verdict: Verdict) -> None:
    """Shows the worst slices and confusions of the recommended model, with faces and links."""
    pick, weak = verdict.recommended, verdict.weaknesses
    if pick is None or weak is None:
        return
    st.session_state.pop(Key.WHERE, None)  # a filter of another page would hide linked images
    test, groups = cache.candidate(benchmark, pick.run_id).test, cache.facets_of_test(benchmark)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Worst slices**")
        for number, part in enumerate(weak.slices):
            st.markdown(plain(part.statement))
            _faces(benchmark, test, errors_in_slice(test, groups, part), f"slice-{number}")
            where = [f"{facet}: {group}" for facet, group in part.conditions]
            query = pages.run_query(benchmark.info.name, pick.run_id, {Key.WHERE: where})
            pages.link("errors", f"Open its {part.errors:,} errors", query)
        if not weak.slices:
            st.caption("No group of images has more errors than the others.")
    with right:
        st.markdown("**Most costly confusions**")
        for number, confusion in enumerate(weak.confusions):
            st.markdown(plain(verdict_text.confusion_text(confusion)))
            _faces(benchmark, test, confused_images(test, confusion), f"confusion-{number}")
            cell: pages.Query = {
                Key.TRUE: confusion.truth,
                Key.PREDICTED: confusion.predicted,
                Key.WHERE: "",  # clears a filter that another page left
            }
            query = pages.run_query(benchmark.info.name, pick.run_id, cell)
            pages.link("confusion", f"Open these {confusion.images:,} images", query)
        if not weak.confusions:
            st.caption("This model makes no error on test.")
    if weak.drawn_faces:
        st.markdown(f"**Drawn faces.** {plain(weak.drawn_faces)}")
        query = pages.run_query(benchmark.info.name, pick.run_id, {Key.PROBE: ONLY_CHANGED})
        pages.link("response_curves", "What changes its predictions", query)


def limits(verdict: Verdict) -> None:
    """Shows what the data cannot tell."""
    _list(escape(text) for text in verdict_text.limits(verdict))


def _estimate(label: str, estimate: Estimate) -> None:
    low, high = 100 * estimate.low, 100 * estimate.high
    _metric(label, f"{estimate.value:.1%}", f"95% interval {low:.1f} to {high:.1f} %")


def _metric(label: str, value: str, help_text: str) -> None:
    st.metric(label, value, help=help_text, border=True)


def _faces(
    benchmark: Benchmark, test: SplitPredictions, positions: Sequence[int], key: str
) -> None:
    """Shows the first faces of a list of test images, which the sample viewer walks through.

    Shows nothing if the pictures are not on this machine.
    """
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        return
    names, predicted = test.labels.names, test.predicted
    cards = [
        Card(
            picture,
            names[predicted[position]],
            f"true: {names[test.truth[position]]}",
            class_colour(names[test.truth[position]], names),
            str(test.ids[position]),
        )
        for position in positions[:FACES]
        if (picture := pictures.get(str(test.ids[position]))) is not None
    ]
    if cards:
        gallery(cards, side=62, key=key, on_open=viewer.open_sample)
    viewer.offer(benchmark, test.ids[list(positions)], names)


def _list(items: Iterable[str]) -> None:
    """Shows a list; the items are HTML."""
    st.html(f'<ul class="fs-reasons">{"".join(f"<li>{item}</li>" for item in items)}</ul>')
