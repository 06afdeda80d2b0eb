"""Labelling: one face at a time, and what the labels say about the runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache import labelling as cache
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.labelling import BenchmarkPool, LabelState
from dashboard.components import chart, download, pickers, visitor
from dashboard.components.attach import need_pictures
from dashboard.components.gallery import enlarge
from dashboard.components.text import plain
from dashboard.components.tiles import tiles
from dashboard.sections import operating_point
from dashboard.state import BIND, Key
from fer_core.csv_text import csv_text
from fer_core.data.stored_pictures import Pictures
from fer_core.errors import FerscopeError
from fer_core.evaluation.few_labels.annotations import UNCLEAR, Merge, export
from fer_core.evaluation.few_labels.selection import MARGIN, WORTH_LABELS
from fer_core.figures.few_labels import selection_chart
from fer_core.reviews import PoolLabel, ReviewStore

NEXT = "next faces"
SECOND = "second opinions"
_PROBLEM = "the last label was not saved"
_SIDE = 288
_KEYS = 9


@dataclass(frozen=True)
class Task:
    """A face to label.

    Attributes:
        sample_id: The image.
        step: Number of images labelled before it; None for a second opinion.
        probability: Probability with which it was drawn; None for a second opinion.
    """

    sample_id: str
    step: int | None
    probability: float | None


def section(benchmark: Benchmark) -> None:
    """Shows the labelling view of a benchmark's test images."""
    try:
        pool = cache.label_pool(benchmark)
    except FerscopeError as error:
        st.info(plain(str(error)))
        return
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "labelling")
        return
    _known_labels(benchmark, pool)
    left, middle, right = st.columns(3)
    with left:
        annotator = st.text_input(
            "Your name", key=Key.ANNOTATOR, bind=BIND, max_chars=visitor.NAME_LIMIT,
            placeholder=visitor.ANONYMOUS,
            help="Labels are stored by annotator; the link with your name continues here.",
        ).strip() or visitor.ANONYMOUS  # fmt: skip
    with middle:
        task = pickers.switch(
            "Faces", {NEXT: NEXT, SECOND: SECOND}, Key.TASK,
            help_text="Second opinions are faces that other annotators have labelled.",
        )  # fmt: skip
    with right:
        merge = pickers.switch(
            "If annotators disagree", {item.value: item.value for item in Merge}, Key.MERGE,
            help_text="Majority: the class that most annotators gave; without one the face counts "
            "as unclear. Votes: each label counts as its share.",
        )  # fmt: skip
    _view(benchmark, pool, pictures, annotator, (task, Merge(merge)))


def _known_labels(benchmark: Benchmark, pool: BenchmarkPool) -> None:
    """Says how labels of the set are used here."""
    known = pool.pool.known_images
    if known:
        st.caption(
            f"{known:,} faces already have a label in the set. They count as labelled and are not "
            f"shown. Estimates for the other {len(pool.ids):,} faces do not use these labels, "
            "because it is not known how the labelled faces were drawn."
        )
    elif benchmark.info.labelled:
        st.caption(
            "Every face already has a label in the set, and the Leaderboard ranks the models by "
            "these labels. Use this page to check or correct them; here only your labels count."
        )


@st.fragment
def _view(
    benchmark: Benchmark,
    pool: BenchmarkPool,
    pictures: Pictures,
    annotator: str,
    options: tuple[str, Merge],
) -> None:
    """Shows the face, the buttons and the selection; runs again, alone, after each label."""
    task_kind, merge = options
    store = ReviewStore.of(benchmark.directory)
    try:
        labels = store.labels(pool.key)
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    if problem := st.session_state.pop(_PROBLEM, None):
        st.warning(plain(problem), icon=":material/warning:")
    now = cache.state(pool, labels, merge)
    left, right = st.columns([2, 3], gap="large")
    with left:
        task = _task(pool, labels, now, annotator, task_kind)
        _face(pictures, task, pool)
        _buttons(store, pool, task, annotator)
        _undo(store, [label for label in labels if label.annotator == annotator])
        _progress(pool, now)
    with right:
        _selection(benchmark, pool, now)
        _adjustment(benchmark, pool, now)
    _conflicts(now)
    _download(benchmark, pool, labels)


def _task(
    pool: BenchmarkPool, labels: Sequence[PoolLabel], now: LabelState, annotator: str, kind: str
) -> Task | None:
    """Returns the face to label; None if there is none left."""
    if kind == SECOND:
        labelled = {label.sample_id for label in labels if label.annotator == annotator}
        others = [label.sample_id for label in labels if label.sample_id not in labelled]
        return Task(others[0], None, None) if others else None
    image = now.image
    return None if image is None else Task(pool.ids[image.row], image.step, image.probability)


def _face(pictures: Pictures, task: Task | None, pool: BenchmarkPool) -> None:
    if task is None:
        st.success("There is no face left to label here.", icon=":material/check:")
        return
    picture = pictures.get(task.sample_id)
    if picture is None:
        st.caption(f"The picture of {plain(task.sample_id)} is not on this machine.")
    else:
        st.image(enlarge(picture, _SIDE), width=_SIDE, alt="The face to label")
    st.caption(plain(task.sample_id))


