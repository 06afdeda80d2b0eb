"""Files on disk: names, versions, damage."""

import json

import numpy as np
import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.records import RunInfo


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "<script>", "x" * 200])
def test_names_cannot_escape_the_artifacts_folder(tmp_path, name):
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactError, match="not a valid benchmark name"):
        store.benchmark(name)
    with pytest.raises(ArtifactError, match="not a valid run name"):
        store.benchmark("fine").run(name)


def test_an_empty_folder_has_no_benchmarks(tmp_path):
    assert ArtifactStore(tmp_path / "nowhere").benchmarks() == []


def test_records_survive_a_round_trip(toy, tmp_path):
    run = toy.benchmark.run("pair-cpu")
    info = run.info()
    info.write(tmp_path / "run.json")
    assert RunInfo.read(tmp_path / "run.json") == info


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"schema_version": 99}, "written by a newer FERscope"),
        (lambda c: c | {"surprise": 1}, "corrupt: surprise"),
        (lambda c: {k: v for k, v in c.items() if k != "seed"}, "corrupt: seed"),
        (lambda c: c | {"kind": "magic"}, "corrupt: kind"),
    ],
)
def test_damaged_records_are_named(toy, tmp_path, change, message):
    content = json.loads(toy.benchmark.run("pair-cpu").info_path.read_text())
    (tmp_path / "run.json").write_text(json.dumps(change(content)))
    with pytest.raises(ArtifactError, match=message):
        RunInfo.read(tmp_path / "run.json")


def test_mean_faces_are_read_without_pickle(toy, tmp_path):
    faces = toy.benchmark.mean_faces()
    assert faces["train/angry/mean"].shape == (48, 48)
    benchmark = ArtifactStore(tmp_path).benchmark("pickled")
    benchmark.root.mkdir(parents=True)
    objects = np.array([{"any": "object"}], dtype=object)  # only a pickle can hold it
    np.savez(benchmark.mean_faces_path, **{"train/angry/mean": objects})
    with pytest.raises(ArtifactError, match="of 'pickled' cannot be read"):
        benchmark.mean_faces()
