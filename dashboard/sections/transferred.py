"""Results of a transferred set on the page Your faces."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import pages
from dashboard.cache import transfers
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart, pickers
from dashboard.components.columns import percent_column
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.evaluation.estimate_trust import LABELS_ENOUGH
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.shift import DistributionShift, RunShift, ShiftReport
from fer_core.evaluation.shift_causes import EXPECTED_MISPLACED
from fer_core.figures import transfers as figures

_EXPECTED_BEYOND = 0.02

LINKED = (
    ("leaderboard", "all metrics, with intervals"),
    ("confusion", "click a cell to see its faces"),
    ("errors", "a model's errors, most confident first"),
    ("trust", "calibration and selective prediction"),
    ("explorer", "the faces, by brightness, contrast and size"),
    ("saliency", "what a model looks at"),
)


def summary(benchmark: Benchmark) -> None:
    """Shows how many faces and labels the set has, and how its classes were mapped."""
    info = benchmark.info
    with st.container(horizontal=True):
        st.metric("Faces", f"{info.labelled + info.unlabelled:,}", border=True, width=180)
        st.metric("Labelled", f"{info.labelled:,}", border=True, width=180)
        st.metric("Models", f"{len(benchmark.runs):,}", border=True, width=180)
    origin = info.transferred_from
    if origin is not None and origin.classes:
        with st.expander("How its classes were mapped"):
            st.dataframe(
                pd.DataFrame(
                    {
                        "class of the set": list(origin.classes),
                        "class of the benchmark": [
                            target or "left out" for target in origin.classes.values()
                        ],
                    }
                ),
                hide_index=True,
                key="class-mapping",
            )
    if info.skipped or info.excluded:
        count = len(info.skipped) + sum(info.excluded.values())
        with st.expander(f"{count:,} pictures are not used. See why"):
            lines = [f"{name}: {why}" for name, why in list(info.skipped.items())[:100]]
            lines += [f"{number:,} pictures: {why}" for why, number in info.excluded.items()]
            st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def report(benchmark: Benchmark) -> ShiftReport:
    """Returns what changed; if it is not written yet, says so and stops the page."""
    shift = transfers.shift(benchmark)
    if shift is None:
        st.info("The comparison with the benchmark is not finished yet.")
        st.stop()
    return shift


def runs(benchmark: Benchmark, report: ShiftReport) -> None:
    """Shows each run's accuracy on the benchmark and on the set."""
    titles = benchmark.titles
    ordered = _best_first([run for run in report.runs if run.run_id in titles])
    st.markdown(f"**{plain(report.sentence)}**")
    trusted = report.trusted
    chart.show(
        figures.accuracy_change(ordered, titles, estimates=trusted),
        "accuracy-change",
        _accuracy_caption(report),
    )
    table = pd.DataFrame([_run_row(run, titles[run.run_id], trusted=trusted) for run in ordered])
    st.dataframe(
        table.dropna(axis="columns", how="all"),
        hide_index=True,
        column_config={
            name: percent_column()
            for name in ("on the benchmark", "classes of the set only", "estimate without labels")
        },
        key="transferred-runs",
    )
    if any(run.ece is not None for run in ordered):
        st.caption(_ece_caption(ordered))
    if report.missing_classes and report.labelled:
        st.caption(
            f"No labelled face is {plain(', '.join(report.missing_classes))}. In `accuracy` a "
            "prediction of these classes is wrong; in `classes of the set only` their probability "
            "is left out and the rest renormalised."
        )
    if report.ranking is not None:
        st.caption(report.ranking.text)


def _accuracy_caption(report: ShiftReport) -> str:
    if not report.labelled:
        return "Accuracy on the benchmark. No face of this set is labelled."
    how = "95% Wilson intervals"
    if report.persons is not None and report.persons > 1:
        how = (
            f"95% intervals over {report.persons:,} persons (bootstrap; at least as wide as "
            "Wilson's)"
        )
    return (
        f"Accuracy on {report.labelled:,} labelled faces with {how}, beside the benchmark's test "
        "split."
    )


