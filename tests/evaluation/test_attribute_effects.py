"""Effects of attributes on models whose rule is known, and on models that ignore everything."""

import numpy as np
import pytest

from fer_core.evaluation.attribute_effects import (
    attribute_effects,
    drawn_accuracy,
    flip_shares,
    shift_p_values,
)
from fer_core.evaluation.probes import ProbePredictions
from fer_core.evaluation.significance import LEVEL
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.synthetic.attributes import ATTRIBUTES
from fer_core.synthetic.probe_design import attribute_faces
from tests.support.probes import ask, looks_at_skin, reads_expressions, smile

SKIN = [f"skin_{tone}" for tone in range(1, 10)]


def faces(*attributes):
    return [face for name in ("base", *attributes) for face in attribute_faces(name)]


def test_a_rule_that_ignores_skin_has_exactly_no_effect_of_it():
    effects = attribute_effects(ask(smile, faces(*SKIN)))
    assert len(effects) == 8
    for effect in effects:
        assert effect.flip_share.value == effect.flip_share.high == 0.0
        assert not effect.significant
        assert not effect.flips
        assert {shift.p_value for shift in effect.shifts} == {1.0}


def test_a_rule_that_looks_at_skin_is_detected_with_the_right_size():
    effects = {
        item.attribute.name: item for item in attribute_effects(ask(looks_at_skin, faces(*SKIN)))
    }
    dark = effects["skin_9"]
    # of four faces per person the neutral one flips: 50 of 200
    assert dark.pairs == 200
    assert dark.flip_share.value == 0.25
    (flips,) = dark.flips
    assert (flips.expression, flips.predicted, flips.share, flips.total) == (
        "neutral",
        "angry",
        1.0,
        50,
    )
    assert set(flips.before) == {"neutral"}
    shifts = {shift.label: shift for shift in dark.shifts}
    assert shifts["angry"].shift.value == 0.25
    assert shifts["neutral"].shift.value == -0.25
    assert shifts["angry"].significant
    assert not shifts["happy"].significant
    assert not effects["skin_1"].significant
    assert not effects["skin_7"].significant


def test_effects_are_sorted_by_size():
    names = [item.attribute.name for item in attribute_effects(ask(looks_at_skin, faces(*SKIN)))]
    assert set(names[:2]) == {"skin_8", "skin_9"}


def test_a_shift_below_one_point_is_no_effect_even_if_it_is_significant():
    asked = faces("glasses")

    def faint(items):
        probabilities = np.full((len(items), 7), 0.1)
        probabilities[:, 4] = [0.4 - 0.008 * (face.name == "glasses") for face in items]
        probabilities[:, 0] = [0.1 + 0.008 * (face.name == "glasses") for face in items]
        return probabilities

    (effect,) = attribute_effects(ProbePredictions.of(faint, asked, SEVEN_EMOTIONS))
    assert max(shift.p_value for shift in effect.shifts if shift.shift.value) < 1e-6
    assert not effect.significant


def test_a_model_that_ignores_everything_rarely_has_an_effect():
    """The family-wise error: probabilities that are drawn anew for every picture."""
    random = np.random.default_rng(0)
    compared = sum(item.name != item.reference for item in ATTRIBUTES.values()) - 1
    repeats, families = 400, 0
    for _ in range(repeats):
        before, after = random.dirichlet(np.full(7, 0.3), (2, 50, compared))
        families += bool((shift_p_values(after - before) < LEVEL).any())
    assert families / repeats <= 0.05


def test_the_test_has_power_against_a_small_shift():
    random = np.random.default_rng(0)
    shifts = random.normal(0.0, 0.05, (50, 40, 7))
    shifts[:, 0, 0] += 0.05
    assert shift_p_values(shifts)[0, 0] < LEVEL


def test_recall_on_drawn_faces_is_that_of_the_rule():
    accuracy = drawn_accuracy(ask(smile, faces()))
    assert accuracy.recalls["happy"] == accuracy.recalls["neutral"] == 1.0
    assert accuracy.macro_recall.value == pytest.approx(2 / 7)
    assert accuracy.recognised == ("happy", "neutral")
    assert accuracy.faces == 200
    full = drawn_accuracy(ask(reads_expressions, faces()))
    assert (full.macro_recall.value, full.macro_recall.low) == (1.0, 1.0)
    guessing = drawn_accuracy(ask(lambda face: "neutral", faces()))
    assert not guessing.is_valid
    assert guessing.least == pytest.approx(2 / 7)


def test_the_interval_of_recall_is_that_of_resampled_persons():
    """Half of the persons: the 2.5% and 97.5% quantiles of Binomial(50, 0.5) are 18 and 32."""
    neutral = [face for face in faces() if face.expression == "neutral"]
    recall = drawn_accuracy(
        ask(lambda face: "neutral" if face.identity % 2 else "sad", neutral)
    ).macro_recall
    assert (recall.value, recall.low, recall.high) == pytest.approx((0.5, 0.36, 0.64), abs=0.021)


def test_the_seed_determines_the_intervals():
    random = np.random.default_rng(0)
    asked = ProbePredictions.of(
        lambda items: random.dirichlet(np.ones(7), len(items)), faces("glasses"), SEVEN_EMOTIONS
    )
    for function in (attribute_effects, drawn_accuracy):
        assert function(asked) == function(asked) != function(asked, seed=1)


def test_shares_of_changed_answers_need_no_test():
    shares = flip_shares(ask(looks_at_skin, faces(*SKIN)), [*SKIN, "glasses"])
    assert shares["skin_9"] == 0.25
    assert shares["skin_1"] == 0.0
    assert "glasses" not in shares
