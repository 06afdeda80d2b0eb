"""A verdict as JSON."""

import json
from dataclasses import replace

from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.slices import Slice
from fer_core.evaluation.verdict import read_verdict
from fer_core.evaluation.verdict_json import verdict_json


def test_a_verdict_survives_json(toy):
    verdict = read_verdict(toy.benchmark)
    content = json.loads(json.dumps(verdict_json(verdict), allow_nan=False))
    assert content["verdict"] == verdict_text.headline(verdict)
    assert content["limits"] == list(verdict_text.limits(verdict))
    best = content["models"][0]
    assert best["accuracy"]["value"] == verdict.recommended.accuracy.value
    assert all(model["reason"] for model in content["models"][1:])


def test_an_unknown_latency_is_a_violation_without_a_value(toy):
    content = verdict_json(read_verdict(toy.benchmark, Constraints.of(max_ms=3)))
    assert content["recommended"] is None
    assert content["loosen"] == []  # nothing is known that would help
    for model in content["models"]:
        assert model["violations"] == [
            {"limit": "latency", "class": None, "allowed": 3.0, "value": None}
        ]


def keys(value):
    """The keys of nested objects; a list counts as its first object, any other value as None."""
    if isinstance(value, dict):
        return {name: keys(item) for name, item in value.items()}
    return keys(value[0]) if isinstance(value, list) and value else None


def named(text, **nested):
    return {**dict.fromkeys(text.split()), **nested}


ESTIMATE = named("value low high")


def test_keys_at_every_level_stay(toy):
    verdict = read_verdict(toy.benchmark, Constraints.of(min_recall={"sad": 0.1}))
    worst = Slice((("light", "dark"),), 40, 20, 0.5, 0.25, 0.01, 0.02, 0.3)
    weaknesses = replace(verdict.weaknesses, slices=(worst,))
    content = verdict_json(replace(verdict, weaknesses=weaknesses))
    content["models"] = content["models"][1:]  # the recommended run has no difference
    assert keys(content) == named(
        "schema_version benchmark split_hash verdict contradictions cost recommended "
        "best_on_validation other_protocol loosen limits rule warnings notes operating_point",
        constraints=named("max_ms max_mb kind licences", min_recall={"sad": None}),
        models=named(
            "run title status reason violations validation_cost validation_p test_cost test_p "
            "latency_ms weights_mb licences",
            accuracy=ESTIMATE,
            macro_recall=ESTIMATE,
            difference=ESTIMATE,
        ),
        missing_classes={},
        recalls=named("class least holds_on_test", validation=ESTIMATE, test=ESTIMATE),
        weaknesses=named(
            "drawn_faces",
            slices=named(
                "conditions images errors rate elsewhere elsewhere_same_classes corrected_p"
            ),
            confusions=named("true predicted images share low high"),
        ),
    )
    assert content["weaknesses"]["slices"] == [
        {
            "conditions": [["light", "dark"]],
            "images": 40,
            "errors": 20,
            "rate": 0.5,
            "elsewhere": 0.25,
            "elsewhere_same_classes": 0.3,
            "corrected_p": 0.02,
        }
    ]


def test_each_way_out_has_its_advice(toy):
    verdict = read_verdict(toy.benchmark, Constraints.of(min_recall={"sad": 0.99}))
    (way,) = verdict.recommendation.loosenings
    assert verdict_json(verdict)["loosen"] == [
        {
            "model": way.run_id,
            "advice": verdict_text.loosening_text(way),
            "constraints": [{"limit": "recall", "class": "sad", "allowed": 0.99, "value": 0.8}],
        }
    ]
