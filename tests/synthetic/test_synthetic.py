"""The drawn faces: reproducible, truthful masks, splits by person, found by a face detector."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from fer_core.data.plan import PrepareOptions, SplitPlan
from fer_core.data.prepare import prepare_sources
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import SPLITS, Sample, Source
from fer_core.data.sources.synthetic import (
    BALANCE,
    MIN_COUNT,
    PER_IDENTITY,
    PROTOTYPES,
    REGIONS,
    ActionUnits,
    SyntheticSource,
    portrait,
    render,
)
from fer_core.errors import DataError
from fer_core.labels import SEVEN_EMOTIONS, Emotion
from fer_core.synthetic import face as face_module
from fer_core.synthetic.action_units import UNIT_NAMES, draw_units
from fer_core.synthetic.identity import Beard, Hair, draw_identity
from fer_core.synthetic.relief import shade
from fer_core.synthetic.scene import Occluder, draw_scene, draw_studio
from fer_core.synthetic.shapes import shape_eyes, shape_head, shape_mouth
from training.examples import EXAMPLES, QUALITY, SIDE, write_examples


def _centre_row(mask):
    return float(np.nonzero(mask)[0].mean())


def _scene(number=0):
    return draw_studio(np.random.default_rng(number))


def _person(number=0):
    return draw_identity(np.random.default_rng(number))


def _drawn(person, side=192):
    units = ActionUnits()
    image, masks = face_module._compose(
        person, units, _scene(), side, lambda part: np.random.default_rng(0)
    )
    return face_module.SyntheticFace(image, masks, Emotion.NEUTRAL, 0.0, units)


def _eye_area(units, number=0):
    scene, person = _scene(number), _person(number)
    head = shape_head(person, units, scene.pose, scene.camera, 256)
    return int((shape_eyes(head, person, units, scene.pose).opening < 0).sum())


def _mouth_area(units, number=0):
    scene, person = _scene(number), _person(number)
    head = shape_head(person, units, scene.pose, scene.camera, 256)
    return int((shape_mouth(head, person, units).lips < 0).sum())


class TestRender:
    def test_equal_arguments_give_equal_bytes(self):
        first, second = render(7, Emotion.FEAR), render(7, Emotion.FEAR)
        assert first.image.tobytes() == second.image.tobytes()
        assert first.units == second.units
        assert all((first.masks[name] == second.masks[name]).all() for name in first.masks)

    def test_other_seed_emotion_or_intensity_gives_other_bytes(self):
        images = {
            render(7, Emotion.FEAR).image.tobytes(),
            render(8, Emotion.FEAR).image.tobytes(),
            render(7, Emotion.SAD).image.tobytes(),
            render(7, Emotion.FEAR, intensity=0.99).image.tobytes(),
            render(7, Emotion.FEAR, identity=8).image.tobytes(),
        }
        assert len(images) == 5

    @pytest.mark.parametrize("side", [32, 112, 161])
    def test_shapes_types_and_content(self, side):
        drawn = render(3, Emotion.HAPPY, side=side)
        assert drawn.image.shape == (side, side, 3)
        assert drawn.image.dtype == np.uint8
        assert drawn.image.std() > 10
        assert set(drawn.masks) == {*REGIONS, "face"}
        assert all(mask.shape == (side, side) for mask in drawn.masks.values())
        assert all(mask.dtype == np.bool_ for mask in drawn.masks.values())

    def test_the_requested_intensity_is_kept_and_random_ones_span_the_range(self):
        assert render(1, Emotion.SAD, side=32, intensity=0.4).intensity == 0.4
        drawn = [render(seed, Emotion.SAD, side=32).intensity for seed in range(40)]
        assert 0.3 <= min(drawn) < 0.5
        assert 0.9 < max(drawn) <= 1.0

    def test_a_seed_gives_the_same_person_for_every_expression(self, monkeypatch):
        people = []
        monkeypatch.setattr(
            face_module,
            "_compose",
            lambda identity, *_: (people.append(identity), {}),
        )
        render(5, Emotion.HAPPY)
        render(99, Emotion.ANGRY, identity=5)
        portrait(5, Emotion.SAD)
        render(6, Emotion.HAPPY)
        assert people[0] == people[1] == people[2] != people[3]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"seed": -1}, "seed"),
            ({"seed": 0, "side": 16}, "side"),
            ({"seed": 0, "intensity": 1.2}, "intensity"),
        ],
    )
    def test_refuses_numbers_out_of_range(self, arguments, said):
        with pytest.raises(ValueError, match=said):
            render(emotion=Emotion.HAPPY, **arguments)

    def test_arithmetic_stays_in_single_precision(self):
        scene, person, units = _scene(), _person(), ActionUnits(jaw_drop=0.5)
        head = shape_head(person, units, scene.pose, scene.camera, 48)
        assert head.u.dtype == np.float32
        assert shape_mouth(head, person, units).lips.dtype == np.float32
        assert shade(head.depth, scene.light, head.pixel).diffuse.dtype == np.float32

    def test_no_division_by_zero_below_the_chin(self):
        person = dataclasses.replace(_person(), jaw_taper=0.5)
        scene = _scene()
        for side in (64, 320):
            with np.errstate(divide="raise", invalid="raise"):
                head = shape_head(person, ActionUnits(), scene.pose, scene.camera, side)
            assert np.isfinite(head.gauge).all()
            assert (head.gauge[head.y > person.chin + 0.01] >= 1.0).all()


class TestMasks:
    @pytest.mark.parametrize("emotion", list(Emotion))
    def test_unoccluded_faces_show_every_region_at_its_position(self, emotion):
        for seed in range(3):
            masks = portrait(seed, emotion, 128).masks
            assert all(masks[name].any() for name in REGIONS)
            rows = [_centre_row(masks[name]) for name in ("brows", "eyes", "nose", "mouth")]
            assert rows == sorted(rows)

    def test_regions_are_on_the_face_and_disjoint(self):
        for seed in range(10):
            masks = render(seed, Emotion.ANGRY).masks
            for name in REGIONS:
                assert not (masks[name] & ~masks["face"]).any()
            assert not (masks["eyes"] & masks["mouth"]).any()
            assert not (masks["brows"] & masks["mouth"]).any()
            assert not (masks["nose"] & masks["mouth"]).any()

    def test_eyes_and_brows_are_pairs_beside_the_nose(self):
        masks = portrait(4, Emotion.NEUTRAL, 256).masks
        middle = np.nonzero(masks["nose"])[1].mean()
        for name in ("eyes", "brows"):
            columns = np.nonzero(masks[name])[1]
            left, right = (columns < middle).sum(), (columns > middle).sum()
            assert 0.6 < left / right < 1.7

    @pytest.mark.parametrize(
        ("trait", "value", "region", "share"),
        [
            ("lip_colour", (0.0, 0.6, 0.0), "mouth", 0.8),
            ("iris", (0.0, 1.0, 0.0), "eyes", 0.2),
            ("brow_density", 0.0, "brows", 0.7),
        ],
    )
    def test_a_changed_feature_changes_only_pixels_of_its_mask(self, trait, value, region, share):
        plain, repainted = (
            _drawn(dataclasses.replace(_person(1), **{"brow_density": 1.0, **traits}))
            for traits in ({}, {trait: value})
        )
        change = np.abs(plain.image.astype(int) - repainted.image.astype(int)).max(axis=2)
        mask = plain.masks[region]
        assert not (change[~binary_dilation(mask, iterations=2)] > 8).any()
        assert (change[mask] > 8).mean() > share

    def test_the_mouth_opens_with_jaw_drop_and_the_eyes_with_lid_raise(self):
        for number in range(5):
            mouths = [_mouth_area(ActionUnits(jaw_drop=x), number) for x in (0, 0.3, 0.6, 1)]
            eyes = [_eye_area(ActionUnits(upper_lid_raise=x), number) for x in (0, 0.3, 0.6, 1)]
            assert mouths == sorted(set(mouths))
            assert eyes == sorted(set(eyes))

    def test_closed_eyes_have_almost_no_opening(self):
        assert _eye_area(ActionUnits(lid_droop=1.0)) < 0.45 * _eye_area(ActionUnits())

    def test_occluders_are_removed_from_the_masks(self, monkeypatch):
        covered = next(
            seed for seed in range(100) if _drawn_scene(seed, Emotion.SAD).occluder is Occluder.HAND
        )
        with_hand = render(covered, Emotion.SAD)
        monkeypatch.setattr(
            face_module.surroundings, "occluder", lambda _, head, *__: np.zeros_like(head.x)
        )
        without = render(covered, Emotion.SAD)
        assert with_hand.masks["face"].sum() < without.masks["face"].sum()
        for name, mask in with_hand.masks.items():
            assert not (mask & ~without.masks[name]).any()


def _drawn_scene(seed, emotion):
    """Repeats `render`'s draws up to the scene."""
    chance = np.random.default_rng(np.random.SeedSequence([seed, list(Emotion).index(emotion)]))
    draw_units(chance, emotion, face_module.draw_intensity(chance))
    return draw_scene(chance)


