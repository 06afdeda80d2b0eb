"""Input of a transformers model: `preprocessor_config.json` as size, mean and std."""

from collections.abc import Mapping
from typing import Any

from fer_core.config import Rgb
from fer_core.errors import WeightsError
from fer_core.models.published import InputOptions

CROPS_CENTRE = (
    "Its image processor crops the centre after resizing; here the whole face is resized. "
    "Predictions differ from those with its processor."
)
"""Note on a model whose own input is a centre crop."""

_CONVNEXT_CROP_PCT = 224 / 256
_CONVNEXT_WARPS_FROM = 384  # px


def read_processor(
    processor: Mapping[str, Any], config: Mapping[str, Any], options: InputOptions, name: str
) -> tuple[InputOptions, list[str]]:
    """Returns a model's complete input, and notes on what differs from its image processor.

    Args:
        processor: Content of `preprocessor_config.json`; empty if there is none.
        config: Content of `config.json`.
        options: The user's options, which take precedence.
        name: The model, for messages.

    Raises:
        WeightsError: If a value is missing or of no use here; says which option gives it.
    """
    mean, std = options.mean, options.std
    if (mean is None or std is None) and not processor:
        raise WeightsError(
            f"{name} has no preprocessor_config.json, so its input is unknown. Pass --mean and "
            "--std, such as --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5."
        )
    mean = mean or _mean(processor, name)
    std = std or _std(processor, name)
    size = options.image_size or _side(processor, config, name)
    notes = []
    if options.image_size is None and _crops_centre(processor, size):
        notes.append(CROPS_CENTRE)
    if processor.get("do_flip_channel_order"):
        notes.append("The model reads BGR images. Its predictions for colour images may be wrong.")
    return InputOptions(size, mean, std), notes


def _crops_centre(processor: Mapping[str, Any], size: int) -> bool:
    """Whether an image processor crops the centre, which ConvNeXt's does without saying so."""
    if processor.get("do_center_crop"):
        return True
    if not _is(processor, "ConvNext") or not processor.get("do_resize", True):
        return False
    share = float(processor.get("crop_pct") or _CONVNEXT_CROP_PCT)
    return size < _CONVNEXT_WARPS_FROM and int(size / share) > size


def _is(processor: Mapping[str, Any], prefix: str) -> bool:
    """Whether an image processor is of this kind, by its present or its former key."""
    kind = processor.get("image_processor_type") or processor.get("feature_extractor_type")
    return isinstance(kind, str) and kind.startswith(prefix)


def _scale(processor: Mapping[str, Any]) -> float:
    """Returns the factor of values in 0 to 1 before they are normalised."""
    factor: Any = processor.get("rescale_factor", 1 / 255)
    return 255 * float(factor) if processor.get("do_rescale", True) else 255.0


def _mean(processor: Mapping[str, Any], name: str) -> Rgb:
    """Returns the mean for values in 0 to 1."""
    offset, mean = 1.0 if processor.get("rescale_offset") else 0.0, (0.0, 0.0, 0.0)
    if processor.get("do_normalize", True):
        mean = _rgb(processor.get("image_mean"), "image_mean", name)
    shifted = tuple((value + offset) / _scale(processor) for value in mean)
    return shifted[0], shifted[1], shifted[2]


def _std(processor: Mapping[str, Any], name: str) -> Rgb:
    """Returns the standard deviation for values in 0 to 1."""
    std = (1.0, 1.0, 1.0)
    if processor.get("do_normalize", True):
        std = _rgb(processor.get("image_std"), "image_std", name)
    if _is(processor, "EfficientNet") and processor.get("include_top", True):
        # it divides by image_std a second time, whether or not it normalises
        again = _rgb(processor.get("image_std"), "image_std", name)
        std = (std[0] * again[0], std[1] * again[1], std[2] * again[2])
    scaled = tuple(value / _scale(processor) for value in std)
    return scaled[0], scaled[1], scaled[2]


def _rgb(values: object, key: str, name: str) -> Rgb:
    numbers: list[Any] = values if isinstance(values, list) else [values]
    if len(numbers) == 1:
        numbers = numbers * 3
    if len(numbers) != 3 or not all(isinstance(value, int | float) for value in numbers):
        raise WeightsError(
            f"preprocessor_config.json of {name} has no usable {key} ({values}). Pass --mean and "
            "--std."
        )
    return (float(numbers[0]), float(numbers[1]), float(numbers[2]))


def _side(processor: Mapping[str, Any], config: Mapping[str, Any], name: str) -> int:
    """Returns the side of the network's input in pixels."""
    crop = processor.get("crop_size") if processor.get("do_center_crop") else None
    for size in (crop, processor.get("size"), config.get("image_size")):
        side = _square(size, name)
        if side is not None:
            return side
    raise WeightsError(f"The files of {name} do not say the input size. Pass --image-size.")


def _square(size: object, name: str) -> int | None:
    if isinstance(size, Mapping):
        if "height" in size and "width" in size:
            size = [size["height"], size["width"]]
        else:
            size = size.get("shortest_edge")
    if isinstance(size, list) and len(size) == 2:
        if size[0] != size[1]:
            raise WeightsError(
                f"{name} takes images of {size[0]} x {size[1]} px; only square input is supported."
            )
        size = size[0]
    return size if isinstance(size, int) and size > 0 else None
