"""A verdict as JSON: for scripts, and for checks before a release."""

from typing import Any

from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Violation
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.recommendation import Assessment, Recommendation
from fer_core.evaluation.verdict import Verdict
from fer_core.evaluation.weaknesses import Weaknesses
from fer_core.records import SCHEMA_VERSION


def verdict_json(verdict: Verdict, point: OperatingPoint | None = None) -> dict[str, Any]:
    """Returns a verdict as JSON-serialisable values; its sentences are those of the start page.

    Shares are in 0 to 1. `difference` is the mean cost per image on test minus that of the
    recommended run; null for models outside the constraints.

    Args:
        verdict: The verdict.
        point: Operating point of the recommended run; None for none.
    """
    recommendation = verdict.recommendation
    constraints = recommendation.constraints
    return {
        "schema_version": SCHEMA_VERSION,
        "benchmark": verdict.benchmark.name,
        "split_hash": verdict.benchmark.split_hash,
        "verdict": verdict_text.headline(verdict),
        "contradictions": list(verdict_text.contradictions(verdict)),
        "constraints": {
            "min_recall": dict(constraints.min_recall),
            "max_ms": constraints.max_ms,
            "max_mb": constraints.max_mb,
            "kind": constraints.kind.value,
            "licences": list(constraints.licences),
        },
        "cost": str(recommendation.costs),
        "recommended": recommendation.recommended_id,
        "best_on_validation": recommendation.best,
        "models": [_assessment(item, recommendation) for item in recommendation.assessments],
        "other_protocol": list(verdict.other_protocol),
        "missing_classes": {title: list(names) for title, names in verdict.lacking.items()},
        "loosen": [
            {
                "model": item.run_id,
                "advice": verdict_text.loosening_text(item),
                "constraints": [_violation(violation) for violation in item.needed],
            }
            for item in recommendation.loosenings
        ],
        "recalls": _recalls(recommendation),
        "weaknesses": _weaknesses(verdict.weaknesses),
        "limits": list(verdict_text.limits(verdict)),
        "rule": verdict_text.RULE,
        "notes": _notes(verdict),
        "warnings": list(verdict.warnings),
        "operating_point": None if point is None else point.model_dump(mode="json"),
    }


def _notes(verdict: Verdict) -> list[str]:
    warning = verdict_text.licence_warning(verdict)
    return [*([warning] if warning else []), *verdict_text.notes(verdict)]


def _recalls(recommendation: Recommendation) -> list[dict[str, Any]]:
    return [
        {
            "class": check.label,
            "least": check.least,
            "validation": check.validation.model_dump(),
            "test": None if check.test is None else check.test.model_dump(),
            "holds_on_test": check.holds_on_test,
        }
        for check in recommendation.recalls
    ]


def _assessment(item: Assessment, recommendation: Recommendation) -> dict[str, Any]:
    gap = item.difference
    pick = item.run_id == recommendation.recommended_id
    return {
        "run": item.run_id,
        "title": item.title,
        "status": item.status.value,
        "reason": None if pick else verdict_text.reason(item, recommendation),
        "violations": [_violation(violation) for violation in item.violations],
        "validation_cost": item.validation_cost,
        "validation_p": item.validation_p,
        "test_cost": item.test_cost,
        "accuracy": item.accuracy.model_dump(),
        "macro_recall": item.macro_recall.model_dump(),
        "difference": None
        if gap is None
        else {"value": gap.value, "low": gap.low, "high": gap.high},
        "test_p": item.test_p,
        "latency_ms": item.milliseconds,
        "weights_mb": item.megabytes,
        "licences": list(item.licences),
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "limit": violation.limit.value,
        "class": violation.label or None,
        "allowed": violation.allowed,
        "value": violation.value if violation.value is not None else violation.text or None,
    }


def _weaknesses(weaknesses: Weaknesses | None) -> dict[str, Any] | None:
    if weaknesses is None:
        return None
    return {
        "slices": [
            {
                "conditions": [list(condition) for condition in part.conditions],
                "images": part.samples,
                "errors": part.errors,
                "rate": part.rate,
                "elsewhere": part.elsewhere,
                "elsewhere_same_classes": part.same_classes,
                "corrected_p": part.adjusted,
            }
            for part in weaknesses.slices
        ],
        "confusions": [
            {
                "true": item.truth,
                "predicted": item.predicted,
                "images": item.images,
                "share": item.share.value,
                "low": item.share.low,
                "high": item.share.high,
            }
            for item in weaknesses.confusions
        ],
        "drawn_faces": weaknesses.drawn_faces or None,
    }