class TestUnits:
    def test_every_emotion_has_distinct_prototypes(self):
        assert set(PROTOTYPES) == set(Emotion)
        ways = [way.units for prototypes in PROTOTYPES.values() for way in prototypes]
        assert len(set(ways)) == len(ways)
        assert all(way.weight > 0 for prototypes in PROTOTYPES.values() for way in prototypes)

    def test_only_neutral_has_no_movements(self):
        assert [way.units for way in PROTOTYPES[Emotion.NEUTRAL]] == [ActionUnits()]
        for emotion in set(Emotion) - {Emotion.NEUTRAL}:
            for way in PROTOTYPES[emotion]:
                assert max(way.units.as_mapping().values()) >= 0.8

    @pytest.mark.parametrize(
        ("emotion", "units"),
        [
            (Emotion.HAPPY, {"cheek_raise", "lip_corner_pull"}),
            (Emotion.SAD, {"inner_brow_raise", "brow_lower", "lip_corner_depress"}),
            (Emotion.SURPRISE, {"inner_brow_raise", "outer_brow_raise", "upper_lid_raise"}),
            (
                Emotion.FEAR,
                {"inner_brow_raise", "outer_brow_raise", "brow_lower", "lip_stretch"},
            ),
            (Emotion.ANGRY, {"brow_lower", "upper_lid_raise", "lid_tighten"}),
            (Emotion.DISGUST, {"nose_wrinkle", "upper_lip_raise"}),
        ],
    )
    def test_every_prototype_contains_the_emfacs_core_movements(self, emotion, units):
        for way in PROTOTYPES[emotion]:
            assert all(way.units.as_mapping()[name] > 0 for name in units)

    def test_similar_emotions_share_movements(self):
        def used(emotion):
            return {
                name
                for way in PROTOTYPES[emotion]
                for name, value in way.units.as_mapping().items()
                if value > 0
            }

        assert len(used(Emotion.FEAR) & used(Emotion.SURPRISE)) >= 4
        assert len(used(Emotion.ANGRY) & used(Emotion.DISGUST)) >= 4

    def test_intensity_scales_movements_down_to_random_ones_at_zero(self):
        rng = np.random.default_rng(0)
        assert draw_units(rng, Emotion.HAPPY, 0.0, stray=0.0) == ActionUnits()
        full = draw_units(rng, Emotion.SURPRISE, 1.0, stray=0.0)
        assert full in [way.units for way in PROTOTYPES[Emotion.SURPRISE]]
        for _ in range(100):
            stray = draw_units(rng, Emotion.NEUTRAL, 1.0).as_mapping()
            assert max(stray.values()) < 0.3

    def test_refuses_intensities_out_of_range(self):
        with pytest.raises(ValueError, match="jaw_drop"):
            ActionUnits(jaw_drop=1.1)

    def test_names_follow_facs_order(self):
        assert UNIT_NAMES[:3] == ("inner_brow_raise", "outer_brow_raise", "brow_lower")


