"""The design of a probe, and what its faces differ by."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fer_core.labels import Emotion
from fer_core.records import BenchmarkInfo, Framing
from fer_core.synthetic.action_units import PROTOTYPES, UNIT_NAMES
from fer_core.synthetic.attributes import ATTRIBUTES, BASE, COMPARED
from fer_core.synthetic.emfacs import CLASSES_OF_UNIT, FACS_NUMBERS, expected_direction
from fer_core.synthetic.face import draw_person, render
from fer_core.synthetic.probe_design import (
    IDENTITIES,
    ProbeFace,
    ProbeKind,
    ProbeView,
    attribute_faces,
    curve_faces,
    design_hash,
    draw_probe_face,
    draw_units,
    expressions_of,
)

VIEW = ProbeView(48)


def face(attribute=BASE, expression="neutral", person=3, level=5):
    return ProbeFace(ProbeKind.ATTRIBUTE, attribute, expression, level, person)


def test_curves_have_every_unit_and_emotion_at_every_intensity_on_fifty_persons():
    faces = curve_faces()
    assert IDENTITIES == 50
    assert len(faces) == 50 * (1 + 5 * (16 + 6)) == len(set(faces))
    counts = Counter((item.kind, item.name, item.level) for item in faces)
    assert set(counts.values()) == {50}
    assert curve_faces(0, 10) + curve_faces(10) == faces


def test_attributes_have_neutral_on_every_person_and_emotions_on_half_of_them():
    counts = Counter(item.expression for item in attribute_faces())
    assert counts.pop("neutral") == 50
    assert set(counts) == {emotion.value for emotion in Emotion} - {"neutral"}
    assert 24 <= min(counts.values()) <= max(counts.values()) <= 26
    assert all(len(set(expressions_of(person))) == 4 for person in range(50))


def test_a_unit_rises_alone():
    units = ProbeFace(ProbeKind.UNIT, "jaw_drop", "", 2, 0).units.as_mapping()
    assert units["jaw_drop"] == pytest.approx(0.4)
    assert sum(value > 0 for value in units.values()) == 1


def test_the_table_of_the_coding_system_covers_every_unit_and_core_of_each_prototype():
    assert set(CLASSES_OF_UNIT) == set(FACS_NUMBERS) == set(UNIT_NAMES)
    for emotion, prototypes in PROTOTYPES.items():
        for unit, intensity in prototypes[0].units.as_mapping().items():
            if intensity >= 0.9:
                assert emotion in CLASSES_OF_UNIT[unit], (emotion, unit)
    assert expected_direction("lip_corner_pull", "happy") == 1
    assert expected_direction("lip_corner_pull", "neutral") == -1
    assert expected_direction("lip_corner_pull", "sad") == 0
    assert expected_direction("lid_droop", "neutral") == 0


def test_glasses_change_only_the_surroundings_of_the_eyes():
    before = draw_probe_face(face(), VIEW).astype(int)
    after = draw_probe_face(face("glasses"), VIEW).astype(int)
    changed = np.abs(after - before).max(axis=2) > 2
    rows = np.flatnonzero(changed.any(axis=1))
    assert changed.any()
    assert not changed[34:].any()  # the mouth and the chin stay, with their noise
    assert rows.min() > 5


def test_a_beard_does_not_change_the_brows():
    before = draw_probe_face(face(), VIEW)
    after = draw_probe_face(face("beard_full"), VIEW)
    np.testing.assert_array_equal(before[:18], after[:18])
    assert (before[30:] != after[30:]).any()


@pytest.mark.parametrize("name", [item.name for item in COMPARED if not item.image_change])
def test_every_drawn_attribute_changes_the_picture(name):
    reference = ATTRIBUTES[name].reference
    before = draw_probe_face(face(reference, "happy"), ProbeView(32))
    after = draw_probe_face(face(name, "happy"), ProbeView(32))
    assert (before != after).mean() > 0.01


def test_skin_tones_darken_the_face_step_by_step():
    means = [draw_probe_face(face(f"skin_{tone}"), VIEW)[20:40, 16:32].mean() for tone in
             range(1, 10)]  # fmt: skip
    assert means == sorted(means, reverse=True)


def test_the_view_follows_the_framing_of_the_benchmark():
    framing = Framing(box=1.02, drop=0.05, images=1, found=1, spread=(1.0, 1.0))
    info = BenchmarkInfo.model_construct(side=48, framing=framing)
    view = ProbeView.of(info)
    assert (view.side, view.half_view) == (48, pytest.approx(1.0))
    assert view.centre == pytest.approx(0.17 - 0.1)
    assert ProbeView.of(BenchmarkInfo.model_construct(side=16, framing=None)) == ProbeView(32)
    assert design_hash(view) != design_hash(VIEW)


def test_two_units_rise_together():
    pair = draw_units({"jaw_drop": 5, "brow_lower": 5}, 3, VIEW)
    single = draw_units({"jaw_drop": 5, "brow_lower": 0}, 3, VIEW)
    assert (pair[:18] != single[:18]).any()
    np.testing.assert_array_equal(pair[36:], single[36:])


def test_equal_faces_are_equal_and_the_persons_are_those_of_the_renderer():
    np.testing.assert_array_equal(draw_probe_face(face(), VIEW), draw_probe_face(face(), VIEW))
    assert draw_person(5) == draw_person(5)
    assert replace(draw_person(5), age=0.0) != draw_person(6)
    assert render(5, Emotion.HAPPY, side=32).image.shape == (32, 32, 3)