def _buttons(store: ReviewStore, pool: BenchmarkPool, task: Task | None, annotator: str) -> None:
    """Shows a button for each class, which the keys 1 to 9 press, and one for unclear faces."""
    options = [*enumerate(pool.classes, 1), (0, UNCLEAR)]
    for column, (number, name) in zip(tiles(len(options), "labels"), options, strict=True):
        label = None if task is None else PoolLabel(
            pool.key, task.sample_id, annotator, name, task.step, task.probability
        )  # fmt: skip
        column.button(
            plain(name) if name else "unclear",
            key=f"label-{number}",
            shortcut=str(number) if number <= _KEYS else None,
            disabled=label is None,
            on_click=_save,
            args=(store, label),
            width="stretch",
        )


def _save(store: ReviewStore, label: PoolLabel) -> None:
    try:
        store.save_label(label)
    except FerscopeError as error:
        st.session_state[_PROBLEM] = str(error)


def _undo(store: ReviewStore, labels: Sequence[PoolLabel]) -> None:
    """Shows the button that deletes the annotator's last label; its face is shown again."""
    last = max(labels, key=lambda label: (label.updated, label.step or 0), default=None)
    st.button(
        "Undo", key="undo-label", icon=":material/undo:", shortcut="z", disabled=last is None,
        on_click=_delete, args=(store, last),
        help="Deletes your last label and shows its face again.",
    )  # fmt: skip


def _delete(store: ReviewStore, label: PoolLabel) -> None:
    try:
        store.delete_label(label)
    except FerscopeError as error:
        st.session_state[_PROBLEM] = str(error)


def _progress(pool: BenchmarkPool, now: LabelState) -> None:
    labelled = now.annotations.labelled
    unclear = int((~labelled.clear).sum())
    known = pool.pool.known_images
    by_set = f" ({known:,} by the set)" if known else ""
    text = (
        f"{len(labelled) + known:,} of {len(pool.ids) + known:,} faces labelled{by_set}, "
        f"{unclear:,} unclear. "
    )
    counts = ", ".join(f"{plain(k)} {n:,}" for k, n in now.annotations.by_annotator.items())
    if counts:
        text += f"By annotator: {counts}. "
    text += (
        f"The next {WORTH_LABELS} labels are expected to improve the choice by "
        f"{100 * now.worth:.2f} points of accuracy."
    )
    st.caption(text)


def _selection(benchmark: Benchmark, pool: BenchmarkPool, now: LabelState) -> None:
    """Shows the leading run, whether labelling can stop, and all runs."""
    selection, accuracies = now.selection, now.accuracies
    titles = [benchmark.titles[run] for run in pool.runs]
    known = pool.pool.known_images
    beside = f" and {known:,} of the set" if known else ""
    leader = selection.leader
    name = plain(titles[leader])
    within = f"with {selection.within_margin:.0%} probability {name} is within " \
        f"{100 * MARGIN:.0f} point of the best"  # fmt: skip
    if selection.may_stop or now.image is None:
        st.success(f"You can stop: {within}.", icon=":material/flag:")
    else:
        st.info(f"Keep labelling: {within} so far.", icon=":material/edit:")
    chart.show(
        selection_chart(titles, selection, accuracies),
        "labelling",
        f"After {selection.labels:,} clear labels{beside}. Left: probability that a run is the "
        "best of these; the runs' consensus is the prior, and the labels update it. Right: "
        "unbiased accuracy with 95% interval; LURE weights correct for the sampling "
        "probabilities. The interval is valid if you fix the number of labels in advance, not if "
        "you decide after each label whether to stop.",
    )
    if pool.left_out:
        st.caption(f"Left out, without predictions for these images: {', '.join(pool.left_out)}.")


def _adjustment(benchmark: Benchmark, pool: BenchmarkPool, now: LabelState) -> None:
    """Shows the leading run's temperature and the set's class shares on request."""
    if not st.toggle("Confidence and classes of this set", key="show-set-calibration"):
        return
    run_id = pool.runs[now.selection.leader]
    try:
        adjustment = cache.adjustment_of(benchmark, pool, now)
        point = cache.point_of(benchmark, run_id, adjustment)
    except FerscopeError as error:
        st.caption(plain(str(error)))
        return
    verdict = "The gain is significant" if adjustment.helps else "No significant gain"
    st.markdown(plain(f"{benchmark.titles[run_id]}. {adjustment.text} {verdict}."))
    what = "faces without a label" if pool.pool.known_images else "set"
    st.table(
        {
            "class": list(pool.classes),
            f"share of the {what}": [
                f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
                for share in adjustment.shares
            ],
        }
    )
    st.caption(
        "95% intervals. To make a run with such a correction, use `python -m training adapt`."
    )
    if point is None:
        return
    if adjustment.helps:
        operating_point.offer(point)
    else:
        st.caption("Without a significant gain there is no operating point to save.")


def _conflicts(now: LabelState) -> None:
    conflicts = now.annotations.conflicts
    if not conflicts:
        return
    count = len(conflicts)
    title = "1 face has" if count == 1 else f"{count:,} faces have"
    with st.expander(f"{title} different labels", icon=":material/group:"):
        st.table({"face": [plain(item.sample_id) for item in conflicts],
                  "labels": [plain(item.text) for item in conflicts]})  # fmt: skip


def _download(benchmark: Benchmark, pool: BenchmarkPool, labels: Sequence[PoolLabel]) -> None:
    """Shows the button that exports the labels, and how they are read back."""
    if not labels:
        return
    download.button(
        "Download the labels (csv)",
        lambda: csv_text(export(labels, pool.classes)),
        "labels.csv",
    )
    st.caption(
        "Put the file beside the pictures and run `python -m training prepare FOLDER` to make a "
        "benchmark with these labels."
    )
