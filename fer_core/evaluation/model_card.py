"""The model card of a run, in the form of the Hugging Face hub: README.md with metadata."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from fer_core.evaluation.licences import UNKNOWN, UNVERIFIED
from fer_core.evaluation.regression import CAVEAT, RegressionReport
from fer_core.evaluation.report import Estimate, Report, SplitMetrics
from fer_core.evaluation.verdict import Verdict
from fer_core.evaluation.verdict_text import RULE, contradictions, headline, not_compared, reason
from fer_core.records import BenchmarkInfo, RunInfo

FILE_NAME = "README.md"

_MARKDOWN = re.compile(r"([\[\]<>|`!\\*_])")
_HUB_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "BSD-3-Clause": "bsd-3-clause"}
"""The hub's identifier by SPDX id."""


@dataclass(frozen=True)
class CardFacts:
    """Facts that a model card reports.

    Attributes:
        info: Metadata of the run.
        report: Report of the run.
        benchmark: Metadata of its benchmark.
        licences: Licences of its weights, as `weight_licences` gives them.
        limits: Limits of expression recognition, in words.
        library: Library that loads the folder: `timm` or `transformers`; empty for other runs.
        repository: `owner/name` on the hub, for the code example; empty if it is unknown.
        second: Report against the second annotation of the images; None without one.
        regression: Report of the regression head; None without one.
        drawn_faces: Sentence on the results for drawn faces; empty if the run was not probed.
        verdict: Verdict on the benchmark without constraints; None leaves its section out.
        lacks: Why the run cannot predict new images; empty if it can.
        resampled: What the intervals resample; see `persons.resampled_units`.
    """

    info: RunInfo
    report: Report
    benchmark: BenchmarkInfo
    licences: Sequence[str]
    limits: str
    library: str = ""
    repository: str = ""
    second: Report | None = None
    regression: RegressionReport | None = None
    drawn_faces: str = ""
    verdict: Verdict | None = None
    lacks: str = ""
    resampled: str = "images"


def model_card(facts: CardFacts) -> str:
    """Returns the card as Markdown with YAML metadata; texts from outside are escaped."""
    header = yaml.safe_dump(card_metadata(facts), sort_keys=False, allow_unicode=True, width=100)
    parts = [
        _introduction(facts),
        _results(facts),
        _verdict(facts),
        _protocol(facts),
        _use(facts),
        _training(facts),
        _licences(facts),
    ]
    return f"---\n{header}---\n\n" + "\n".join(line for part in parts for line in part)


def card_metadata(facts: CardFacts) -> dict[str, Any]:
    """Returns the metadata of the card, with `model-index`, after the hub's specification."""
    info = facts.info
    licences = {_HUB_LICENCES.get(name) for name in facts.licences}
    known = next(iter(licences)) if len(licences) == 1 else None
    metadata: dict[str, Any] = {"license": known or "other"}
    if known is None:
        metadata |= {"license_name": "see-card", "license_link": FILE_NAME}
    if facts.library:
        metadata["library_name"] = facts.library
    metadata |= {
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "ferscope", *info.tags],
        "metrics": ["accuracy", "recall"],
    }
    if source := re.fullmatch(r"hub ([\w.-]+/[\w.-]+?)(@\S+)?", info.init_source):
        metadata["base_model"] = source[1]
    return metadata | {"model-index": [{"name": info.run_id, "results": [_model_index(facts)]}]}


def _model_index(facts: CardFacts) -> dict[str, Any]:
    """Returns the results on test."""
    test = facts.report.test
    return {
        "task": {"type": "image-classification", "name": "Facial expression recognition"},
        "dataset": {
            "name": facts.benchmark.title,
            "type": facts.benchmark.name.replace("/", "-"),
            "split": "test",
            "args": {"split_hash": facts.info.split_hash, "images": test.samples},
        },
        "metrics": [
            _metric("accuracy", "Accuracy", test.accuracy),
            _metric("recall", "Macro-recall", test.macro_recall),
        ],
    }


def _metric(kind: str, name: str, estimate: Estimate) -> dict[str, Any]:
    low, high = round(100 * estimate.low, 1), round(100 * estimate.high, 1)
    return {
        "type": kind,
        "name": f"{name} (95%: {low} to {high})",
        "value": round(100 * estimate.value, 2),
    }