class TestIdentity:
    def test_identities_cover_the_whole_range(self):
        people = [_person(number) for number in range(400)]
        assert {person.hair for person in people} == set(Hair)
        assert {person.beard for person in people} == set(Beard)
        assert {person.glasses for person in people} == {True, False}
        brightness = np.sqrt([sum(person.skin) / 3 for person in people])
        assert brightness.min() < 0.25
        assert brightness.max() > 0.85


@pytest.fixture(scope="module")
def source():
    return SyntheticSource(140, seed=1, side=32)


@pytest.fixture(scope="module")
def samples(source):
    return list(source)


@pytest.fixture(scope="module")
def detector():
    dlib = pytest.importorskip("dlib", reason="dlib, the face detector, is not installed")
    return dlib.get_frontal_face_detector()


class TestSource:
    def test_synthetic_source_implements_the_protocol(self, source, samples):
        typed: Source = source
        assert typed.colour is True
        assert typed.origin.name == "synthetic"
        assert len(samples) == len(typed) == 140
        assert all(isinstance(sample, Sample) for sample in samples)
        assert [sample.key for sample in samples[:2]] == ["000000", "000001"]
        assert {sample.label for sample in samples} == set(SEVEN_EMOTIONS.names)
        assert samples[0].image.shape == (32, 32, 3)

    def test_iterating_twice_gives_equal_bytes(self, source):
        first, second = next(iter(source)), next(iter(source))
        assert first.image.tobytes() == second.image.tobytes()
        assert source.face(0).image.tobytes() == first.image.tobytes()

    def test_splits_have_the_configured_shares_and_all_classes(self, samples):
        sizes = {split: sum(s.split == split for s in samples) for split in SPLITS}
        assert sizes == {"train": 98, "validation": 14, "test": 28}
        for split in SPLITS:
            assert {s.label for s in samples if s.split == split} == set(Emotion)

    def test_class_imbalance_is_mild(self, samples):
        counts = {e: sum(s.label == e for s in samples) for e in Emotion}
        assert max(counts.values()) < 2.5 * min(counts.values())
        assert max(counts, key=counts.get) == Emotion.HAPPY
        assert sum(BALANCE.values()) == pytest.approx(1.0)

    def test_no_person_is_in_two_splits(self, source, samples):
        splits = {}
        for index, sample in enumerate(samples):
            splits.setdefault(source.identity(index), set()).add(sample.split)
        assert all(len(where) == 1 for where in splits.values())
        assert len(splits) < 140 / (PER_IDENTITY - 1)

    def test_datasets_of_different_seeds_share_no_person(self):
        first, second = SyntheticSource(70, seed=0, side=32), SyntheticSource(70, seed=1, side=32)
        people = [{source.identity(i) for i in range(70)} for source in (first, second)]
        assert not people[0] & people[1]
        assert first.face(0).image.tobytes() != second.face(0).image.tobytes()

    @pytest.mark.parametrize("count", [MIN_COUNT, 36, 71, 500, 1003])
    def test_the_number_of_images_is_exact(self, count):
        assert len(SyntheticSource(count)) == count

    @pytest.mark.parametrize(
        "arguments", [{"count": MIN_COUNT - 1}, {"count": 70, "seed": -1}, {"count": 70, "side": 8}]
    )
    def test_invalid_arguments_are_refused(self, arguments):
        with pytest.raises(DataError):
            SyntheticSource(**arguments)


