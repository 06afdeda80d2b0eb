"""What `prepare` is told: a frozen plan, from options or a yaml file; unknown keys are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_core.data.sources.base import SYNTHETIC, Format
from fer_core.data.sources.fer2013 import Labels
from fer_core.data.sources.formats import Options
from fer_core.errors import DataError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourcePlan(_Part):
    """One dataset of the set, and what is taken of it."""

    path: str = Field(description="file or folder, `synthetic`, or owner/name on the hub")
    format: Format | None = Field(default=None, description="recognised if not given")
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="stands before the keys in sample ids; the dataset's own name by default",
    )
    mapping: Mapping[str, str] = Field(
        default={}, description="our class names by theirs; an empty one leaves the class out"
    )
    classes: tuple[str, ...] | None = Field(default=None, description="take only these classes")
    limit: int | None = Field(default=None, ge=1, description="most images, drawn at random")
    weight: float | None = Field(
        default=None, gt=0, description="its part of the training images, relative to the others'"
    )
    role: Literal["all", "top-up"] = Field(
        default="all", description="top-up: only what `balance.top_up` asks for, in train only"
    )
    votes: Path | None = Field(default=None, description="FER2013: fer2013new.csv")
    labels: Labels | None = Field(default=None, description="FER2013: which annotation")
    image: str | None = Field(default=None, description="Hugging Face: image column")
    label: str | None = Field(default=None, description="Hugging Face: label column")
    count: int = Field(default=1400, ge=1, description="synthetic: number of images")
    side: int = Field(default=64, ge=1, description="synthetic: side in pixels")
    seed: int = Field(default=0, ge=0, description="synthetic: seed of the faces")
    faults: bool = Field(
        default=False, description="synthetic: plant copies, wrong labels and odd pictures"
    )

    @property
    def options(self) -> Options:
        """What the reader is told."""
        return Options(
            votes=self.votes,
            labels=self.labels,
            mapping=self.mapping or None,
            image=self.image,
            label=self.label,
            count=self.count,
            side=self.side,
            seed=self.seed,
            faults=self.faults,
        )


class CleanPlan(_Part):
    """What is set aside before anything else, with the reason."""

    faces: Literal["keep", "require", "crop"] = Field(
        default="keep",
        description="require: set aside pictures without a face; crop: and cut the face out",
    )
    min_side: int = Field(default=0, ge=0, description="of the picture, or of the cropped face")
    drop_flat: bool = Field(default=False, description="set aside pictures of one grey level")


class SplitPlan(_Part):
    """Who stands in which split; duplicates and groups never cross."""

    by: Literal["source", "random"] = Field(
        default="source", description="random: forget the splits that sources bring"
    )
    test: float = Field(default=0.2, gt=0, lt=1, description="share, where it is drawn")
    validation: float = Field(
        default=0.1, gt=0, lt=1, description="share of the training side, where it is drawn"
    )
    seed: int = Field(default=0, ge=0)


class TopUp(_Part):
    """Adds training images of one class from a source whose role is top-up."""

    label: str
    source: str
    to: int | Literal["mean", "largest"] = Field(
        default="mean", description="images of the class in train, at most; of the other classes'"
    )


class BalancePlan(_Part):
    """How the classes of the training split are evened out; validation and test stay."""

    top_up: tuple[TopUp, ...] = ()
    most: int | Literal["smallest", "mean"] | None = Field(
        default=None, description="most training images of a class; the rest is left out"
    )


class PrepareOptions(_Part):
    """All that `prepare` does to what the sources give."""

    title: str = Field(default="", description="shown; the sources' titles by default")
    side: int = Field(default=48, ge=16, le=512, description="of the stored images in pixels")
    colour: Literal["auto", "grey", "rgb"] = "auto"
    clean: CleanPlan = CleanPlan()
    split: SplitPlan = SplitPlan()
    balance: BalancePlan = BalancePlan()
    relabel: Path | None = Field(
        default=None, description="csv with id and label; an empty label sets the sample aside"
    )
    ship_pictures: bool = Field(
        default=False,
        description="publish the pictures too (WebP); only where you may: `synthetic`, your own",
    )


class PreparePlan(PrepareOptions):
    """A options and the sources that it is for."""

    sources: tuple[SourcePlan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        main = [source for source in self.sources if source.role == "all"]
        if not main:
            raise ValueError("at least one source must have the role all")
        if 0 < sum(source.weight is not None for source in main) < len(main):
            raise ValueError("give every source of the role all a weight, or none")
        if any(source.weight is not None for source in self.sources if source not in main):
            raise ValueError(
                "a source of the role top-up has no weight: balance.top_up says how much"
            )
        spare = {source.name for source in self.sources if source.role == "top-up"}
        for wish in self.balance.top_up:
            if wish.source not in spare:
                raise ValueError(
                    f"balance.top_up names {wish.source!r}, but no source has that name and the "
                    "role top-up"
                )
        return self


def read_plan(path: Path) -> PreparePlan:
    """Reads a plan; relative paths in it are seen from the plan's folder.

    Raises:
        DataError: If the file cannot be read, or naming each unknown key or value out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"The plan {path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"The plan {path} must be a mapping of keys to values.")
    return parse_plan(content, path.name, path.parent)


def parse_plan(content: Mapping[str, Any], name: str, folder: Path | None = None) -> PreparePlan:
    """Builds a plan from plain values.

    Args:
        content: As read from yaml.
        name: What errors call it.
        folder: Where relative paths start.

    Raises:
        DataError: Naming each unknown key or value out of range.
    """
    try:
        plan = PreparePlan.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'plan'}: {item['msg']}" for item in error.errors()
        )
        raise DataError(f"The plan {name} is not valid: {problems}.") from error
    return plan if folder is None else _rooted(plan, folder)


def _rooted(plan: PreparePlan, folder: Path) -> PreparePlan:
    def below(path: Path | None) -> Path | None:
        return None if path is None else folder / path  # an absolute path stays as it is

    sources = []
    for source in plan.sources:
        place = str(folder / source.path)
        named = source.path == SYNTHETIC or (
            source.format == "huggingface" and not Path(place).exists()
        )
        path = source.path if named else place
        sources.append(source.model_copy(update={"path": path, "votes": below(source.votes)}))
    return plan.model_copy(update={"sources": tuple(sources), "relabel": below(plan.relabel)})