def _introduction(facts: CardFacts) -> list[str]:
    info = facts.info
    kinds = {"network": "A network", "ensemble": "An ensemble", "imported": "An imported model"}
    lines = [
        f"# {_plain(info.title)} ({_plain(facts.benchmark.title)})",
        "",
        f"{kinds[info.kind]} that predicts which of {len(info.labels)} facial expressions "
        f"annotators would assign to the image of a face: {', '.join(info.labels)}. Run "
        f"`{info.run_id}` of FERscope.",
        "",
    ]
    if info.members:
        members = ", ".join(f"`{member}`" for member in info.members)
        lines += [f"It averages the probabilities of {members}.", ""]
    if facts.lacks:
        lines += [_plain(facts.lacks), ""]
    return lines + ([f"{_plain(info.note)}", ""] if info.note else [])


def _results(facts: CardFacts) -> list[str]:
    report = facts.report
    rows = [
        ("test", report.test),
        ("test, leak-free", report.test_leak_free),
        ("validation", report.validation),
        ("test, second annotation", None if facts.second is None else facts.second.test),
    ]
    lines = [
        "## Results",
        "",
        "| images | count | accuracy | macro-recall | log loss | ECE |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(name, metrics) for name, metrics in rows if metrics is not None),
        "",
        *_leak_free(report),
        "| class (test) | images | recall | precision | F1 |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.label} | {row.samples:,} | {row.recall.text if row.recall else ''} | "
        f"{_share(row.precision)} | {_share(row.f1)} |"
        for row in report.test.classes
    ]
    lines += [
        "",
        f"In brackets: 95% intervals, bootstrap over {facts.resampled}; of recalls, Wilson's. Most "
        f"frequent confusions on test: {_confusions(report.test)}.",
        "",
    ]
    return lines + _regression(facts.regression)


def _leak_free(report: Report) -> list[str]:
    accuracy = report.leak_free_accuracy
    if accuracy is None or report.test_leak_free == report.test:
        return []
    return [
        "The leak-free images have other class frequencies than test. With those of test, their "
        f"accuracy is {accuracy:.1%}.",
        "",
    ]


