"""The sections of the Trust page."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.cache.results import Board, CalibrationResults, HumanComparison
from dashboard.components import chart, opening_table, pending, pickers
from dashboard.components.columns import percent_column
from dashboard.components.opening_table import TableTarget
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.evaluation.calibration import Binning
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.leaderboard_columns import label_of
from fer_core.evaluation.person_accuracy import PersonAccuracy
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.run_evaluation import RISKS
from fer_core.evaluation.significance import p_text
from fer_core.evaluation.slices import PERSON, Slice
from fer_core.figures import tables
from fer_core.figures import trust as figures
from fer_core.figures.palette import class_colour

ALL_CORRUPTIONS = "all corruptions"
SHOWN_SLICES = 6
_UNCALIBRATED_COLOUR, _SCALED_COLOUR = "#d55e00", "#0b7a5c"
_ROBUSTNESS = ("corrupted_accuracy", "accuracy_retained", "mce", "relative_mce")


def reliability(
    benchmark: Benchmark, board: Board, run_id: str, calibration: CalibrationResults
) -> None:
    """Shows reliability diagrams of a run: of its confidence, and of one class."""
    binning = Binning(
        pickers.switch(
            "Bins",
            {str(binning): str(binning) for binning in Binning},
            Key.BINS,
            help_text="Equal width: bins cover equal ranges of confidence. Adaptive: bins have "
            "equal numbers of images.",
        )
    )
    left, right = st.columns(2, gap="large")
    with left:
        curves = dict(
            zip(("uncalibrated", "temperature scaled"), calibration.curves[binning], strict=True)
        )
        colours = {
            "uncalibrated": _UNCALIBRATED_COLOUR,
            "temperature scaled": _SCALED_COLOUR,
        }
        chart.show(
            figure(figures.reliability_diagram, curves, colours),
            "reliability",
            "Accuracy by confidence; larger dots have more images. Dotted line: perfect "
            "calibration; above it the model is underconfident, below it overconfident. Bars: 95% "
            "intervals.",
        )
    with right:
        label = _curve_class(board.aligned.labels.names)
        chart.show(
            figure(
                figures.reliability_diagram,
                {label: calibration.by_class[label, binning]},
                {label: class_colour(label, benchmark.info.labels)},
            ),
            "reliability-class",
            f"Share of images labelled {plain(label)} by the predicted probability of "
            f"{plain(label)}, over all images.",
        )


def _curve_class(names: Sequence[str]) -> str:
    """Shows the picker of the class of the second diagram."""
    former = st.query_params.get(Key.LABEL)  # the key in addresses of earlier versions
    if former in names and Key.CURVE_CLASS not in st.session_state:
        st.session_state[Key.CURVE_CLASS] = former
    return st.selectbox("Class", names, key=Key.CURVE_CLASS, bind=BIND)


def calibration_table(calibration: CalibrationResults) -> None:
    """Shows calibration before and after temperature scaling."""
    before, after = calibration.before, calibration.after
    rows = {
        "ECE": (_error(before.ece), _error(after.ece)),
        "adaptive ECE": (_error(before.adaptive_ece), _error(after.adaptive_ece)),
        "Brier score": (f"{before.brier:.3f}", f"{after.brier:.3f}"),
        "log loss": (f"{before.log_loss:.3f}", f"{after.log_loss:.3f}"),
    }
    st.table(pd.DataFrame(rows, index=["uncalibrated", "temperature scaled"]).T)


def _error(error: Estimate) -> str:
    return f"{error.value:.3f} ({error.low:.3f} to {error.high:.3f})"


def temperature_sentence(title: str, calibration: CalibrationResults, origin: str = "") -> str:
    """Describes what the fitted temperature says about a model.

    Args:
        title: The model's display name.
        calibration: The model's calibration.
        origin: The benchmark whose validation split gave the temperature, on a transferred set.
    """
    temperature = calibration.temperature
    if temperature is None:
        return "No temperature was fitted: the run has no validation predictions of these classes."
    if abs(temperature - 1) < 0.05:
        meaning = "its confidence needs hardly any correction"
    elif temperature > 1:
        meaning = "it is overconfident"
    else:
        meaning = "it is underconfident"
    where = f"validation of {plain(origin)}" if origin else "validation"
    return (
        f"The temperature of {plain(title)}, fitted on {where}, is {temperature:.2f}: "
        f"{meaning}{' there' if origin else ''}. {_calibration_here(calibration) if origin else ''}"
        "Scaling changes confidences but no predicted class. Test images are not used in the fit. "
        "ECE is the mean gap between confidence and accuracy, with 95% bootstrap intervals."
    )


def _calibration_here(calibration: CalibrationResults) -> str:
    """Returns sentences on the mean confidence on a transferred set, by its own labels."""
    accuracy, (before, after) = calibration.accuracy, calibration.confidence
    if accuracy is None:
        return ""
    return (
        f"This set's own labels: accuracy {accuracy.text}, mean confidence {before:.0%} "
        f"uncalibrated ({_confidence_as(before, accuracy)}) and {after:.0%} temperature scaled "
        f"({_confidence_as(after, accuracy)}). "
    )


def _confidence_as(confidence: float, accuracy: Estimate) -> str:
    if confidence > accuracy.high:
        return "overconfident here"
    if confidence < accuracy.low:
        return "underconfident here"
    side = "above" if confidence > accuracy.value else "below"
    return f"{side} the accuracy, but inside its interval"


def selective_prediction(benchmark: Benchmark, entries: Mapping[str, Entry]) -> None:
    """Shows risk-coverage curves, and each model's coverage at several risks."""
    titles = benchmark.titles
    chart.show(
        figure(
            figures.risk_coverage_chart,
            {run_id: entry.evaluation.risk_coverage for run_id, entry in entries.items()},
            titles,
            benchmark.colours,
        ),
        "risk-coverage",
        "Error rate (risk) if the model predicts only its most confident images and abstains on "
        "the others, by the share that it predicts (coverage).",
    )
    rows = [
        {"model": titles[run_id], "AURC": entry.values["aurc"]}
        | {_risk_title(risk): share for risk, share in entry.evaluation.coverage_at_risk.items()}
        for run_id, entry in entries.items()
    ]
    percent = percent_column()
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="coverage",
        column_config={
            "AURC": st.column_config.NumberColumn(
                format="%.4f", help="Area under the risk-coverage curve; lower is better."
            ),
            **{_risk_title(risk): percent for risk in RISKS},
        },
    )
    st.caption(
        "Coverage at a risk: the largest share of images, most confident first, with at most that "
        "error rate. These values hold for the scored images; for new images, choose the "
        "confidence threshold on validation."
    )


