"""The log of how predictions change: its lines, and what happens when it cannot be written."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from fer_core.errors import FerscopeError
from fer_core.serving.app import create_app
from fer_core.serving.drift import DriftLog
from fer_core.serving.settings import Settings
from tests.support.uploads import QuarterDetector, files, png

HOUR = 3600
FACE = np.array([[0.9, 0.1]])
LABELS = ("angry", "happy")


def serve(toy, path):
    return TestClient(
        create_app(Settings(artifacts=toy.artifacts, drift_log=path), QuarterDetector())
    )


def test_the_drift_log_has_a_line_per_hour_and_run(tmp_path):
    now = [7200.0]
    log = DriftLog(tmp_path / "drift.jsonl", lambda: now[0])
    labels = ("angry", "happy")
    log.add("a", labels, np.array([[0.9, 0.1], [0.4, 0.6]]))
    log.add("b", labels, np.array([[0.0, 1.0]]))
    assert (tmp_path / "drift.jsonl").read_text() == ""
    now[0] += 3600
    log.add("a", labels, np.array([[0.2, 0.8]]))
    log.close()
    log.close()  # writes nothing twice
    lines = [json.loads(line) for line in (tmp_path / "drift.jsonl").read_text().splitlines()]
    assert lines == [
        {"hour": "1970-01-01T02:00:00+00:00", "run": "a", "faces": 2, "mean_confidence": 0.75,
         "label_shares": {"angry": 0.5, "happy": 0.5}},
        {"hour": "1970-01-01T02:00:00+00:00", "run": "b", "faces": 1, "mean_confidence": 1.0,
         "label_shares": {"angry": 0.0, "happy": 1.0}},
        {"hour": "1970-01-01T03:00:00+00:00", "run": "a", "faces": 1, "mean_confidence": 0.8,
         "label_shares": {"angry": 0.0, "happy": 1.0}},
    ]  # fmt: skip


def test_answers_reach_the_drift_log(toy, tmp_path):
    path = tmp_path / "drift.jsonl"
    with serve(toy, path) as client:
        runs = {"runs": ["resnet34-cpu-s0"]}
        assert client.post("/predict", params=runs, files=files(png(0))).status_code == 200
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["run"] == "resnet34-cpu-s0"


@pytest.mark.parametrize("name", ["missing/drift.jsonl", "."])
def test_a_file_that_cannot_be_written_is_refused_at_the_start(toy, tmp_path, name):
    service = serve(toy, tmp_path / name)
    with pytest.raises(FerscopeError, match="Set FERSCOPE_DRIFT_LOG to a file"), service:
        pass


def test_an_old_log_is_kept_at_the_start(tmp_path):
    path = tmp_path / "drift.jsonl"
    path.write_text("{}\n")
    DriftLog(path).close()
    assert path.read_text() == "{}\n"


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def test_an_hour_that_cannot_be_written_is_lost_and_the_next_ones_are_kept(
    tmp_path, monkeypatch, caplog
):
    now = [0.0]
    path = tmp_path / "drift.jsonl"
    log = DriftLog(path, lambda: now[0])
    log.add("a", LABELS, FACE)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(Path, "open", full_disk)
        for _ in range(3):  # the second request of an hour does not write again
            now[0] += HOUR
            log.add("a", LABELS, FACE)
            log.add("a", LABELS, FACE)
    assert len(caplog.records) == 3
    assert "No space left" in caplog.records[0].getMessage()
    log.close()
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["hour"], line["faces"]) == ("1970-01-01T03:00:00+00:00", 2)


def test_a_folder_that_vanishes_costs_no_prediction(toy, tmp_path):
    now = [0.0]
    folder = tmp_path / "logs"
    folder.mkdir()
    query = {"runs": ["resnet34-cpu-s0"]}
    with serve(toy, folder / "drift.jsonl") as client:
        client.app.state.service._drift._clock = lambda: now[0]
        shutil.rmtree(folder)
        for _ in range(3):  # each in another hour
            now[0] += HOUR
            assert client.post("/predict", params=query, files=files(png(0))).status_code == 200