def _row(name: str, metrics: SplitMetrics) -> str:
    return (
        f"| {name} | {metrics.samples:,} | {metrics.accuracy.text} | {metrics.macro_recall.text} | "
        f"{metrics.log_loss:.3f} | {metrics.ece:.3f} |"
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _confusions(metrics: SplitMetrics) -> str:
    labels = [row.label for row in metrics.classes]
    pairs = [
        (number, true, predicted)
        for true, row in zip(labels, metrics.confusion, strict=True)
        for predicted, number in zip(labels, row, strict=True)
        if true != predicted and number
    ]
    top = sorted(pairs, key=lambda pair: -pair[0])[:5]
    return ", ".join(f"{true} as {predicted} ({number})" for number, true, predicted in top) or (
        "none"
    )


def _regression(report: RegressionReport | None) -> list[str]:
    if report is None:
        return []
    lines = [
        "### Regression head",
        "",
        "| target | images | count | MAE | RMSE | concordance | MAE of the training mean |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, target in report.targets.items():
        for split, kind, metrics in target.rows():
            agreement = "" if metrics.concordance is None else _interval(metrics.concordance)
            lines.append(
                f"| {_plain(name)} | {split}, {kind} | {metrics.count:,} | "
                f"{_interval(metrics.mae)} | {_interval(metrics.rmse)} | {agreement} | "
                f"{metrics.mae_of_mean:.3f} |"
            )
    return [*lines, "", f"Intervals: bootstrap over clips. {CAVEAT}", ""]


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _verdict(facts: CardFacts) -> list[str]:
    """Returns the verdict on the benchmark and this run's place in it."""
    verdict = facts.verdict
    if verdict is None:
        return []
    recommendation = verdict.recommendation
    count = len(recommendation.assessments)
    item = next(
        (item for item in recommendation.assessments if item.run_id == facts.info.run_id), None
    )
    if item is None:
        why = dict(not_compared(verdict)).get(facts.info.title, "it cannot be compared")
        place = f"This run: {why}."
    elif item is verdict.recommended:
        place = "This run is the recommended one."
    else:
        place = f"This run: {reason(item, recommendation)}."
    return [
        "## Verdict",
        "",
        f"Of {count} comparable runs of the benchmark, without constraints and with equal costs of "
        f"errors: **{_plain(headline(verdict))}**",
        "",
        _plain(place),
        "",
        *(f"{_plain(text)}\n" for text in contradictions(verdict)),
        f"{RULE} With your own constraints: `python -m training recommend "
        f"{verdict.benchmark.name}`.",
        "",
    ]


def _protocol(facts: CardFacts) -> list[str]:
    protocol, info = facts.report.protocol, facts.info
    selection = (
        "How its checkpoint was chosen is unknown."
        if info.trained_elsewhere
        else "Validation chose the checkpoint, or the members of an ensemble."
    )
    augmented = "with" if protocol.test_time_augmentation else "without"
    return [
        "## Protocol",
        "",
        f"- Split `{protocol.split_hash}`, {protocol.test_samples:,} test images, labels: "
        f"{protocol.label_source}, {augmented} test-time augmentation",
        f"- Initialisation: {_initialisation(info)}; seed {info.seed}",
        f"- Input: {_input(info)}; preprocessing `{info.preprocessing_hash}`",
        f"- {selection} This run read test {_times(info.own_test_readings)}",
        f"- {_plain(facts.benchmark.protocol)}",
        "",
    ]


def _initialisation(info: RunInfo) -> str:
    """Returns the source of the initial weights, with what is known or not known about them."""
    notes = f" ({'; '.join(info.init_notes)})" if info.init_notes else ""
    return _plain(f"{info.init} {info.init_source}".strip() + notes)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _input(info: RunInfo) -> str:
    side = info.image_size
    return "unknown" if side is None else f"one cropped face, {side} x {side} pixels"


def _use(facts: CardFacts) -> list[str]:
    lines = [
        "## Intended use",
        "",
        "Research on facial expression recognition, and comparing models on one's own faces "
        "before choosing one. The input is one cropped face, framed like the training images.",
        "",
        *_code(facts),
        "## Limits",
        "",
        facts.limits,
        "",
        "Classes with few training images are recognised worst; see the recalls above. Results "
        "hold for images like those of the test split. Measure the model on your own images before "
        "you rely on it.",
        "",
    ]
    if facts.drawn_faces:
        lines += [
            f"{_plain(facts.drawn_faces)} Drawn faces show how a model reacts to a change. They do "
            "not show how it treats people.",
            "",
        ]
    return lines


def _code(facts: CardFacts) -> list[str]:
    location = facts.repository or "folder"
    calls = {
        "timm": (
            "import timm",
            f'model = timm.create_model("{"hf-hub" if facts.repository else "local-dir"}:'
            f'{location}", pretrained=True).eval()',
        ),
        "transformers": (
            "from transformers import AutoModelForImageClassification",
            f'model = AutoModelForImageClassification.from_pretrained("{location}").eval()',
        ),
    }
    if facts.library not in calls:
        return []
    imported, loaded = calls[facts.library]
    return ["```python", imported, "", loaded, "```", ""]


def _training(facts: CardFacts) -> list[str]:
    info = facts.info
    counts = facts.benchmark.counts.get("train", {})
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    lines = ["## Training", ""]
    if not info.trained_elsewhere:
        lines += [f"Training images by class: {shown}.", ""]
    if info.recipe and info.kind == "network":
        recipe = yaml.safe_dump(dict(info.recipe), sort_keys=False, allow_unicode=True)
        lines += ["The resolved recipe:", "", "```yaml", *recipe.rstrip().splitlines(), "```", ""]
    if info.teachers:
        lines += [f"Teachers or candidates: {', '.join(map(_plain, info.teachers))}.", ""]
    return lines


def _licences(facts: CardFacts) -> list[str]:
    names = ", ".join(
        {UNKNOWN: "unknown", UNVERIFIED: "could not be verified"}.get(name, name)
        for name in facts.licences
    )
    lines = [
        "## Licences",
        "",
        f"- Weights, and code of the architecture: {names}",
        *(
            f"- Data {_plain(source.title)}: {_plain(source.licence)}"
            + (f" ({_plain(source.reference)})" if source.reference else "")
            for source in facts.benchmark.sources
        ),
        "",
        "No image is part of this model.",
        "",
    ]
    return lines


def _plain(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