def _risk_title(risk: float) -> str:
    return f"coverage at {risk:.0%} risk"


def human_agreement(comparison: HumanComparison, title: str) -> None:
    """Shows a model compared with the annotators."""
    votes, agreement = comparison.votes, comparison.agreement
    left, right = st.columns([3, 2], gap="large")
    with left:
        chart.show(
            figure(figures.agreement_bars, comparison.by_agreement),
            "agreement",
            "Accuracy by the share of annotators who chose the most frequent class. Where "
            "annotators disagree, the label itself is uncertain.",
        )
    with right:
        if agreement is not None:
            st.metric(
                "One annotator",
                f"{agreement.annotator:.1%}",
                help="How often one left-out annotator agrees with the majority of the others.",
                border=True,
            )
            st.metric(
                plain(title),
                f"{agreement.model:.1%}",
                help="How often the model agrees with the same majorities.",
                border=True,
            )
        supported = votes.supported_errors
        st.metric(
            "Annotator-supported errors",
            "none" if pd.isna(supported) else f"{supported:.0%}",
            help="Share of the errors whose predicted class at least one annotator chose.",
            border=True,
        )
        st.caption(
            f"Distance to the distribution of votes: {votes.distance:.3f} (Jensen-Shannon, 0 to "
            f"1). Log loss against the votes: {votes.cross_entropy:.3f}; the votes' entropy, "
            f"{votes.vote_entropy:.3f}, is its lower bound."
        )


def slices(tested: Sequence[Slice], run_id: str) -> None:
    """Shows the slices on which a model has more errors than on the other images.

    Args:
        tested: The slices, most significant first.
        run_id: The model, whose errors on a slice a click on its numbers opens.
    """
    significant = [item for item in tested if item.significant]
    if not significant:
        st.info("No slice has significantly more errors, corrected for the number of slices.")
    for item in significant[:SHOWN_SLICES]:
        st.markdown(f"- {plain(item.statement)}")
    if not tested:
        return
    rows = pd.DataFrame(
        {
            "slice": item.name,
            "images": item.samples,
            "error rate": item.rate,
            "error rate elsewhere": item.elsewhere,
            "at the same class frequencies": item.same_classes,
            "p": p_text(item.p_value),
            "corrected p": p_text(item.adjusted),
            "significant": item.significant,
        }
        for item in tested
    )
    percent = percent_column()

    def opens(number: int, column: str) -> TableTarget:
        where = [f"{facet}: {group}" for facet, group in tested[number].conditions]
        page = "confusion" if column == "images" else "errors"
        return TableTarget(page, {Key.RUN: run_id, Key.WHERE: where})

    shares = ("error rate", "error rate elsewhere", "at the same class frequencies")
    opening_table.show(rows, opens, "slices", dict.fromkeys(shares, percent))
    st.caption(
        "Click a number of images to open the slice's confusion matrix, or any other number to "
        "list its errors. Tested: every property and every intersection of two with at least 30 "
        "images (Fisher's exact test, one-sided, Holm's correction). A slice must also be worse "
        "than other images of the same classes (Mantel-Haenszel test), and an intersection worse "
        "than both of its properties. The tests treat images as independent, also those of one "
        "person. The Confusion matrix and the Error explorer can filter by these properties."
    )


