"""Licences of a run's weights, without loading a model."""

from collections.abc import Callable, Mapping

from fer_core.records import RunInfo

UNKNOWN = "unknown"
"""Licence of imported models and of weights from a file or the hub."""

UNVERIFIED = "unverified"
"""Licence of weights whose terms could not be verified, see `fer_core/models/starts/README.md`."""

LICENCES: Mapping[str, str] = {
    "conv_stem_vit": "MIT",
    "efficientnet_b4": "Apache-2.0",
    "efficientnet_lite0": "Apache-2.0",
    "efficientnet_lite1": "Apache-2.0",
    "efficientnet_lite2": "Apache-2.0",
    "hf_vit_base": "Apache-2.0",
    "hf_vit_small": "Apache-2.0",
    "mobilenet_face": UNVERIFIED,
    "resnet34": "Apache-2.0",
    "resnet_face": "MIT",
    "scratch_vit": "MIT",
    "vgg16": "BSD-3-Clause",
    "vit_base": "Apache-2.0",
    "vit_tiny": "Apache-2.0",
}
"""SPDX id by architecture: of its code and of the weights that it starts from. The registry of
architectures says the same in its own words; a test compares them."""


def weight_licences(info: RunInfo, find: Callable[[str], RunInfo | None]) -> tuple[str, ...]:
    """Returns the licences of a run's weights, sorted; of all members for an ensemble.

    Args:
        info: Metadata of the run.
        find: Returns the metadata of a member; None if it is missing.
    """
    if info.kind != "ensemble":
        return (_licence(info),)
    members = [find(name) for name in info.members]
    return tuple(sorted({UNKNOWN if licence is None else _licence(licence) for licence in members}))


def _licence(info: RunInfo) -> str:
    model = info.recipe.get("model", {})
    from_run = info.init == "checkpoint" and info.init_source.startswith("run ")
    if info.kind == "imported" or not (from_run or info.init in ("scratch", "imagenet", "face")):
        return UNKNOWN
    return LICENCES.get(str(model.get("architecture", "")), UNKNOWN)
