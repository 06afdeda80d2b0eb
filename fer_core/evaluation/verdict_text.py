"""The words of a verdict: one sentence with numbers, and the reasons.

Numbers: shares in percent, differences in percentage points with 95% paired bootstrap intervals,
both on test. A difference is positive if the run that the sentence is about is better.
"""

import math
from dataclasses import dataclass

from fer_core.evaluation.constraints import Limit, Loosening, ModelKind, Violation
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.licences import UNKNOWN, UNVERIFIED
from fer_core.evaluation.recommendation import (
    AS_FAST,
    Assessment,
    AssessmentStatus,
    RecallCheck,
    Recommendation,
)
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.significance import LEVEL, p_sentence
from fer_core.evaluation.verdict import Verdict
from fer_core.evaluation.weaknesses import Confusion
from fer_core.records import BenchmarkInfo

WIDE = 0.2
"""Width of a recall's interval from which the class counts as too small."""

_TWO_DIGITS = 9.95
"""Latency or size from which no decimal is shown."""

RULE = (
    "Among the models within the constraints, take those that are not significantly worse on "
    "validation than the best (paired test on the cost of errors, Holm's correction, 5% level). Of "
    "these take the fastest by median latency at batch size 1; among models up to 10% slower than "
    "the fastest, take the smallest. Validation decides; the numbers shown are those of test. A "
    "difference that is not significant may still be real; its interval shows how large it can be."
)
"""The rule, in words."""


def not_compared(verdict: Verdict) -> list[tuple[str, str]]:
    """Returns the runs that are not comparable, by display name, and why."""
    reasons = {
        title: f"cannot predict {', '.join(missing)}" for title, missing in verdict.lacking.items()
    }
    return [
        (
            title,
            f"{reasons.get(title, 'measured under another protocol')}, so it cannot be compared",
        )
        for title in verdict.other_protocol
    ]


def headline(verdict: Verdict) -> str:
    """Returns the verdict in one or two sentences."""
    recommendation = verdict.recommendation
    pick, best = recommendation.recommended, recommendation.best_run
    if pick is None or best is None:
        if _without_models(recommendation):
            return "No model to ship: every run has predictions only."
        return "No model is within these constraints."
    if verdict.benchmark.transferred_from is not None:
        return _on_transferred_set(pick, verdict.benchmark)
    if pick is not best and best.difference is not None:
        gap = points(best.difference, recommendation.costs)
        return (
            f"Ship {pick.title}: not significantly worse than {best.title} on validation"
            f"{_corrected(pick)}{_instead(pick, best)}. On test: {gap}{_uncorrected(best)}."
        )
    inside = [
        item for item in recommendation.others if item.status is not AssessmentStatus.EXCLUDED
    ]
    tied = sum(item.status is AssessmentStatus.TIED for item in inside)
    if not inside:
        reason = "it is the only model within the constraints"
    elif tied:
        reason = (
            f"it has the lowest cost on validation and is the fastest of the {tied + 1} models "
            "without a significant difference there"
        )
    else:
        reason = "every other model within the constraints is significantly worse on validation"
    return f"Ship {pick.title}: {_quality(pick, recommendation.costs)}{_at(pick)}; {reason}."


def _on_transferred_set(pick: Assessment, benchmark: BenchmarkInfo) -> str:
    """Returns the choice for a transferred set, whose own labels took no part in it."""
    origin = benchmark.transferred_from.benchmark if benchmark.transferred_from else ""
    return (
        f"Chosen on validation of {origin}: {pick.title}. On the {benchmark.labelled:,} labelled "
        f"images of {benchmark.shown_name}: accuracy {pick.accuracy.text}, macro-recall "
        f"{pick.macro_recall.text}. Decide whether that is enough before you use it."
    )


def _without_models(recommendation: Recommendation) -> bool:
    """Returns whether every run consists of predictions alone."""
    return all(
        any(violation.limit is Limit.MODEL for violation in item.violations)
        for item in recommendation.assessments
    )


@dataclass(frozen=True)
class NextStep:
    """The next step if no run is recommended.

    Attributes:
        text: The step in words.
        command: Command that does it; empty for none.
    """

    text: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.command}".strip()


