"""Models with known rules that answer the drawn faces of a probe."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.probe_pictures import ProbePictures
from fer_core.evaluation.probes import ProbePredictions
from fer_core.labels import SEVEN_EMOTIONS, LabelSet
from fer_core.synthetic.attributes import ATTRIBUTES
from fer_core.synthetic.probe_design import ProbeFace, ProbeView, attribute_faces, curve_faces

Rule = Callable[[ProbeFace], str]
"""Returns the answer of a model for a face."""


def all_faces(*attributes: str) -> tuple[ProbeFace, ...]:
    """Returns the faces of the curves and of the given attributes, all by default."""
    names = attributes or tuple(ATTRIBUTES)
    return (*curve_faces(), *(face for name in names for face in attribute_faces(name)))


def ask(
    rule: Rule, faces: Sequence[ProbeFace], labels: LabelSet = SEVEN_EMOTIONS
) -> ProbePredictions:
    """Asks a model that is certain of its answers."""

    def answer(asked: Sequence[ProbeFace]) -> NDArray[np.float64]:
        return np.eye(len(labels))[[labels.index(rule(face)) for face in asked]]

    return ProbePredictions.of(answer, faces, labels)


def smile(face: ProbeFace) -> str:
    """Happy exactly when the lip corner puller is over 2."""
    return "happy" if face.units.lip_corner_pull > 2 / 5 else "neutral"


def reads_expressions(face: ProbeFace) -> str:
    """Knows every expression of the design; single units are neutral."""
    return face.expression or "neutral"


def looks_at_skin(face: ProbeFace) -> str:
    """Knows every expression, but takes the neutral faces of the two darkest tones for angry."""
    if face.name in ("skin_8", "skin_9") and face.expression == "neutral":
        return "angry"
    return reads_expressions(face)


def write_stub_probes(benchmark: BenchmarkDir, rule: Rule = looks_at_skin) -> None:
    """Writes the answers of a rule as the probe of every run of a benchmark."""
    info = benchmark.info()
    stored = SampleFormat.of(info)
    design = ProbePictures(stored, ProbeView.of(info), benchmark.cache_dir).design
    answers = ask(rule, all_faces(), info.label_set)
    for run in benchmark.runs():
        answers.write(run.probes_path, design, run.info().created)
