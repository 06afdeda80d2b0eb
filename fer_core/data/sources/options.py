"""Options of the readers: one model per reader, discriminated by its format."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from fer_core.data.sources.base import FORMATS, Annotation
from fer_core.data.sources.class_names import Codes
from fer_core.data.sources.fer2013 import Labels

RECOGNISED = "recognised"


class ReaderOptions(BaseModel):
    """Options of a reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Paths(ReaderOptions):
    pattern: str | None = Field(
        default=None,
        description="regular expression over paths with the groups person, label or split",
    )


class _Classes(ReaderOptions):
    codes: Codes | None = Field(default=None, description="what class numbers mean")
    any_classes: bool = Field(default=False, description="take classes that name no emotion")


class _Table(_Classes):
    image: str | None = Field(default=None, description="column of pictures")
    label: str | None = Field(default=None, description="column of labels")
    split_column: str | None = Field(default=None, description="column of splits")
    group: str | None = Field(
        default=None, description="column of persons or videos, each in one split"
    )


class Fer2013Options(_Table, _Paths):
    """FER2013, as csv or folders, and datasets in its layout."""

    format: Literal["fer2013"]
    votes: Path | None = Field(default=None, description="fer2013new.csv of FER+")
    labels: Labels | None = Field(default=None, description="which annotation is the label")


class FerPlusOptions(ReaderOptions):
    """FER+ as written by its scripts."""

    format: Literal["ferplus"]


class AffectNetOptions(_Table, _Paths):
    """AffectNet in any of its forms."""

    format: Literal["affectnet"]
    annotation: Annotation | None = Field(
        default=None, description="what counts where a table and folders differ"
    )


class RafDbOptions(_Table, _Paths):
    """RAF-DB, as list or folders."""

    format: Literal["rafdb"]
    annotation: Annotation | None = Field(
        default=None, description="what counts where a table and folders differ"
    )


class ExpwOptions(_Classes):
    """ExpW."""

    format: Literal["expw"]


class NamedFilesOptions(_Classes, _Paths):
    """Files whose names hold the labels, and CK+."""

    format: Literal["kdef", "jaffe", "ckplus", "named"]


class FolderOptions(_Table, _Paths):
    """Class folders."""

    format: Literal["folder", "human-emotions"]
    annotation: Annotation | None = Field(
        default=None, description="what counts where a table and folders differ"
    )


class ListOptions(_Table, _Paths):
    """Tables and lists beside pictures."""

    format: Literal["list"]
    annotation: Annotation | None = Field(
        default=None, description="what counts where a table and folders differ"
    )


class YoloOptions(_Classes, _Paths):
    """Detection labels."""

    format: Literal["yolo"]


class HuggingFaceOptions(_Table):
    """Parquet files and datasets of the hub."""

    format: Literal["huggingface"]


class ArraysOptions(_Classes):
    """NumPy arrays."""

    format: Literal["arrays"]
    label: str | None = Field(default=None, description="array of labels")


class SyntheticOptions(ReaderOptions):
    """Drawn faces."""

    format: Literal["synthetic"]
    count: int = Field(default=1400, ge=1, description="number of images")
    side: int = Field(default=64, ge=1, description="side in pixels")
    seed: int = Field(default=0, ge=0, description="seed of the faces")
    faults: bool = Field(default=False, description="plant copies, wrong labels and odd pictures")


READERS: tuple[type[ReaderOptions], ...] = (
    Fer2013Options, FerPlusOptions, AffectNetOptions, RafDbOptions, ExpwOptions, NamedFilesOptions,
    FolderOptions, ListOptions, YoloOptions, HuggingFaceOptions, ArraysOptions,
    SyntheticOptions,
)  # fmt: skip


def _formats(reader: type[ReaderOptions]) -> tuple[str, ...]:
    """Returns the formats of a reader; the first one is its tag."""
    return get_args(reader.model_fields["format"].annotation)


_TAGS = {form: _formats(reader)[0] for reader in READERS for form in _formats(reader)}


def _every_option() -> dict[str, Any]:
    """Returns the options of all readers, none of them required."""
    return {
        name: (field.annotation, field)
        for reader in READERS
        for name, field in reader.model_fields.items()
        if name != "format"
    }


RecognisedOptions = create_model("RecognisedOptions", __base__=ReaderOptions, **_every_option())
"""Options for a format that is not recognised yet; they are checked afterwards."""


def tag(value: Any) -> str:  # noqa: ANN401 (anything may stand in a plan)
    """Returns the discriminator of a source's options."""
    form = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    return _TAGS.get(str(form), RECOGNISED)


AnyReaderOptions = Annotated[
    Annotated[Fer2013Options, Tag("fer2013")]
    | Annotated[FerPlusOptions, Tag("ferplus")]
    | Annotated[AffectNetOptions, Tag("affectnet")]
    | Annotated[RafDbOptions, Tag("rafdb")]
    | Annotated[ExpwOptions, Tag("expw")]
    | Annotated[NamedFilesOptions, Tag("kdef")]
    | Annotated[FolderOptions, Tag("folder")]
    | Annotated[ListOptions, Tag("list")]
    | Annotated[YoloOptions, Tag("yolo")]
    | Annotated[HuggingFaceOptions, Tag("huggingface")]
    | Annotated[ArraysOptions, Tag("arrays")]
    | Annotated[SyntheticOptions, Tag("synthetic")]
    | Annotated[RecognisedOptions, Tag(RECOGNISED)],
    Discriminator(tag),
]
"""The options of one reader, by its format."""


def readers_of(option: str) -> list[str]:
    """Returns the formats whose readers support an option."""
    return [
        form
        for reader in READERS
        if option in reader.model_fields
        for form in FORMATS
        if form in _formats(reader)
    ]