def persons(benchmark: Benchmark, report: ShiftReport) -> None:
    """Shows a run's accuracy by person, where persons are known."""
    if not report.labelled or report.persons is None or report.persons < 2:
        return
    known = set(benchmark.titles)
    runs = [run.run_id for run in _best_first(report.runs) if run.run_id in known]
    st.markdown("**Accuracy by person**")
    run_id = pickers.run_picker(benchmark, runs)
    found = transfers.by_person(benchmark, benchmark.run(run_id))
    if found is None:
        st.caption("The predictions of this model cannot be read.")
        return
    table = found.table.rename(columns={"images": "labelled faces", "low": "from", "high": "to"})
    st.dataframe(
        table,
        hide_index=True,
        column_config={name: percent_column() for name in ("accuracy", "from", "to")},
        key="by-person",
    )
    st.caption(
        f"{found.text} From and to are 95% Wilson intervals. Persons also differ in the classes "
        "that their pictures show."
    )


def _best_first(rows: Sequence[RunShift]) -> list[RunShift]:
    def value(run: RunShift) -> float:
        return run.estimate if run.accuracy is None else run.accuracy.value

    return sorted(rows, key=lambda run: -value(run))


def _run_row(run: RunShift, title: str, *, trusted: bool) -> dict[str, object]:
    return {
        "model": title,
        "accuracy": _text(run.accuracy),
        "on the benchmark": run.benchmark_accuracy,
        "classes of the set only": None
        if run.accuracy_present is None
        else run.accuracy_present.value,
        "ECE": None if run.ece is None else round(run.ece, 3),
        "ECE by chance": None if run.ece_by_chance is None else round(run.ece_by_chance, 3),
        "ECE on the benchmark": round(run.benchmark_ece, 3),
        "estimate without labels": run.estimate if trusted else None,
    }


def _ece_caption(runs: Sequence[RunShift]) -> str:
    text = "ECE is larger in a small set even if the model is calibrated as on the benchmark."
    if any(run.ece_by_chance is not None for run in runs):
        text += (
            " Compare `ECE` with `ECE by chance`: on random samples of as many images of the "
            "benchmark, the ECE is at most this in 95% of the cases."
        )
    return text


def _text(accuracy: Estimate | None) -> str:
    return "no labels" if accuracy is None else accuracy.text


def causes(report: ShiftReport) -> None:
    """Shows what explains the change of accuracy."""
    if any(cause.points is not None for cause in report.causes):
        chart.show(
            figures.causes_chart(report.causes),
            "causes",
            "Points of accuracy that each cause explains, averaged over models. Causes overlap, so "
            "the points need not add up. A negative value means that the loss would be larger "
            "without it.",
        )
    for cause in report.causes:
        st.markdown(f"- **{plain(cause.name)}**: {plain(cause.text)}")
    if report.outside is not None:
        st.caption(
            f"{report.outside:.1%} of the faces have a larger embedding distance than 99% of the "
            f"benchmark's faces (features of {plain(report.outside_run or '')}); 1% is expected."
        )
    if report.agreement is not None and report.benchmark_agreement is not None:
        st.caption(
            f"Two networks agree on {report.agreement:.1%} of these faces, and on "
            f"{report.benchmark_agreement:.1%} of the benchmark's validation images."
        )


def classes(report: ShiftReport) -> None:
    """Shows class shares of the benchmark and of the set, labelled and estimated."""
    moved = max(report.classes, key=lambda row: abs(row.bbse[0] - row.benchmark))
    chart.show(
        figures.class_shares(report.classes),
        "class-shares",
        f"Class shares. The largest estimated change is {plain(moved.label)}: "
        f"{moved.benchmark:.0%} in the benchmark, {moved.bbse[0]:.0%} here (BBSE, 95% interval "
        f"{moved.bbse[1]:.0%} to {moved.bbse[2]:.0%}). BBSE and EM use no label, and assume that "
        "faces of a class look as in the benchmark. EM also assumes that the probabilities are "
        "calibrated for each class; it has no interval.",
    )
    for sentence in report.contradicted_shares:
        st.warning(plain(sentence), icon=":material/warning:")


