"""Records of every schema version that was ever published can be read."""

import json
from pathlib import Path

import pytest

from fer_core import migrations, records
from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report
from fer_core.files import write_json

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(FIXTURES.glob("schema_*"))


def read_all(folder):
    """Reads the benchmark's record, and those of its runs, by run id."""
    benchmark = ArtifactStore(folder.parent).benchmark(folder.name)
    names = [path.name for path in (folder / "runs").iterdir()]
    return benchmark.info(), {
        name: (benchmark.run(name).info(), Report.read(benchmark.run(name).report_path))
        for name in names
    }


def test_there_is_a_fixture_of_every_version():
    assert [path.name for path in VERSIONS] == [
        f"schema_{version}" for version in range(1, migrations.SCHEMA_VERSION + 1)
    ]
    assert len(migrations.MIGRATIONS) == migrations.SCHEMA_VERSION - 1


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_records_of_a_published_version_open(folder):
    info, runs = read_all(folder)
    assert info.schema_version == migrations.SCHEMA_VERSION
    assert info.labels[0] == "angry"
    kinds = {run.kind for run, _ in runs.values()}
    assert kinds == {"network", "ensemble", "imported"}
    for run, report in runs.values():
        assert run.schema_version == report.schema_version == migrations.SCHEMA_VERSION
        assert 0 < report.test.accuracy.value < 1


@pytest.fixture
def next_version(monkeypatch):
    """The version after this one, in which runs have a note."""
    version = migrations.SCHEMA_VERSION + 1

    def add_note(file_name, content):
        return {**content, "note": "converted"} if file_name == "run.json" else content

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, add_note))
    for module in (migrations, records):
        monkeypatch.setattr(module, "SCHEMA_VERSION", version)
    return version


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_records_open_after_the_next_change_of_the_schema(folder, next_version):
    before = (folder / "benchmark.json").read_bytes()
    info, runs = read_all(folder)
    assert info.schema_version == next_version
    assert {run.note for run, _ in runs.values()} == {"converted"}
    assert (folder / "benchmark.json").read_bytes() == before  # reading does not rewrite it


def test_a_current_record_is_not_converted(tmp_path, next_version):
    source = VERSIONS[-1] / "runs" / "fer" / "run.json"
    content = json.loads(source.read_text()) | {"schema_version": next_version, "note": "mine"}
    write_json(tmp_path / "run.json", content)
    assert records.RunInfo.read(tmp_path / "run.json").note == "mine"


def test_a_record_of_a_later_version_is_refused_with_the_remedy(tmp_path):
    source = VERSIONS[-1] / "benchmark.json"
    later = migrations.SCHEMA_VERSION + 1
    content = json.loads(source.read_text()) | {"schema_version": later}
    write_json(tmp_path / "benchmark.json", content)
    with pytest.raises(ArtifactError, match=rf"schema {later}.*Update FERscope"):
        records.BenchmarkInfo.read(tmp_path / "benchmark.json")
