"""The command that measures framing shifts: what it writes, and that it continues."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from fer_core.data.framing_shifts import FRAMING_SHIFTS
from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.framing_shifts import read_framing
from tests.support.retraining import retrain_while_predicting
from training import __main__ as cli
from training.jobs.framing_shifts import draw_splits, measure_framing_shifts
from training.jobs.saved_predictions import SavedPredictions
from training.terminal.progress import console

CPU = torch.device("cpu")
RUN = "resnet34-cpu-s0"


def quiet(items, length, title):
    return iter(items)


@pytest.fixture
def predicted(monkeypatch):
    """Counts the conditions that are predicted."""
    calls = []
    original = SavedPredictions._predict

    def counted(*values):
        calls.append(1)
        return original(*values)

    monkeypatch.setattr(SavedPredictions, "_predict", counted)
    return calls


def test_both_splits_are_written_and_not_measured_twice(benchmark_copy, toy, predicted):
    run, pictures = benchmark_copy.run(RUN), draw_splits(toy.dataset, 6, seed=0)

    def measured(drawn=pictures, **more):
        return measure_framing_shifts(run, toy.dataset, drawn, CPU, quiet, **more)

    assert measured()
    table = read_framing(run.framing_path)
    conditions = [(shift.change, shift.amount) for shift in FRAMING_SHIFTS]
    for split in ("validation", "test"):
        rows = table[table["split"] == split]
        assert list(zip(rows["change"], rows["amount"], strict=True)) == conditions
        assert set(rows["images"]) == {6}
    assert not measured()
    assert len(predicted) == 12
    assert measured(again=True)
    assert len(predicted) == 24
    pd.testing.assert_frame_equal(read_framing(run.framing_path), table)
    assert measured(draw_splits(toy.dataset, 6, seed=1))


def test_a_zero_shift_gives_the_runs_predictions(benchmark_copy, toy):
    run, pictures = benchmark_copy.run(RUN), draw_splits(toy.dataset, 0, seed=0)
    measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    from fer_core.engine.networks import load_network
    from fer_core.engine.predict import predict_logits

    network = load_network(run, toy.dataset.format)
    rows = toy.dataset.rows("test")
    logits = predict_logits(network.model, toy.dataset.images, network.preprocessing, rows=rows)
    right = (logits.argmax(1).numpy() == toy.dataset.targets(rows)).mean()
    table = read_framing(run.framing_path)
    row = table[(table["split"] == "test") & (table["change"] == "none")].iloc[0]
    assert row["accuracy"] == pytest.approx(right, abs=1 / len(rows))  # kept in float16
    assert row["images"] == len(rows)


def test_an_interrupted_measurement_continues(benchmark_copy, toy, predicted, monkeypatch):
    run, pictures = benchmark_copy.run(RUN), draw_splits(toy.dataset, 6, seed=0)

    def interrupted(items, length, title):
        yield from items[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_framing_shifts(run, toy.dataset, pictures, CPU, interrupted)
    assert not run.framing_path.exists()
    assert len(predicted) == 5
    measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    assert len(predicted) == 12
    # another sample does not take over what was saved
    measure_framing_shifts(run, toy.dataset, draw_splits(toy.dataset, 5, 0), CPU, quiet)
    assert len(predicted) == 24


def test_an_ensemble_averages_its_members(benchmark_copy, toy, predicted):
    run, pictures = benchmark_copy.run("pair-cpu"), draw_splits(toy.dataset, 6, seed=0)
    measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    assert len(predicted) == 24
    saved = [np.load(benchmark_copy.run(name).framing_cache_path) for name in run.info().members]
    mean = np.mean([file["test margin 0.2"].astype(np.float64) for file in saved], axis=0)
    scored = pictures["test"].predictions(mean)
    matrix = metrics.confusion_matrix(scored.truth, scored.predicted, 7)
    table = read_framing(run.framing_path).set_index(["split", "change", "amount"])
    assert table.loc[("test", "margin", 0.2), "accuracy"] == metrics.accuracy(matrix)


def test_a_retrained_run_is_measured_again(benchmark_copy, toy, predicted):
    run, pictures = benchmark_copy.run(RUN), draw_splits(toy.dataset, 6, seed=0)
    measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    run.info().model_copy(update={"created": "2030-01-01T00:00:00+00:00"}).write(run.info_path)
    assert measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    other = run.info().model_copy(update={"split_hash": "other"})
    other.write(run.info_path)
    with pytest.raises(ArtifactError, match="another split"):
        measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet, again=True)


def test_a_run_that_is_retrained_meanwhile_is_not_measured(benchmark_copy, toy, monkeypatch):
    run = benchmark_copy.run("resnet34-cpu-s0")
    retrain_while_predicting(run, monkeypatch)
    pictures = draw_splits(toy.dataset, 6, seed=0)
    with pytest.raises(ArtifactError, match="was retrained during"):
        measure_framing_shifts(run, toy.dataset, pictures, CPU, quiet)
    assert not run.framing_path.exists()


def test_the_command_prints_both_splits(benchmark_copy, toy, monkeypatch):
    monkeypatch.setattr(console, "width", 300)
    options = ["--artifacts", str(benchmark_copy.root.parent), "--data", str(toy.data)]
    command = ["robustness", "toy", RUN, "--framing", "--images", "5", *options]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0, result.output
    assert f"{RUN}: validation " in result.output
    assert " unchanged, " in result.output
    assert "points at margin +10%; test " in result.output
    assert not benchmark_copy.run(RUN).robustness_path.exists()
    assert "measured before" in CliRunner().invoke(cli.app, command).output
