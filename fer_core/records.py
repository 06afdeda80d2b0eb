"""Schemas of the JSON files under `artifacts/`: typed, frozen and versioned."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_core.errors import ArtifactError
from fer_core.files import read_json, write_json
from fer_core.labels import LabelSet, OutputClasses
from fer_core.migrations import SCHEMA_VERSION, migrate

ELSEWHERE = "elsewhere"
"""Initialisation of imported runs, and preprocessing of imported predictions."""

SCALE = ".scale"
"""Suffix of the name of the scales of an int8 tensor in a weight file."""

_SEEDED = re.compile(r"(?P<family>.+)-s(?P<seed>\d+)")


class StoredType(StrEnum):
    """Data type of the kernels and matrices of published weights."""

    FLOAT16 = "float16"
    INT8 = "int8"


class Record(BaseModel):
    """A frozen JSON record with a schema version; unknown keys are errors.

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
        # a file of an earlier version is converted, but not rewritten
        content = read_json(path)
        version = content.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} was written by a newer FERscope (schema "
                f"{version}, this one reads up to {SCHEMA_VERSION}). Update FERscope to read it."
            )
        try:
            return cls.model_validate(migrate(path.name, content))
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
    """Source and licence of a benchmark's images and labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    licence: str
    reference: str


class Framing(BaseModel):
    """Position of the detected face in a benchmark's images (`faces.DetectedFace.square`).

    Attributes:
        box: Median over images of the square's side, as a share of the image's side.
        drop: Median distance of the square's centre below the image's, as a share of its side.
        images: Number of images measured.
        detected: Number of images in which a face was detected; `found` in the file.
        spread: Quartiles of `box`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    box: float
    drop: float
    images: int
    detected: int = Field(alias="found")
    spread: tuple[float, float]

    @property
    def margin(self) -> float:
        """Margin on each side that widens a box to the image, in sides of the box."""
        return (1 / self.box - 1) / 2

    @property
    def rise(self) -> float:
        """Distance of the image's centre above the box's, in sides of the box."""
        return self.drop / self.box


class Corrections(BaseModel):
    """Corrections of validation and test images, which made this benchmark from another one.

    Attributes:
        base_split_hash: Split hash of the benchmark without the corrections.
        listed: Rows of the relabel list, those of training images included.
        counts: Changed images by split (of validation and test).
        labels: New label by sample id; an empty one removes the image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_split_hash: str
    listed: int
    counts: Mapping[str, int]
    labels: Mapping[str, str]


class TransferOrigin(BaseModel):
    """The benchmark that the runs of a transferred set come from.

    Attributes:
        benchmark: Name of the benchmark that the runs were trained for.
        title: Title of the benchmark.
        split_hash: Split hash of the benchmark when the runs were transferred.
        train_counts: Number of its training images by class; the runs know these frequencies.
        classes: The set's own class names and the benchmark's class of each; empty if it is left
            out.
        missing_classes: Classes of the benchmark of which the set has no labelled image, although
            others are labelled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str
    title: str
    split_hash: str
    train_counts: Mapping[str, int]
    classes: Mapping[str, str] = {}
    missing_classes: tuple[str, ...] = ()


class BenchmarkInfo(Record):
    """`benchmark.json`: labels, sources, split and counts of a benchmark.

    Attributes:
        side: Height and width of stored images in pixels.
        colour: Whether stored images are RGB rather than grey.
        split_hash: Hash of each sample's split and label.
        counts: Samples by split and class.
        excluded: Number of excluded samples by reason.
        leaked_test: Test samples with a duplicate in the original training or validation split.
        skipped: Unreadable files and the reason.
        framing: Position of faces in the images; None if too few were detected or none were
            searched for.
        corrections: Corrections of validation and test images; None if there are none.
        transferred_from: The benchmark whose runs were transferred to this set; None for a
            benchmark of its own. All images of such a set are in `test`, labelled or not.
        unlabelled: Number of images without a label; `counts` leaves them out.
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
    corrections: Corrections | None = None
    transferred_from: TransferOrigin | None = None
    unlabelled: int = 0

    @property
    def label_set(self) -> LabelSet:
        """The classes in canonical order."""
        return LabelSet(self.labels)

    @property
    def shown_name(self) -> str:
        """The benchmark's display name, such as `myset (transferred from ferplus)`."""
        return shown_name(self.name)

    @property
    def labelled(self) -> int:
        """Number of labelled test images."""
        return sum(self.counts["test"].values())

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training samples of its runs by class, in canonical order, shape (K,)."""
        origin = self.transferred_from
        counts = origin.train_counts if origin is not None else self.counts.get("train", {})
        return np.array([counts.get(name, 0) for name in self.label_set.names])


def shown_name(name: str) -> str:
    """Returns a benchmark's name for readers; `<benchmark>/transfers/<set>` says what it is."""
    origin, _, rest = name.partition("/")
    last_part = rest.rpartition("/")[2]
    return f"{last_part} (transferred from {origin})" if last_part else name