def distributions(report: ShiftReport) -> None:
    """Shows light, sharpness, size and framing of the faces beside the benchmark's."""
    rows = [(row, _EXPECTED_BEYOND) for row in report.pictures]
    rows += [(row, EXPECTED_MISPLACED) for row in report.framing]
    columns = st.columns(2, gap="large")
    for index, (row, expected) in enumerate(rows):
        text = _caption(row, expected)
        with columns[index % 2]:
            chart.show(figures.distribution(row), f"distribution-{row.name}", text)


def _caption(row: DistributionShift, expected: float) -> str:
    title = f"{row.title[0].upper()}{row.title[1:]}"
    return (
        f"{title}: {row.outside:.0%} of {row.faces:,} faces lie outside the benchmark's 1% to 99% "
        f"quantiles ({expected:.0%} expected). Boxes are quartiles, lines 5% to 95%."
    )


def estimates(benchmark: Benchmark, report: ShiftReport) -> None:
    """Shows estimates of accuracy without labels, if they can be trusted, and their checks."""
    if report.trusted:
        error, known = report.error, ""
        if report.margin is not None:
            known += (
                " If the set differs from the benchmark no more than the benchmark's slices do, "
                f"the estimates of all runs are within {100 * report.margin:.1f} points of the "
                "true accuracy with 95% probability. This margin includes the sampling error of "
                "the set and of validation, and the error of the methods in the checks."
            )
        if error is not None:
            of_sets = "" if error.sets is None else f", of several runs on {error.sets} sets,"
            known += (
                f" In {error.checks:,} checks{of_sets} with signals like these, the estimate was "
                f"off by {100 * error.mean:.1f} points on average, and by at most "
                f"{100 * error.most:.1f} in 95% of them."
            )
        st.success(
            f"The estimate can be used here.{known} It is an estimate, not a measurement.",
            icon=":material/query_stats:",
        )
    else:
        st.warning(
            "An estimate without labels **cannot be trusted here**, so none is shown:\n"
            + "\n".join(f"- {plain(reason)}" for reason in report.reasons)
            + f"\n\n{LABELS_ENOUGH}",
            icon=":material/block:",
        )
    _methods(benchmark, report)
    origin = benchmark.directory.origin
    checks = None if origin is None else transfers.estimate_checks(origin)
    if checks is not None:
        chart.show(
            figures.estimate_checks(checks),
            "estimate-checks",
            f"Estimates where labels exist: {checks['set'].nunique()} shifted sets of validation "
            "images and drawn (synthetic) faces, one point per model. The signals of orange and "
            "green sets are within the limits; green sets are also at most 5 points off with 95% "
            "probability, computed from the other sets. The estimates use half of validation, so "
            "fewer sets are green than with all of it; no test image was used.",
        )


def _methods(benchmark: Benchmark, report: ShiftReport) -> None:
    if not report.trusted:
        return
    titles = benchmark.titles
    rows = [
        {"model": titles[run.run_id], **run.estimates, "shown": run.estimate}
        for run in _best_first([run for run in report.runs if run.run_id in titles])
    ]
    table = pd.DataFrame(rows)
    st.dataframe(
        table,
        hide_index=True,
        column_config={name: percent_column() for name in table.columns if name != "model"},
        key="estimates",
    )
    st.caption(
        "Thresholded confidence: Garg et al. 2022. Difference of confidences: Guillory et al. "
        "2021. Disagreement: Baek et al. 2022. Label-shift model: the recalls on validation, "
        "weighted by the estimated class shares. `shown` is the mean of the first and the last."
    )


def links(benchmark: Benchmark) -> None:
    """Links to the pages of results with this set."""
    for page, text in LINKED:
        pages.described_link(page, text, {Key.BENCHMARK: benchmark.info.name})
