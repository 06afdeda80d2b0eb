"""The sentences of a probe."""

from dataclasses import replace

import pytest

from fer_core.evaluation.attribute_effects import (
    AttributeEffect,
    ClassShift,
    Flips,
    attribute_effects,
    drawn_accuracy,
)
from fer_core.evaluation.probe_text import (
    LIMITS,
    curve_sentence,
    effect_sentence,
    effect_sentences,
    expectation_sentence,
    no_effect_sentence,
    probe_sentence,
    threshold_sentence,
    validity_sentence,
)
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.response_curves import Threshold, response_curves
from fer_core.evaluation.verdict import read_verdict
from fer_core.evaluation.verdict_json import verdict_json
from fer_core.figures.verdict_html import verdict_section
from fer_core.synthetic.attributes import ATTRIBUTES
from fer_core.synthetic.probe_design import attribute_faces, curve_faces
from tests.support.probes import ask, reads_expressions, smile, write_stub_probes

BASE = attribute_faces()


def test_a_flip_is_said_with_its_interval():
    def rule(face):
        tired = face.name == "glasses" and face.expression == "neutral" and face.identity < 15
        return "surprise" if tired else reads_expressions(face)

    answers = ask(rule, [*BASE, *attribute_faces("glasses")])
    (sentence,) = effect_sentences(attribute_effects(answers), drawn_accuracy(answers))
    # Wilson: 15 of 50
    assert sentence == "Glasses turn 30% [19, 44] of neutral faces into surprise (15 of 50)."


def test_glasses_that_turn_neutral_faces_into_surprise_are_said_so():
    def rule(face):
        # 3 of the 50 neutral faces; the shift of 15 persons makes it significant
        if face.name == "glasses" and face.identity < 15:
            if face.expression == "neutral" and face.identity < 3:
                return "surprise"
            if face.expression != "neutral":
                return "surprise"
        return reads_expressions(face)

    answers = ask(rule, [*BASE, *attribute_faces("glasses"), *attribute_faces("beard_full")])
    effects = attribute_effects(answers)
    glasses = next(item for item in effects if item.attribute.name == "glasses")
    neutral = next(item for item in glasses.flips if item.expression == "neutral")
    assert (neutral.share, neutral.predicted) == (0.06, "surprise")
    (sentence,) = effect_sentences(effects, drawn_accuracy(answers))
    assert sentence.startswith("Glasses turn ")
    assert "into surprise" in sentence
    assert no_effect_sentence(effects) == (
        "No significant mean shift of a class (share of changed predictions): a full beard."
    )


def test_a_model_that_is_not_valid_gets_no_sentences():
    answers = ask(lambda face: "neutral", BASE)
    accuracy = drawn_accuracy(answers)
    assert "nothing follows for this model" in validity_sentence("M", accuracy)
    assert effect_sentences((), accuracy) == []


def test_expressions_that_a_model_does_not_recognise_are_named():
    sentence = validity_sentence("M", drawn_accuracy(ask(smile, BASE)))
    assert "It recognises happy and neutral there" in sentence
    assert "drawn angry, disgust, fear, sad and surprise faces" in sentence
    full = validity_sentence("M", drawn_accuracy(ask(reads_expressions, BASE)))
    assert full.endswith("recognises every expression on at least half of them.")


def test_a_curve_is_described_with_threshold_and_expectation():
    curves = {item.name: item for item in response_curves(ask(smile, curve_faces()))}
    sentence = curve_sentence(curves["lip_corner_pull"])
    assert "happy +100 points [+100, +100]" in sentence
    assert "changed at intensity 3, mostly to happy" in sentence
    assert "it belongs to happy, which rises" in sentence
    assert "no mean probability moves" in curve_sentence(curves["brow_lower"])
    assert "of these none rise." in curve_sentence(curves["brow_lower"])
    assert "assigns this unit to no emotion" in curve_sentence(curves["lid_droop"])
    assert "it is the prototype of happy, which rises." in curve_sentence(curves["happy"])
    undecided = replace(curves["brow_lower"], threshold=Threshold(0.5, 4, ""))
    assert threshold_sentence(undecided) == (
        "For half of the persons the prediction has changed at intensity 4."
    )


def test_of_several_expected_emotions_those_that_rise_are_named():
    curves = {item.name: item for item in response_curves(ask(smile, curve_faces()))}
    curve = curves["brow_lower"]
    expected = [label for label in curve.labels.names if curve.expected(label) > 0]
    assert len(expected) > 2
    for risen, end in ((1, "rises."), (2, "rise.")):
        shifts = tuple(
            Estimate(value=0.5, low=0.4, high=0.6) if label in expected[:risen] else shift
            for label, shift in zip(curve.labels.names, curve.shifts, strict=True)
        )
        sentence = expectation_sentence(replace(curve, shifts=shifts))
        assert sentence.endswith(f"; of these {' and '.join(expected[:risen])} {end}")


def test_the_limits_deny_a_measure_of_fairness():
    assert "no measure of fairness" in LIMITS


def test_a_verdict_says_what_moves_the_recommended_run(benchmark_copy):
    assert read_verdict(benchmark_copy).weaknesses.drawn_faces == ""
    write_stub_probes(benchmark_copy)
    verdict = read_verdict(benchmark_copy)
    sentence = verdict.weaknesses.drawn_faces
    assert sentence.startswith("On drawn faces with the expression held fixed: Skin tone 8 of 9")
    assert "turns 100% [93, 100] of neutral faces into angry (50 of 50)" in sentence
    assert verdict_json(verdict)["weaknesses"]["drawn_faces"] == sentence
    assert any(sentence in part for part in verdict_section(verdict))
    run = benchmark_copy.run(verdict.recommended.run_id)
    run.probes_path.write_bytes(b"damaged")
    assert probe_sentence(run) == ""


def effect_of(shifts: dict[str, float], flips: list[Flips]) -> AttributeEffect:
    """Glasses, with significant mean shifts."""
    values = tuple(
        ClassShift(label, Estimate(value=value, low=value - 0.01, high=value + 0.01), 0.001)
        for label, value in shifts.items()
    )
    share = Estimate(value=0.05, low=0.02, high=0.1)
    return AttributeEffect(ATTRIBUTES["glasses"], share, values, tuple(flips), 200)


def flipped(expression: str, predicted: str, count: int) -> Flips:
    """Faces whose prediction was right before."""
    return Flips(expression, predicted, tuple(range(count)), (expression,) * count, 25)


@pytest.mark.parametrize(
    ("flips", "expected"),
    [
        # few, to a class that falls: the shift is described
        ([flipped("happy", "neutral", 3)], "Glasses move the probability of neutral -20 points"),
        ([flipped("happy", "sad", 2)], "Glasses move the probability of neutral -20 points"),
        ([flipped("happy", "sad", 3)], "Glasses turn 12% [4, 30] of happy faces into sad"),
        # many are certain, whatever the mean does
        (
            [flipped("happy", "neutral", 12)],
            "Glasses turn 48% [30, 67] of happy faces into neutral",
        ),
        # as many change back
        (
            [
                flipped("happy", "sad", 4),
                Flips("happy", "happy", (5, 6, 7), ("sad",) * 3, 25),
            ],
            "Glasses move the probability of neutral -20 points",
        ),
    ],
)
def test_changed_predictions_are_named_if_they_are_certain_or_supported(flips, expected):
    effect = effect_of({"neutral": -0.2, "sad": 0.05}, flips)
    assert effect_sentence(effect, ("happy", "neutral")).startswith(expected)