def next_steps(verdict: Verdict) -> tuple[NextStep, ...]:
    """Returns what to do if no run is recommended: constraints to loosen, or what is missing."""
    recommendation, name = verdict.recommendation, verdict.benchmark.name
    if verdict.recommended is not None:
        return ()
    if recommendation.loosenings:
        return tuple(NextStep(loosening_text(item)) for item in recommendation.loosenings)
    if _without_models(recommendation):
        train = f"python -m training train efficientnet_lite0 --benchmark {name}"
        return (
            NextStep("Train a model:", train),
            NextStep("Or import one with its weights:", "python -m training import --help"),
        )
    unknown = [
        violation
        for item in recommendation.assessments
        for violation in item.violations
        if violation.value is None
    ]
    found = [
        NextStep(f"Validation has no image of {label}. Drop the constraint on its recall.")
        for label in dict.fromkeys(item.label for item in unknown if item.limit is Limit.RECALL)
    ]
    if any(item.limit in (Limit.LATENCY, Limit.SIZE) for item in unknown):
        command = f"python -m training efficiency {name}"
        found.append(NextStep("Latency or size were not measured. Measure them:", command))
    if any(item.limit is Limit.LICENCE for item in unknown):
        found.append(
            NextStep(
                "The other models have weights whose licence is unknown or unverified. Check its "
                "terms, or train a model from weights with a licence that you allow."
            )
        )
    return tuple(found)


def constraints_text(recommendation: Recommendation) -> str:
    """Returns the constraints and the costs of errors in one sentence."""
    constraints = recommendation.constraints
    parts = [f"recall of {label} at least {least:.0%}" for label, least in constraints.min_recall]
    if constraints.max_ms is not None:
        parts.append(f"at most {constraints.max_ms:g} ms")
    if constraints.max_mb is not None:
        parts.append(f"at most {constraints.max_mb:g} MB")
    if constraints.kind is not ModelKind.ANY:
        parts.append(f"only models of the kind {constraints.kind.value}")
    if constraints.licences:
        parts.append(f"licences {', '.join(constraints.licences)}")
    return f"Constraints: {', '.join(parts) or 'none'}. Cost of errors: {recommendation.costs}."


def contradictions(verdict: Verdict) -> tuple[str, ...]:
    """Returns one sentence for each result on test that contradicts the choice on validation."""
    recommendation = verdict.recommendation
    sentences = [
        f"Test contradicts this choice: {item.title} is significantly better there "
        f"({_gain(item, recommendation.costs)}, corrected {p_sentence(item.test_p)})."
        for item in recommendation.contradictions
        if item.test_p is not None
    ]
    sentences += [
        f"On test its recall of {check.label} is {check.test.text}, below the required "
        f"{check.least:.0%}."
        for check in recommendation.recalls
        if check.test is not None and not check.holds_on_test
    ]
    return tuple(sentences)


def reason(item: Assessment, recommendation: Recommendation) -> str:
    """Returns why a run is not the recommended one, in one clause."""
    if item.status is AssessmentStatus.EXCLUDED:
        return "; ".join(map(violation_text, item.violations))
    gain = _gain(item, recommendation.costs)
    on_test = f"{gain} on test" + (", significantly better there" if item.better_on_test else "")
    if item.status is AssessmentStatus.WORSE and item.validation_p is not None:
        p_value = p_sentence(item.validation_p)
        return f"significantly worse on validation (corrected {p_value}); {on_test}"
    pick = recommendation.recommended
    is_best = item.validation_p is None
    against = "" if is_best else " from the best"
    return (
        f"no significant difference{against} on validation{_corrected(pick if is_best else item)}; "
        f"{on_test}{_uncorrected(item)}{_drawback(item, pick)}"
    )


def _corrected(item: Assessment | None) -> str:
    """Returns the corrected p-value of a run's difference from the best one on validation."""
    if item is None or item.validation_p is None:
        return ""
    return f" (corrected {p_sentence(item.validation_p)})"


def _uncorrected(item: Assessment) -> str:
    """Returns a note if the interval on test excludes zero and the corrected test does not."""
    gap = item.difference
    if gap is None or item.test_p is None or item.test_p < LEVEL or gap.low <= 0 <= gap.high:
        return ""
    return f", not significant after correction ({p_sentence(item.test_p)})"


def violation_text(violation: Violation) -> str:
    """Returns how a run violates a constraint."""
    match violation.limit:
        case Limit.RECALL if violation.value is None:
            return f"validation has no image of {violation.label}"
        case Limit.RECALL:
            return (
                f"recall of {violation.label} is {_beyond(violation, 100)}% on validation, below "
                f"{100 * (violation.allowed or 0):g}%"
            )
        case Limit.LATENCY if violation.value is None:
            return "its latency was not measured"
        case Limit.LATENCY:
            return f"{_beyond(violation)} ms, over the limit of {violation.allowed:g} ms"
        case Limit.SIZE if violation.value is None:
            return "its size was not measured"
        case Limit.SIZE:
            return f"{_beyond(violation)} MB, over the limit of {violation.allowed:g} MB"
        case Limit.KIND:
            return "it is an ensemble" if violation.text == "ensemble" else "it is not an ensemble"
        case Limit.LICENCE:
            return f"licence of the weights: {violation.text or UNKNOWN}"
        case _:
            return "it has predictions only, so there is no model to ship"


