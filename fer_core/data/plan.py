"""Plan of a preparation, from options or a YAML file."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from fer_core.data.remote import is_url
from fer_core.data.sources.base import FORMATS, SYNTHETIC, Format
from fer_core.data.sources.options import AnyReaderOptions, RecognisedOptions
from fer_core.errors import DataError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourcePlan(_Frozen):
    """A source and which of its samples are used."""

    path: str = Field(description="file, folder or URL, `synthetic`, or owner/name on the hub")
    format: Format | None = Field(default=None, description="recognised if not given")
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="prefix of sample ids; by default the dataset's name",
    )
    mapping: Mapping[str, str] = Field(
        default={},
        description="class names by the source's names; an empty one drops the class",
    )
    classes: tuple[str, ...] | None = Field(default=None, description="use only these classes")
    limit: int | None = Field(default=None, ge=1, description="maximum number of images")
    weight: float | None = Field(
        default=None,
        gt=0,
        description="share of the training images, relative to the other sources",
    )
    role: Literal["all", "top-up"] = Field(
        default="all", description="top-up: used only for `balance.top_up`, in train"
    )
    reader: AnyReaderOptions = Field(
        default_factory=RecognisedOptions,
        description="options of the reader; in a plan they are among the other keys",
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, content: Any) -> Any:  # noqa: ANN401 (as read from yaml)
        """Collects the reader's options, which a plan has among the other keys."""
        if not isinstance(content, dict) or "reader" in content:
            return content
        shared = {key: value for key, value in content.items() if key in cls.model_fields}
        options = {key: value for key, value in content.items() if key not in shared}
        if content.get("format") in FORMATS:
            options["format"] = content["format"]
        return shared | {"reader": options}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        options = content.pop("reader", {})
        return content | {key: value for key, value in options.items() if key != "format"}

    @property
    def options(self) -> dict[str, Any]:
        """The plan's options for the reader, by name."""
        options = self.reader.model_dump(exclude_unset=True)
        return {name: value for name, value in options.items() if name != "format"}


class OutlierRule(_Frozen):
    """Rule that excludes outliers from train; validation and test keep theirs.

    Statistics are computed on the training images only.
    """

    rule: Literal["modified-z", "z-score", "iqr"] = Field(
        default="modified-z", description="median and MAD; mean and deviation; Tukey's fences"
    )
    limit: float | None = Field(
        default=None, gt=0, description="3.5 (modified-z), 3 (z-score) or 1.5 (iqr) by default"
    )
    statistics: tuple[Literal["brightness", "contrast", "sharpness", "outlier"], ...] = Field(
        default=("brightness", "contrast", "sharpness", "outlier"),
        min_length=1,
        description="image statistics; outlier is the distance from the face space",
    )


class CleanPlan(_Frozen):
    """Rules that exclude images."""

    faces: Literal["keep", "require", "crop"] = Field(
        default="keep",
        description="require: exclude images without a face; crop: also crop to the face",
    )
    min_side: int = Field(
        default=0, ge=0, description="minimum side of the image or the cropped face"
    )
    drop_flat: bool = Field(default=False, description="exclude images with almost no contrast")
    outliers: OutlierRule | None = Field(
        default=None, description="a rule or its name; applied to train only"
    )

    @field_validator("outliers", mode="before")
    @classmethod
    def _rule_by_name(cls, value: Any) -> Any:  # noqa: ANN401 (as read from yaml)
        return {"rule": value} if isinstance(value, str) else value


class SplitPlan(_Frozen):
    """Options of the splits; duplicates and groups are never divided."""

    by: Literal["source", "random"] = Field(
        default="source", description="random: draw new splits and ignore those of the sources"
    )
    test: float = Field(default=0.2, gt=0, lt=1, description="share of test, if it is drawn")
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of train, if it is drawn")
    seed: int = Field(default=0, ge=0)
    test_from: Literal["validation", "train"] = Field(
        default="validation",
        description="source of a missing test split: the validation split, or a share of train",
    )
    min_class: int = Field(default=0, ge=0, description="drop classes with fewer images")
    transformed_copies: Literal["auto", "remove", "report", "off"] = Field(
        default="auto",
        description="mirrored, rotated, cropped or brightened copies. remove: treat them as "
        "duplicates; report: list them and leave them out of the leak-free score. auto: report for "
        "FER2013 alone, whose published split stays as it is, off for drawn faces, else remove",
    )
    same_scene: Literal["report", "group"] = Field(
        default="report", description="group keeps frames of one scene in one split"
    )

    def notes(self, title: str, present: Collection[str]) -> list[str]:
        """Describes which splits are drawn for a source.

        Args:
            title: Title of the source.
            present: Splits of the source; empty if it has none.
        """
        if self.by == "random" or not present:
            why = "its splits are not used" if present else "it has no splits"
            return [f"{title}: {why}; test ({self.test:.0%}) and validation are drawn by class."]
        notes = []
        if "test" not in present:
            from_validation = self.test_from == "validation" and "validation" in present
            instead = (
                "its validation split becomes the test split, and validation is drawn from train "
                "(--test-from train draws the test split instead)"
                if from_validation
                else f"{self.test:.0%} of train are drawn for it"
            )
            notes.append(f"{title}: it has no test split; {instead}.")
            if from_validation:
                return notes
        if "validation" not in present:
            notes.append(
                f"{title}: it has no validation split; {self.validation:.0%} of train are drawn."
            )
        return notes


