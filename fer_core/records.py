"""What the JSON files under `artifacts/` hold: typed, frozen, with a schema version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_core.errors import ArtifactError
from fer_core.files import read_json, write_json
from fer_core.labels import LabelSet

SCHEMA_VERSION = 1


class Record(BaseModel):
    """A frozen JSON file with a schema version; unknown keys are refused.

    Fields are written under their aliases, which keep the keys of files stable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the record.

        Raises:
            ArtifactError: If the file is missing, corrupt, or of a newer schema.
        """
        content = read_json(path)
        version = content.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} was written by a newer FERscope (schema "
                f"{version}, this one reads up to {SCHEMA_VERSION}). Update FERscope to read it."
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} is corrupt: {where}: {first['msg']}."
            ) from error

    def write(self, path: Path) -> None:
        """Writes the record atomically."""
        write_json(path, self.model_dump(mode="json", by_alias=True))


class SourceInfo(BaseModel):
    """Where the images and labels of a benchmark come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    licence: str
    reference: str


class Framing(BaseModel):
    """How faces lie in a benchmark's images: where the face detector's box falls.

    Attributes:
        box: The box's longer side, as a share of the image's side; median over images.
        drop: How far the box's centre lies below the image's, as a share of its side; median.
        images: How many images were looked at.
        found: In how many of them a face was found.
        spread: Quartiles of `box`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: float
    drop: float
    images: int
    found: int
    spread: tuple[float, float]

    @property
    def margin(self) -> float:
        """What a box lacks on each side to be as wide as the image, in sides of the box."""
        return (1 / self.box - 1) / 2

    @property
    def rise(self) -> float:
        """How far the image's centre lies above the box's, in sides of the box."""
        return self.drop / self.box


class BenchmarkInfo(Record):
    """`benchmark.json`: what every number of a benchmark stands on.

    Attributes:
        side: Stored images are side x side pixels.
        colour: Stored images are RGB; grey otherwise.
        split_hash: Hash of which sample stands in which split under which label.
        counts: Samples by split and class.
        excluded: Samples that take no part, by reason.
        leaked_test: Test samples whose duplicate stood in the original train or validation.
        skipped: Unreadable files and why.
        framing: How faces lie in the images; None where too few were found, or none were sought.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    sources: tuple[SourceInfo, ...]
    side: int
    colour: bool
    split_hash: str
    counts: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, int]
    leaked_test: int
    skipped: Mapping[str, str]
    protocol: str
    framing: Framing | None = None

    @property
    def label_set(self) -> LabelSet:
        """The classes in canonical order."""
        return LabelSet(self.labels)

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training samples by class, in canonical order, shape (K,)."""
        return np.array([self.counts["train"].get(name, 0) for name in self.label_set.names])


class RunInfo(Record):
    """`run.json`: how a run came to be.

    Attributes:
        kind: A trained network, an ensemble of other runs, or predictions made elsewhere.
        recipe: The resolved recipe, as plain values; empty for imported predictions.
        init: `scratch`, `imagenet`, `checkpoint`; `members` for an ensemble; `elsewhere` for
            imported predictions.
        init_source: Where the initial weights were read from.
        labels: The classes; column `i` of the model's logits is `labels[i]`.
        image_size: Side of the network's input in pixels; None for an ensemble or if not known.
        preprocessing_hash: Hash of the input pipeline; members' hashes joined for an ensemble;
            `elsewhere` for imported predictions.
        test_time_augmentation: Whether the predictions average over changed copies of an image.
        parameters: Number of weights; None if not known.
        trained_parameters: Number of weights that training changed; None where it is not known.
        base_hash: Hash of the weights that an adapter stands on; None without an adapter.
        prior_shift: Prior-shift strength, chosen on validation: the multiple of the log class
            frequencies that is added to the logits. A network's bias already contains it. The key
            in the file is `prior_strength`.
        logit_shift: Shift of an ensemble's logits, one value per class; empty for none.
        teachers: Run ids that it learned from, or that an ensemble chose among, and when each was
            made: a run of the same name may have been trained anew since.
        members: Run ids that an ensemble averages.
        member_weights: Their weights, summing to 1.
        weights_dtype: `float32`, or `float16` once published; None for an ensemble.
    """

    run_id: str
    kind: Literal["network", "ensemble", "imported"]
    title: str
    family: str
    recipe: Mapping[str, Any]
    labels: tuple[str, ...]
    init: str
    init_source: str
    seed: int
    image_size: int | None
    preprocessing_hash: str
    split_hash: str
    test_time_augmentation: bool = False
    parameters: int | None
    trained_parameters: int | None = None
    base_hash: str | None = None
    prior_shift: float = Field(default=0.0, alias="prior_strength")
    logit_shift: tuple[float, ...] = ()
    teachers: Mapping[str, str] = {}
    members: tuple[str, ...] = ()
    member_weights: tuple[float, ...] = ()
    weights_dtype: str | None = None
    published: Mapping[str, Any] | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    wall_seconds: float = 0.0
    git_commit: str | None = None
    versions: Mapping[str, str] = {}
    hardware: Mapping[str, str] = {}
    created: str = ""


class TrainingState(Record):
    """`progress.json`: how far a training under way has come; gone once it is finished.

    Attributes:
        epoch, epochs: The epoch under way, from 1, and how many there will be.
        step, steps: Steps done in this epoch, and how many it has.
        loss, accuracy: Of training, averaged over the epoch so far; no loss if it is not finite.
        images_per_second: Over all processes.
        seconds_left: To the last epoch's end.
        updated: When this was written; seconds since 1970.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    accuracy: float
    images_per_second: float
    seconds_left: float
    updated: float

    @property
    def done(self) -> float:
        """Share of all steps that are done."""
        return min((self.epoch - 1 + self.step / self.steps) / self.epochs, 1.0)


def shown_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """Returns names to show by run id: the titles, with the run id where two are alike."""
    names = list(titles.values())
    return {
        run_id: title if names.count(title) == 1 else f"{title} ({run_id})"
        for run_id, title in titles.items()
    }