def _beyond(violation: Violation, factor: float = 1.0) -> str:
    """Returns a value with enough digits to differ from its limit.

    Args:
        violation: A limit that the value violates; both are known.
        factor: Factor of both numbers: 100 for percent.
    """
    value, allowed = factor * (violation.value or 0.0), factor * (violation.allowed or 0.0)
    least = 1 if factor != 1 or value < _TWO_DIGITS else 0
    texts = (f"{value:,.{digits}f}" for digits in range(least, 10))
    shown = f"{allowed:g}"
    return next(
        (text for text in texts if float(text.replace(",", "")) != float(shown)), f"{value:g}"
    )


def loosening_text(loosening: Loosening) -> str:
    """Returns what to change so that a run is left."""
    steps = " and ".join(map(_step, loosening.needed))
    return f"{steps[0].upper()}{steps[1:]}: then {loosening.title} is left."


def _step(violation: Violation) -> str:
    value, allowed = violation.value or 0.0, violation.allowed or 0.0
    match violation.limit:
        case Limit.RECALL:
            lower = math.floor(100 * value + 1e-9)
            return f"lower the minimum recall of {violation.label} from {allowed:.0%} to {lower}%"
        case Limit.LATENCY:
            return f"raise the latency limit from {allowed:g} to {_rounded_up(value):g} ms"
        case Limit.SIZE:
            return f"raise the size limit from {allowed:g} to {_rounded_up(value):g} MB"
        case Limit.KIND:
            return f"allow {'ensembles' if violation.text == 'ensemble' else 'single networks'}"
        case _:
            return f"allow the licence {violation.text}"


def _rounded_up(value: float) -> float:
    return math.ceil(10 * value - 1e-9) / 10


def confusion_text(confusion: Confusion) -> str:
    """Returns a confusion in one sentence."""
    return (
        f"{confusion.share.text} of {confusion.total:,} {confusion.truth} images are predicted as "
        f"{confusion.predicted} ({confusion.images:,} images, {confusion.cost_share:.0%} of the "
        "cost of all errors)."
    )


def limits(verdict: Verdict) -> tuple[str, ...]:
    """Returns what the data cannot tell about the recommended run, one sentence each."""
    sentences = [transfer_note(verdict), *_small_classes(verdict)]
    sentences += map(_uncertain_recall, verdict.recommendation.recalls)
    tied = [
        item for item in verdict.recommendation.assessments if item.status is AssessmentStatus.TIED
    ]
    if tied:
        names = ", ".join(item.title for item in tied)
        sentences.append(
            f"On validation, the recommended model and {names} do not differ significantly, so "
            "they cannot be ranked."
        )
    best = verdict.recommendation.best_run
    if best is not None and best.is_ensemble:
        sentences.append(
            f"The members and weights of {best.title} may have been chosen on validation, so its "
            "result there is optimistic."
        )
    if verdict.trained_once:
        sentences.append(
            "The recommended model was trained with one seed, so the variation between seeds is "
            "not known."
        )
    if not verdict.describes_persons:
        sentences.append(
            "The data do not describe persons (age, sex, skin tone), so nothing is known about "
            "differences between such groups."
        )
    if verdict.device:
        sentences.append(
            f"Latency was measured on {verdict.device}; another machine may be faster or slower, "
            "and may order the models differently. It is that of a cropped face, without face "
            "detection."
        )
    sentences += [
        f"Licences of weights say nothing about the images. {source.title}: {source.licence}"
        for source in verdict.benchmark.sources
    ]
    return tuple(sentence for sentence in sentences if sentence)


def notes(verdict: Verdict) -> tuple[str, ...]:
    """Returns what belongs to the headline: the licence, and what the latency measures."""
    return tuple(filter(None, (licence_note(verdict), latency_note(verdict))))


def latency_note(verdict: Verdict) -> str:
    """Says what the latencies measure, and where; empty if none was measured."""
    if not verdict.device:
        return ""
    return (
        "Latency is the median per cropped face, without face detection, measured on "
        f"{verdict.device}; another machine, such as yours, may be faster or slower."
    )


def licence_note(verdict: Verdict) -> str:
    """Names the licence of the recommended weights; empty if no run is recommended."""
    pick = verdict.recommended
    return "" if pick is None else f"Licence of the recommended weights: {licence_text(pick)}."


def licence_warning(verdict: Verdict) -> str:
    """Says that the terms of the recommended weights are not known; empty if they are."""
    pick = verdict.recommended
    names = () if pick is None else pick.licences or (UNKNOWN,)
    if UNVERIFIED in names:
        return (
            "The licence of the recommended weights is unverified: the terms of the weights that "
            "the training started from could not be checked. Check them before you ship it, or "
            "allow only known licences."
        )
    if UNKNOWN in names:
        return (
            "The licence of the recommended weights is unknown. Find out their terms before you "
            "ship them, or allow only known licences."
        )
    return ""