def persons(by_person: PersonAccuracy, run_id: str) -> None:
    """Shows a model's accuracy by person; a click on a number opens the person's images."""
    st.markdown("**Accuracy by person**")
    rows = by_person.table.rename(columns={"low": "from", "high": "to"})

    def opens(number: int, column: str) -> TableTarget:
        page = "confusion" if column == "images" else "errors"
        where = [f"{PERSON}: {rows['person'].iloc[number]}"]
        return TableTarget(page, {Key.RUN: run_id, Key.WHERE: where})

    shares = dict.fromkeys(("accuracy", "from", "to"), percent_column())
    opening_table.show(rows, opens, "persons", shares)
    st.caption(
        f"{by_person.text} From and to are 95% Wilson intervals. Persons are those of the column "
        "`group`, which in some formats names an original with its copies."
    )


def robustness(benchmark: Benchmark, entries: Mapping[str, Entry]) -> None:
    """Shows accuracy on corrupted images, or the command that measures it."""
    measured = {
        run_id: entry.robustness_table
        for run_id, entry in entries.items()
        if entry.robustness_table is not None
    }
    if not measured:
        pending.show_command(
            benchmark,
            "Robustness is not measured yet; it takes minutes for each model.",
            f"python -m training robustness {benchmark.info.name}",
            "trust",
        )
        return
    names = sorted({name for table in measured.values() for name in table["corruption"]})
    corruption = st.selectbox(
        "Corruption",
        [ALL_CORRUPTIONS, *(name for name in names if name != "clean")],
        format_func=tables.corruption_title,
        key=Key.CORRUPTION,
        bind=BIND,
        width=280,
    )
    chart.show(
        figure(
            figures.corruption_curves,
            measured,
            benchmark.titles,
            benchmark.colours,
            None if corruption in (None, ALL_CORRUPTIONS) else corruption,
        ),
        "corruption",
        "Accuracy by severity, from 0 (clean) to 5, on corrupted test images of all classes; the "
        "evaluation set and classes picked above do not apply.",
    )
    _corruption_tables(benchmark, [entries[run_id] for run_id in measured])


def framing(benchmark: Benchmark, entries: Mapping[str, Entry], split: str) -> None:
    """Shows accuracy by framing shift; the command to run if it was not measured.

    Args:
        benchmark: The benchmark.
        entries: Ranked runs by id.
        split: `validation` or `test`.
    """
    measured = {
        run_id: table
        for run_id, entry in entries.items()
        if (table := entry.framing_table) is not None and (table["split"] == split).any()
    }
    if not measured:
        pending.show_command(
            benchmark,
            "Robustness to framing shifts (other crop margins, rotation) is not measured yet.",
            f"python -m training robustness {benchmark.info.name} --framing",
            "trust",
        )
        return
    counts = sorted(
        {int(table.loc[table["split"] == split, "images"].iloc[0]) for table in measured.values()}
    )
    chart.show(
        figure(figures.framing_curves, measured, split, benchmark.titles, benchmark.colours),
        "framing",
        "Accuracy under framing shifts: the crop is tighter, wider or rotated. Measured on "
        f"{_or(counts)} images of {split}, all classes. A margin is added on each side, as a share "
        "of the image's side; beyond the stored image its edge pixels are repeated.",
    )


def _or(counts: Sequence[int]) -> str:
    return " or ".join(f"{count:,}" for count in counts)


def _corruption_tables(benchmark: Benchmark, entries: Sequence[Entry]) -> None:
    """Shows mean accuracy by corruption and model, and the summaries."""
    table = tables.corruption_table(entries, benchmark.titles)
    percent = percent_column()
    st.dataframe(table, key="corruptions", column_config=dict.fromkeys(table.columns, percent))
    summary = pd.DataFrame(
        {
            benchmark.titles[entry.run_id]: {
                label_of(slug): entry.robustness_values.get(slug) for slug in _ROBUSTNESS
            }
            for entry in entries
        }
    )
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(summary, key="robustness", column_config=dict.fromkeys(summary.columns, number))
    images = sorted(
        {
            int(entry.robustness_table["images"].iloc[0])
            for entry in entries
            if entry.robustness_table is not None
        }
    )
    st.caption(
        f"Mean accuracy over the five severities, on {_or(images)} test "
        "images. mCE is the error relative to ResNet-34, relative mCE the increase of the error "
        "relative to ResNet-34's; below 1 is better (Hendrycks and Dietterich 2019). Both need a "
        "ResNet-34 that was measured on the same images."
    )