class LedgerEntry(BaseModel):
    """One evaluation of a run on test.

    Attributes:
        time: Time at which the predictions were written, ISO 8601; empty if unknown.
        commit: Commit of the code, or the one that brought the predictions into git.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str
    commit: str | None = None


class RunInfo(Record):
    """`run.json`: provenance of a run.

    Attributes:
        kind: A trained network, an ensemble of other runs, or an imported model or predictions.
        recipe: The resolved recipe, as plain values; empty for imported predictions.
        init: `scratch`, `imagenet`, `face`, `checkpoint`; `members` for an ensemble; `elsewhere`
            for imported runs.
        init_source: Source of the initial weights.
        init_notes: Sentences on the classifier of these weights, on tensors that are not used, and
            on what is not known about their training.
        labels: The classes; column `i` of the model's logits is `labels[i]`.
        note: The user's note on the run, such as the training images of an imported model.
        tags: Short words that the user gave the run; those of a grid are `key=value`.
        outputs: Class of each output of a model that was trained elsewhere, in its own order; empty
            if they are `labels`.
        image_size: Input side in pixels; None for an ensemble or if unknown.
        preprocessing_hash: Hash of the input pipeline; members' hashes joined for an ensemble;
            `elsewhere` for imported predictions.
        test_time_augmentation: Whether predictions average over augmented copies of an image.
        parameters: Number of parameters; None if unknown.
        trained_parameters: Number of parameters that were trained; None if unknown.
        base_hash: Hash of the base weights of an adapter; None without an adapter.
        prior_shift: Strength of the prior shift, chosen on validation: this multiple of the log
            class frequencies was added to the logits. A network's classifier bias includes it.
            The key in the file is `prior_strength`.
        logit_shift: The prior shift of an ensemble's mean prediction, one value per class; empty
            for none.
        teachers: Runs that a network was distilled from or that an ensemble selected from: run
            id to creation time, because a run of the same id may be retrained.
        members: Ids of the runs that an ensemble averages.
        member_weights: Weights of the members, which sum to 1.
        test_ledger: The evaluations on test of this run id, the earliest first; earlier trainings
            of the same id are included. Empty in files that are older than the ledger.
        weights_dtype: `float32`, or `float16` or `int8` after publishing; None for an ensemble.
    """

    run_id: str
    kind: Literal["network", "ensemble", "imported"]
    title: str
    family: str
    recipe: Mapping[str, Any]
    labels: tuple[str, ...]
    init: str
    init_source: str
    init_notes: tuple[str, ...] = ()
    note: str = ""
    tags: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
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
    test_ledger: tuple[LedgerEntry, ...] = ()
    weights_dtype: str | None = None
    published: Mapping[str, Any] | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    wall_seconds: float = 0.0
    git_commit: str | None = None
    versions: Mapping[str, str] = {}
    hardware: Mapping[str, str] = {}
    created: str = ""

    @property
    def backend(self) -> Literal["torch", "onnx", "members", "none"]:
        """Backend that predicts new images: a network, an ONNX file, the members, or none."""
        if self.kind != "imported":
            return "torch" if self.kind == "network" else "members"
        return "none" if self.preprocessing_hash == ELSEWHERE else "onnx"

    @property
    def trained_elsewhere(self) -> bool:
        """Whether the model was imported, so that the choice of its checkpoint is unknown."""
        return self.init == ELSEWHERE

    @property
    def classes(self) -> OutputClasses:
        """The model's own classes and the benchmark's."""
        return OutputClasses(self.outputs or self.labels, LabelSet(self.labels))

    @property
    def own_test_readings(self) -> int:
        """Number of times that this run id read test; a finished run read it at least once."""
        return max(1, len(self.test_ledger))


class TrainingState(Record):
    """`progress.json`: progress of a running training; removed when it finishes.

    Attributes:
        epoch, epochs: Current epoch, from 1, and their total number.
        step, steps: Steps done in this epoch, and their total number.
        loss, accuracy: Training means over the epoch so far; the loss is None if it is not finite.
        images_per_second: Training speed over all processes.
        seconds_left: Estimated time to the end of the last epoch.
        updated: Time of writing, in seconds since 1970.
        recipe: Name of the recipe; empty in files of earlier versions.
        run_name: Name given with `--name`; empty without one.
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
    recipe: str = ""
    run_name: str = ""

    @property
    def done(self) -> float:
        """Share of all steps that are done, 0 to 1."""
        return min((self.epoch - 1 + self.step / self.steps) / self.epochs, 1.0)


class TransferProgress(Record):
    """`progress.json` of a transferred set, while its pictures are being predicted.

    Attributes:
        stage: Current step.
        done, total: Pictures or faces of this stage.
        share: Share of all work that is done, 0 to 1, by the number of forward passes.
        seconds_left: Estimated time to the end; None while it is not known.
        updated: Time of writing, in seconds since 1970.
        process: Id of the process.
        error: Why it failed; empty while it runs.
    """

    stage: str
    done: int
    total: int
    share: float
    seconds_left: float | None
    updated: float
    process: int
    error: str = ""


def family_of(run_id: str) -> str:
    """Returns `<name>-<profile>` of `<name>-<profile>-s<seed>`; other ids are unchanged."""
    match = _SEEDED.fullmatch(run_id)
    return match["family"] if match else run_id


def shown_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """Returns display names by run id, which differ from each other.

    Of runs with the same title, those that differ only in their seed are named by the seed; the
    lowest seed keeps the title. Others are named by their run id.
    """
    shown = {}
    for run_id, title in titles.items():
        same = [other for other, name in titles.items() if name == title]
        seeds = {other: match for other in same if (match := _SEEDED.fullmatch(other))}
        if len(same) == 1:
            shown[run_id] = title
        elif len(seeds) < len(same) or len({match["family"] for match in seeds.values()}) > 1:
            shown[run_id] = f"{title} ({run_id})"
        elif run_id == min(same, key=lambda other: int(seeds[other]["seed"])):
            shown[run_id] = title
        else:
            shown[run_id] = f"{title}, seed {seeds[run_id]['seed']}"
    return shown