def licence_text(item: Assessment) -> str:
    """Returns the licences of a run's weights, such as `Apache-2.0, MIT`."""
    return ", ".join(item.licences) or UNKNOWN


def transfer_note(verdict: Verdict) -> str:
    """Says which images are validation and test of a transferred set; empty for a benchmark."""
    info = verdict.benchmark
    if info.transferred_from is None:
        return ""
    return (
        f"{info.shown_name}: test means its {info.labelled:,} labelled images. Validation is that "
        f"of {info.transferred_from.benchmark}, on which the models were trained."
    )


def _small_classes(verdict: Verdict) -> list[str]:
    if verdict.test_metrics is None:
        return []
    return [
        f"{row.label} has {row.samples:,} test images: its recall of {row.recall.value:.1%} has a "
        f"95% interval from {row.recall.low:.1%} to {row.recall.high:.1%}."
        if row.recall is not None
        else f"{row.label} has no test image: nothing is known about it."
        for row in verdict.test_metrics.classes
        if row.recall is None or row.recall.high - row.recall.low > WIDE
    ]


def _uncertain_recall(check: RecallCheck) -> str:
    if not check.validation.low < check.least < check.validation.high:
        return ""
    return (
        f"The recall of {check.label} on validation is {check.validation.text}; whether "
        f"it really is at least {check.least:.0%} is not certain."
    )


def points(difference: Estimate, costs: ErrorCosts, sign: float = 1.0) -> str:
    """Returns a difference in points of quality, or of cost if the costs are no such metric.

    Args:
        difference: Difference of mean costs per image.
        costs: Costs of errors.
        sign: 1 if a positive difference means that the described run is better, -1 if it means
            that it is worse.
    """
    ends = sorted((sign * 100 * difference.low, sign * 100 * difference.high))
    value = sign * 100 * difference.value
    if costs.quality is not None:
        return (
            f"{_signed(value)} points of {costs.quality} [{_signed(ends[0])}, {_signed(ends[1])}]"
        )
    low, high = _signed(-ends[1]), _signed(-ends[0])
    return f"cost per 100 images {_signed(-value)} [{low}, {high}]"


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text


def _gain(item: Assessment, costs: ErrorCosts) -> str:
    return "" if item.difference is None else points(item.difference, costs, -1.0)


def _quality(item: Assessment, costs: ErrorCosts) -> str:
    if costs.quality is None:
        return f"cost {100 * item.test_cost:.1f} per 100 images on test"
    estimate = item.accuracy if costs.quality == "accuracy" else item.macro_recall
    return f"{costs.quality} {estimate.text} on test"


def _at(item: Assessment) -> str:
    return "" if item.milliseconds is None else f" at {ms_text(item.milliseconds)}"


def _instead(pick: Assessment, best: Assessment) -> str:
    if pick.milliseconds is None or best.milliseconds is None:
        return _at(pick)
    smaller = pick.megabytes is not None and pick.megabytes < (best.megabytes or 0)
    if smaller and best.milliseconds <= AS_FAST * pick.milliseconds:
        sizes = f"{mb_text(pick.megabytes)} instead of {mb_text(best.megabytes)}"
        return f" and about as fast, at {sizes}"
    return f" at {ms_text(pick.milliseconds)} instead of {ms_text(best.milliseconds)}"


def _drawback(item: Assessment, pick: Assessment | None) -> str:
    """Returns why a tied run is not recommended."""
    if pick is None:
        return ""
    if item.milliseconds is None:
        return ", but its latency was not measured" if pick.milliseconds is not None else ""
    sizes = (item.megabytes, pick.megabytes)
    larger = None not in sizes and (sizes[0] or 0) > (sizes[1] or 0)
    if pick.milliseconds is None or (larger and item.milliseconds <= AS_FAST * pick.milliseconds):
        return f", about as fast, but {mb_text(sizes[0])} instead of {mb_text(sizes[1])}"
    return f", but {ms_text(item.milliseconds)} instead of {ms_text(pick.milliseconds)}"


def ms_text(value: float | None) -> str:
    """Returns a latency, such as `7.9 ms` or `82 ms`."""
    return "not measured" if value is None else f"{_three_digits(value)} ms"


def mb_text(value: float | None) -> str:
    """Returns a size, such as `7.0 MB` or `121 MB`."""
    return "not measured" if value is None else f"{_three_digits(value)} MB"


def _three_digits(value: float) -> str:
    return f"{value:.1f}" if value < _TWO_DIGITS else f"{value:,.0f}"