def partly_split(first: str, count: int) -> str:
    """Returns the message on images without a split in a dataset with splits.

    Args:
        first: Id of the first of them.
        count: Their number.
    """
    return (
        f"Images without a split: {count:,}, such as {first}; others have one. Complete their "
        "splits, remove them, or pass --split random."
    )


class TopUp(_Frozen):
    """Adds training images of one class from a source whose role is top-up."""

    label: str
    source: str
    to: int | Literal["mean", "largest"] = Field(
        default="mean",
        description="target number of training images: a statistic of the other classes",
    )


class BalancePlan(_Frozen):
    """Options that balance the classes of the training split; validation and test do not change."""

    top_up: tuple[TopUp, ...] = ()
    most: int | Literal["smallest", "mean"] | None = Field(
        default=None, description="maximum number of training images per class"
    )


class PrepareOptions(_Frozen):
    """Options of the preparation."""

    title: str = Field(default="", description="display name; by default the sources' titles")
    side: int = Field(default=48, ge=16, le=512, description="side of the stored images in pixels")
    colour: Literal["auto", "grey", "rgb"] = "auto"
    clean: CleanPlan = CleanPlan()
    split: SplitPlan = SplitPlan()
    balance: BalancePlan = BalancePlan()
    relabel: Path | None = Field(
        default=None, description="csv with id and label; an empty label excludes the sample"
    )
    new_benchmark: bool = Field(
        default=False,
        description="let `relabel` change validation and test images: another benchmark",
    )
    ship_pictures: bool = Field(
        default=False,
        description="also publish the images (WebP); only if you may: `synthetic`, your own",
    )


class PreparePlan(PrepareOptions):
    """The sources of a plan, and the options of their preparation."""

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
        for top_up in self.balance.top_up:
            if top_up.source not in spare:
                raise ValueError(
                    f"balance.top_up names {top_up.source!r}, but no source has that name and the "
                    "role top-up"
                )
        return self


def read_plan(path: Path) -> PreparePlan:
    """Reads a plan; relative paths start at the plan's folder.

    Raises:
        DataError: If the file cannot be read, or has unknown keys or values out of range (names
            each).
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
        content: Content of the YAML file.
        name: Name in error messages.
        folder: Folder at which relative paths start.

    Raises:
        DataError: If keys are unknown or values out of range (names each).
    """
    try:
        plan = PreparePlan.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{_where(item['loc'])}: {item['msg']}" for item in error.errors())
        raise DataError(f"The plan {name} is not valid: {problems}.") from error
    return plan if folder is None else _rooted(plan, folder)


def _where(location: tuple[int | str, ...]) -> str:
    """Returns the location of an invalid value in the plan, without names of pydantic models."""
    parts = list(map(str, location))
    if "reader" in parts:
        index = parts.index("reader")
        parts[index : index + 2] = []
    return ".".join(parts) or "plan"


def _rooted(plan: PreparePlan, folder: Path) -> PreparePlan:
    def below(path: Path | None) -> Path | None:
        return None if path is None else folder / path  # an absolute path is kept

    sources = []
    for source in plan.sources:
        location = str(folder / source.path)
        named = (
            source.path == SYNTHETIC
            or is_url(source.path)
            or (source.format == "huggingface" and not Path(location).exists())
        )
        path = source.path if named else location
        reader = source.reader
        if (votes := getattr(reader, "votes", None)) is not None:
            reader = reader.model_copy(update={"votes": below(votes)})
        sources.append(source.model_copy(update={"path": path, "reader": reader}))
    return plan.model_copy(update={"sources": tuple(sources), "relabel": below(plan.relabel)})