class TestPortraits:
    def test_the_detector_finds_exactly_the_drawn_face(self, detector):
        for seed, emotion in enumerate(Emotion):
            drawn = portrait(seed, emotion, 320)
            result = detector(drawn.image, 0)
            assert len(result) == 1
            rows, columns = np.nonzero(drawn.masks["eyes"] | drawn.masks["mouth"])
            assert result[0].left() < columns.mean() < result[0].right()
            assert result[0].top() < rows.mean() < result[0].bottom()

    def test_the_face_is_about_half_as_wide_as_the_image(self):
        for seed in range(5):
            columns = np.nonzero(portrait(seed, Emotion.NEUTRAL, 128).masks["face"])[1]
            assert 0.38 < (columns.max() - columns.min()) / 128 < 0.6

    def test_examples_are_small_jpegs_with_one_face_each(self, detector, tmp_path):
        paths = write_examples(tmp_path / "examples")
        assert [path.name for path in paths] == ["happy.jpg", "surprise.jpg", "angry.jpg"]
        assert len({example.seed for example in EXAMPLES}) == 3
        assert QUALITY == 88
        for path in paths:
            content = path.read_bytes()
            assert len(content) < 60_000
            with Image.open(io.BytesIO(content)) as image:
                assert image.format == "JPEG"
                assert image.size == (SIDE, SIDE)
                assert len(detector(np.asarray(image), 0)) == 1


def test_persons_stay_in_one_split(tmp_path):
    options = PrepareOptions(side=64, split=SplitPlan(by="random"))
    dataset = prepare_sources(
        [SelectedSource(SyntheticSource(210, 0, 64))], options, tmp_path / "set", name="x"
    )
    used = dataset.samples[dataset.samples["split"] != "excluded"]
    assert set(used["split"]) == set(SPLITS)
    assert used.groupby("group")["split"].nunique().max() == 1
