"""Predictions of a run for the drawn faces of a probe, as stored in `probes.parquet`.

A table has one row per face: columns `schema_version`, `design` (hash of the drawn faces),
`run_created`, `kind`, `name`, `expression`, `level`, `identity` (see
`fer_core.synthetic.probe_design.ProbeFace`) and a probability for each class in thousandths.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import PREFIX
from fer_core.labels import LabelSet
from fer_core.synthetic.probe_design import ProbeFace, ProbeKind
from fer_core.tables import read_table, write_table

SCHEMA_VERSION = 1
_SCALE = 1000
_COLUMNS = ("kind", "name", "expression", "level", "identity")
_TEXTS = ("design", "run_created", "kind", "name", "expression")

PredictFaces = Callable[[Sequence[ProbeFace]], NDArray[np.float64]]
"""Returns a model's probabilities for faces of the design, shape (N, K)."""


@dataclass(frozen=True)
class ProbePredictions:
    """A run's probabilities for the faces of a probe.

    Attributes:
        labels: Classes of the columns.
        faces: The faces: columns kind, name, expression, level and identity.
        probabilities: Shape (N, K).
    """

    labels: LabelSet
    faces: pd.DataFrame
    probabilities: NDArray[np.float64]

    @classmethod
    def of(
        cls, predict: PredictFaces, faces: Sequence[ProbeFace], labels: LabelSet
    ) -> "ProbePredictions":
        """Predicts the faces with a model.

        Args:
            predict: Returns the model's probabilities for faces.
            faces: Faces of the design.
            labels: Classes of the model's columns.
        """
        return cls(labels, face_table(faces), np.asarray(predict(faces), dtype=np.float64))

    def select(self, kind: ProbeKind, name: str = "") -> "ProbePredictions":
        """Returns the faces of a kind and name, such as a unit; none if there are none."""
        rows = self._rows.get((kind.value, name), np.empty(0, dtype=np.int64))
        faces = self.faces.iloc[rows].reset_index(drop=True)
        return ProbePredictions(self.labels, faces, self.probabilities[rows])

    def names(self, kind: ProbeKind) -> tuple[str, ...]:
        """Returns the units, emotions or attributes of a kind, in the order of the faces."""
        return tuple(name for of_kind, name in self._rows if of_kind == kind.value)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        rows: dict[tuple[str, str], NDArray[np.int64]] = {}
        groups = self.faces.groupby(["kind", "name"], sort=False, observed=True).indices
        for key, indices in groups.items():
            kind, name = cast(tuple[str, str], key)
            rows[str(kind), str(name)] = np.asarray(indices, dtype=np.int64)
        return rows

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Index of the most probable class of each face, shape (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def write(self, path: Path, design: str, run_created: str) -> None:
        """Writes `probes.parquet` atomically.

        Args:
            path: The file.
            design: Hash of the drawn faces.
            run_created: Creation time of the run; predictions of an earlier training are stale.
        """
        table = self.faces.assign(level=self.faces["level"].astype(np.int8))
        table = table.assign(identity=table["identity"].astype(np.int16))
        for index, name in enumerate(self.labels.names):
            thousandths = np.rint(self.probabilities[:, index] * _SCALE)
            table[f"{PREFIX}{name}"] = thousandths.astype(np.uint16)
        table.insert(0, "schema_version", np.int8(SCHEMA_VERSION))
        table.insert(1, "design", design)
        table.insert(2, "run_created", run_created)
        write_table(path, table.astype(dict.fromkeys(_TEXTS, "category")))


def face_table(faces: Sequence[ProbeFace]) -> pd.DataFrame:
    """Returns one row per face."""
    rows = [
        (face.kind.value, face.name, str(face.expression), face.level, face.identity)
        for face in faces
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def read_probes(path: Path, labels: LabelSet, run_created: str) -> ProbePredictions:
    """Reads `probes.parquet`.

    Args:
        path: The file.
        labels: Classes of the run.
        run_created: Creation time of the run.

    Raises:
        ArtifactError: If it is missing, corrupt, of a newer schema, of other classes, or older
            than the run.
    """
    names = [f"{PREFIX}{name}" for name in labels.names]
    columns = ("schema_version", "design", "run_created", *_COLUMNS, *names)
    table = read_table(path, columns, newest=SCHEMA_VERSION)
    where = f"{path.name} of {path.parent.name!r}"
    if table.empty or table.duplicated(list(_COLUMNS)).any():
        raise ArtifactError(
            f"{where} does not hold exactly one probe. Probe the run again with "
            "`python -m training probe BENCHMARK RUN --again`."
        )
    if (table["run_created"] != run_created).any():
        raise ArtifactError(
            f"{where} was written before the run was trained again. Probe it again with "
            "`python -m training probe BENCHMARK RUN`."
        )
    probabilities = table[names].to_numpy(dtype=np.float64) / _SCALE
    return ProbePredictions(labels, table[list(_COLUMNS)], probabilities)


def probe_stamp(path: Path) -> tuple[str, str] | None:
    """Returns the design's hash and the run's creation of a table; None if it cannot be read."""
    try:
        table = read_table(path, ("design", "run_created"))
    except ArtifactError:
        return None
    if table.empty:
        return None
    first = table.iloc[0]
    return str(first["design"]), str(first["run_created"])
