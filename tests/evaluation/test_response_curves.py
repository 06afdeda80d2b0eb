"""Response curves of models whose rule is known."""

import numpy as np
import pytest

from fer_core.evaluation.response_curves import response_curves, strongest_units, threshold_of
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.synthetic.probe_design import ProbeKind, attribute_faces, curve_faces
from tests.support.probes import ask, smile

HAPPY, NEUTRAL = SEVEN_EMOTIONS.index("happy"), SEVEN_EMOTIONS.index("neutral")


@pytest.fixture(scope="module")
def curves():
    return {(item.kind, item.name): item for item in response_curves(ask(smile, curve_faces()))}


def test_a_known_rule_gets_exactly_its_curve_and_threshold(curves):
    curve = curves[ProbeKind.UNIT, "lip_corner_pull"]
    np.testing.assert_array_equal(curve.mean[:, HAPPY], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(curve.mean[:, NEUTRAL], [1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(curve.low, curve.mean)
    np.testing.assert_array_equal(curve.high, curve.mean)
    assert (curve.threshold.level, curve.threshold.changed, curve.threshold.becomes) == (
        3,
        1.0,
        "happy",
    )
    assert curve.shifts[HAPPY].value == curve.shifts[HAPPY].low == 1.0


def test_units_that_a_rule_ignores_have_flat_curves(curves):
    for unit in ("brow_lower", "jaw_drop", "cheek_raise"):
        curve = curves[ProbeKind.UNIT, unit]
        np.testing.assert_array_equal(curve.mean[:, NEUTRAL], 1.0)
        assert curve.threshold.level is None
        assert curve.threshold.changed == 0.0
        assert [curve.direction(label) for label in SEVEN_EMOTIONS.names] == [0] * 7


def test_a_prototype_moves_by_its_units(curves):
    # the smile's lip corner puller has full intensity, the frown has none
    assert curves[ProbeKind.PROTOTYPE, "happy"].threshold.level == 3
    assert curves[ProbeKind.PROTOTYPE, "sad"].threshold.level is None


def test_directions_are_compared_with_the_coding_system(curves):
    curve = curves[ProbeKind.UNIT, "lip_corner_pull"]
    assert (curve.expected("happy"), curve.direction("happy")) == (1, 1)
    assert (curve.expected("neutral"), curve.direction("neutral")) == (-1, -1)
    assert curve.expected("sad") == 0
    fear = curves[ProbeKind.PROTOTYPE, "fear"]
    assert (fear.expected("fear"), fear.direction("fear")) == (1, 0)
    assert (fear.expected("neutral"), fear.expected("happy")) == (-1, 0)


def test_the_strongest_unit_of_a_class_comes_first(curves):
    assert strongest_units(list(curves.values()), "happy")[0].name == "lip_corner_pull"


def test_half_of_the_persons_decide_the_threshold():
    # persons change at 1, 3, 4 and never: half of them have changed at 3
    predicted = np.full((6, 4), NEUTRAL)
    for person, level in enumerate((1, 3, 4)):
        predicted[level:, person] = HAPPY
    result = threshold_of(predicted, SEVEN_EMOTIONS)
    assert (result.level, result.changed, result.becomes) == (3, 0.75, "happy")


def test_an_interval_covers_the_share_of_persons():
    def half(face):
        return "happy" if face.identity < 25 and face.name == "lip_corner_pull" else "neutral"

    (curve,) = [
        item for item in response_curves(ask(half, curve_faces())) if item.name == "lip_corner_pull"
    ]
    shift = curve.shifts[HAPPY]
    assert shift.value == 0.5
    # binomial(50, 1/2): 0.5 +- 1.96 * 0.0707
    assert shift.low == pytest.approx(0.36, abs=0.03)
    assert shift.high == pytest.approx(0.64, abs=0.03)


def test_a_probe_without_curves_has_none():
    assert response_curves(ask(smile, attribute_faces())) == ()
