"""`preprocessor_config.json` becomes the same numbers that the image processor computes."""

import json

import numpy as np
import pytest
from transformers import ConvNextImageProcessor, EfficientNetImageProcessor

from fer_core.data.preprocessing import Preprocessing
from fer_core.errors import WeightsError
from fer_core.models.processor import CROPS_CENTRE, read_processor
from fer_core.models.published import InputOptions

NONE = InputOptions()


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        # what the processor computes for a pixel of 51 (0.2 in 0 to 1)
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, (0.2 - 0.5) / 0.5),
        ({"do_normalize": False}, 0.2),
        ({"do_rescale": False, "do_normalize": False}, 51.0),
        ({"rescale_factor": 1 / 127.5, "do_normalize": False}, 0.4),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, 0.4 - 1),
        ({"image_mean": 0.1, "image_std": [0.2]}, 0.5),
    ],
)
def test_the_normalisation_is_that_of_the_processor(processor, expected):
    result, _ = read_processor({"size": 32, **processor}, {}, NONE, "theirs")
    np.testing.assert_allclose((0.2 - np.array(result.mean)) / np.array(result.std), expected)


@pytest.mark.parametrize(
    ("processor", "config", "side"),
    [
        ({"size": {"height": 48, "width": 48}}, {}, 48),
        ({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}, {}, 224),
        ({"size": {"shortest_edge": 224}}, {"image_size": 384}, 224),
        ({}, {"image_size": 384}, 384),
        ({"size": [64, 64]}, {}, 64),
    ],
)
def test_the_input_size_is_found(processor, config, side):
    result, notes = read_processor({"do_normalize": False, **processor}, config, NONE, "theirs")
    assert result.image_size == side
    assert bool(notes) == ("crop_size" in processor)


def test_the_users_input_takes_precedence():
    given = InputOptions(40, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    assert read_processor({}, {}, given, "theirs") == (given, [])


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({"do_normalize": False}, "do not say the input size"),
        ({"size": {"height": 48, "width": 64}, "do_normalize": False}, "only square input"),
        ({"size": 48, "image_mean": [0.5, 0.5], "image_std": [1, 1, 1]}, "no usable image_mean"),
        ({"size": 48}, "no usable image_mean"),
        ({}, "Pass --mean and --std"),
    ],
)
def test_what_is_missing_is_named(processor, message):
    with pytest.raises(WeightsError, match=message):
        read_processor(processor, {}, NONE, "theirs")


def test_a_value_that_is_given_need_not_be_in_the_file():
    mean = (0.1, 0.2, 0.3)
    processor, given = {"size": 48, "image_std": 0.2}, InputOptions(48, mean, mean)
    result, _ = read_processor(processor, {}, InputOptions(mean=mean), "theirs")
    assert result == InputOptions(48, mean, (0.2, 0.2, 0.2))
    assert read_processor({"size": 48}, {}, given, "theirs") == (given, [])


@pytest.mark.parametrize(
    ("side", "crop_pct", "crops"), [(64, None, True), (64, 1.0, False), (384, None, False)]
)
def test_the_centre_crop_of_convnext_is_named(side, crop_pct, crops):
    share = {} if crop_pct is None else {"crop_pct": crop_pct}
    processor = ConvNextImageProcessor(size={"shortest_edge": side}, resample=2, **share)
    _, notes = read_processor(json.loads(processor.to_json_string()), {}, NONE, "theirs")
    assert notes == ([CROPS_CENTRE] if crops else [])
    # the processor itself keeps a frame around the image exactly where no note is given
    framed = np.full((side, side, 3), 255, dtype=np.uint8)
    framed[1:-1, 1:-1] = 0
    values = processor(framed, do_rescale=False, do_normalize=False, return_tensors="np")
    assert (values["pixel_values"].max() < 100) == crops


def test_the_former_name_of_convnexts_processor_is_known():
    former = {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.9}
    _, notes = read_processor({**former, "do_normalize": False}, {}, NONE, "theirs")
    assert notes == [CROPS_CENTRE]


@pytest.mark.parametrize(
    "options",
    [{}, {"include_top": False}, {"rescale_offset": True}, {"do_normalize": False}],
)
def test_the_input_of_efficientnet_is_that_of_its_processor(options):
    processor = EfficientNetImageProcessor(
        size={"height": 8, "width": 8},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        **options,
    )
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = processor(pixels, return_tensors="np")["pixel_values"]
    result, _ = read_processor(json.loads(processor.to_json_string()), {}, NONE, "theirs")
    preprocessing = Preprocessing(8, True, 8, result.mean, result.std)
    np.testing.assert_allclose(preprocessing.array(pixels[None]), expected, rtol=1e-4, atol=1e-4)
