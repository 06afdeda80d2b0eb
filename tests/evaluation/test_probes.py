"""The file of a probe."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.probes import ProbePredictions, probe_stamp, read_probes
from fer_core.labels import SEVEN_EMOTIONS, LabelSet
from fer_core.synthetic.probe_design import ProbeKind, attribute_faces, curve_faces
from fer_core.tables import write_table
from tests.support.probes import all_faces


@pytest.fixture
def answers():
    faces = (*curve_faces(0, 3), *attribute_faces("glasses"))
    random = np.random.default_rng(0)
    return ProbePredictions.of(
        lambda asked: random.dirichlet(np.ones(7), len(asked)), faces, SEVEN_EMOTIONS
    )


@pytest.fixture
def path(answers, tmp_path):
    answers.write(tmp_path / "probes.parquet", "design", "today")
    return tmp_path / "probes.parquet"


def test_answers_survive_the_file_to_half_a_thousandth(answers, path):
    read = read_probes(path, SEVEN_EMOTIONS, "today")
    np.testing.assert_allclose(read.probabilities, answers.probabilities, atol=0.0005001)
    pd.testing.assert_frame_equal(
        read.faces.astype({"level": int, "identity": int}).astype(object),
        answers.faces.astype(object),
        check_categorical=False,
    )
    assert probe_stamp(path) == ("design", "today")


def test_faces_are_selected_by_kind_and_name(path):
    read = read_probes(path, SEVEN_EMOTIONS, "today")
    assert len(read.select(ProbeKind.ATTRIBUTE, "glasses").faces) == 200
    assert len(read.select(ProbeKind.UNIT, "jaw_drop").faces) == 15
    assert len(read.select(ProbeKind.ATTRIBUTE, "no such").faces) == 0
    assert len(read.names(ProbeKind.UNIT)) == 16


def test_the_file_of_a_whole_probe_is_small(tmp_path):
    random = np.random.default_rng(0)
    faces = all_faces()
    # the worst case: random probabilities do not compress
    answers = ProbePredictions.of(
        lambda asked: random.dirichlet(np.full(7, 0.2), len(asked)), faces, SEVEN_EMOTIONS
    )
    answers.write(tmp_path / "probes.parquet", "design", "today")
    assert (tmp_path / "probes.parquet").stat().st_size < 200_000


def test_a_probe_of_an_earlier_training_is_refused(path):
    with pytest.raises(ArtifactError, match="before the run was trained again"):
        read_probes(path, SEVEN_EMOTIONS, "tomorrow")


def test_a_newer_schema_other_classes_and_repeated_rows_are_refused(path):
    table = pd.read_parquet(path)
    with pytest.raises(ArtifactError, match="lacks the columns p_contempt"):
        read_probes(path, LabelSet.of([*SEVEN_EMOTIONS.names, "contempt"]), "today")
    write_table(path, table.assign(schema_version=2))
    with pytest.raises(ArtifactError, match="newer FERscope"):
        read_probes(path, SEVEN_EMOTIONS, "today")
    write_table(path, pd.concat([table, table]))
    with pytest.raises(ArtifactError, match="exactly one probe"):
        read_probes(path, SEVEN_EMOTIONS, "today")
    path.write_bytes(b"damaged")
    assert probe_stamp(path) is None
