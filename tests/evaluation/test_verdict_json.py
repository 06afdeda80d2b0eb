"""A verdict as JSON."""

import json

from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints
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
