"""`python -m training explain` on a toy benchmark of tiny networks."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from fer_core.errors import DataError
from fer_core.explain.regions import PARTS
from fer_core.explain.saliency import ExplainError
from fer_core.explain.tables import CELLS, METRICS, protocol_of
from fer_core.tables import read_table, write_table
from tests.support.builders import toy_benchmark, toy_run
from training import __main__ as cli
from training.jobs.ensembles import build_ensemble
from training.jobs.explain import make_plan
from training.terminal.progress import console

RUN = "tiny_cnn-cpu-s0"


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A CNN and its ensemble with a ViT, explained by a few methods."""
    from fer_core.config import EnsembleRecipe

    toy = toy_benchmark(tmp_path_factory.mktemp("toy"), runs=0)
    for name in ("tiny_cnn", "tiny_vit"):
        toy_run(toy.benchmark, toy.dataset, 0, name, architecture=name)
    recipe = EnsembleRecipe(
        kind="ensemble", name="pair", profile="cpu", members=("tiny_cnn", "tiny_vit")
    )
    build_ensemble(recipe, toy.benchmark)
    console.width = 200

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(
            cli.app,
            ["explain", "toy", *arguments, "--artifacts", str(toy.artifacts), "--data",
             str(toy.data), "--device", "cpu", "--images", "7", "--drawn", "2"],
            catch_exceptions=False,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        return result.output

    few = ("hires_cam", "chefer", "random", "centre", "members")
    output = run(*(part for name in few for part in ("--method", name)))
    return toy, run, output


def test_every_run_gets_its_tables(explained):
    toy, _, output = explained
    wanted = {
        RUN: {"hires_cam", "random", "centre"},
        "tiny_vit-cpu-s0": {"hires_cam", "chefer", "random", "centre"},
        "pair-cpu": {"members", "random", "centre"},
    }
    for run_id, methods in wanted.items():
        run = toy.benchmark.run(run_id)
        rows, places = read_table(run.faithfulness_path), read_table(run.regions_path)
        assert set(rows["method"]) == set(places["method"]) == methods
        assert protocol_of(rows, "rows") == protocol_of(places, "places")
        assert places.groupby("method").size().eq(7).all()
        sums = places[list(PARTS)].sum(axis=1)
        np.testing.assert_allclose(sums[places["rest"].notna()], 1)
        maps = np.stack([cells.astype(float) for cells in places["cells"]])
        assert maps.shape == (len(places), CELLS**2)
        np.testing.assert_array_equal(np.abs(maps).max(axis=1), 1)
        np.testing.assert_array_equal(maps * 1024, np.round(maps * 1024))
        assert set(places["id"]) <= set(toy.dataset.samples.query("split == 'test'")["id"])
        assert run_id in output
    rows = read_table(toy.benchmark.run(RUN).faithfulness_path)
    assert set(rows["metric"]) == set(METRICS)
    assert rows.query("metric == 'randomisation'")["share"].nunique() == 4
    assert rows["value"].between(-1, 1).all()
    assert "Better than both baselines" in output
    # the controls come first: an interrupted command has something to compare with
    assert list(rows["method"].unique()) == ["random", "centre", "hires_cam"]


def test_the_sample_is_balanced_and_depends_on_the_seed(explained):
    toy, _, _ = explained
    plan = make_plan(toy.dataset, 14, 0, seed=0)
    assert pd.Series(toy.dataset.targets(plan.rows)).value_counts().eq(2).all()
    np.testing.assert_array_equal(plan.rows, make_plan(toy.dataset, 14, 0, seed=0).rows)
    assert len(make_plan(toy.dataset, 10_000, 0, seed=0).rows) == len(toy.dataset.rows("test"))


def test_the_projection_covers_networks_only(explained):
    toy, _, _ = explained
    table = read_table(toy.benchmark.run(RUN).projection_path, ("id", "label", "x", "y"))
    assert len(table) == len(toy.dataset.rows("test"))
    assert np.isfinite(table[["x", "y"]]).all(axis=None)
    assert not toy.benchmark.run("pair-cpu").projection_path.exists()


def test_a_second_call_computes_only_missing_results(explained):
    toy, run, _ = explained
    before = read_table(toy.benchmark.run(RUN).faithfulness_path)
    assert "Evaluated before" in run(RUN, "--method", "hires_cam")
    output = run(RUN, "--method", "hires_cam", "--method", "eigen_cam")
    assert "Evaluated before" not in output
    after = read_table(toy.benchmark.run(RUN).faithfulness_path)
    assert set(after["method"]) == {*before["method"], "eigen_cam"}
    kept = after[after["method"] != "eigen_cam"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_recomputing_some_methods_keeps_the_others(explained):
    toy, run, _ = explained
    path = toy.benchmark.run(RUN).faithfulness_path
    before = read_table(path)
    assert "Evaluated before" not in run(RUN, "--method", "centre", "--overwrite")
    after = read_table(path)
    assert len(after) == len(before)
    order = ["method", "metric", "id", "share"]
    pd.testing.assert_frame_equal(
        after.sort_values(order, ignore_index=True), before.sort_values(order, ignore_index=True)
    )
    with pytest.raises(ExplainError, match=r"on 7 images with seed 0, .* cannot be compared"):
        run(RUN, "--method", "centre", "--seed", "1")
    pd.testing.assert_frame_equal(read_table(path), after)


def test_results_of_another_framing_must_be_measured_again(explained):
    toy, run, _ = explained
    path = toy.benchmark.run(RUN).faithfulness_path
    before = path.read_bytes()
    table = read_table(path)
    write_table(
        path, replace(protocol_of(table, "rows"), parts="FaceLayout(eyes=0.1)").stamp(table)
    )
    with pytest.raises(ExplainError, match="another framing"):
        run(RUN, "--method", "centre")
    path.write_bytes(before)


def test_unsupported_and_unfinished_runs_are_skipped(explained):
    toy, run, _ = explained
    (toy.benchmark.root / "runs" / "begun-cpu-s0" / "state").mkdir(parents=True)
    output = run("--method", "chefer")
    assert f"{RUN} does not support chefer" in output
    assert "begun" not in output
    shutil.rmtree(toy.benchmark.root / "runs" / "begun-cpu-s0")


def test_retrained_runs_and_damaged_files_are_recomputed(explained, tmp_path):
    toy, _, _ = explained
    artifacts = tmp_path / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    folder = artifacts / "toy" / "runs" / RUN
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "created": "2027-01-01"}))
    command = ["explain", "toy", RUN, "--artifacts", str(artifacts), "--data", str(toy.data),
               "--device", "cpu", "--images", "7", "--drawn", "2", "--method",
               "centre"]  # fmt: skip
    assert CliRunner().invoke(cli.app, command, catch_exceptions=False).exit_code == 0
    assert set(read_table(folder / "faithfulness.parquet")["method"]) == {"centre"}
    (folder / "regions.parquet").write_bytes(b"half")
    assert CliRunner().invoke(cli.app, command, catch_exceptions=False).exit_code == 0
    assert set(read_table(folder / "regions.parquet")["method"]) == {"centre"}


def test_an_imported_network_is_evaluated_by_perturbation(explained, tmp_path):
    from training.jobs.import_export import ImportOptions, export_run, import_onnx

    toy, run, _ = explained
    export_run(toy.benchmark.run(RUN), toy.dataset.format, tmp_path / "net.onnx", toy.dataset)
    theirs = toy.benchmark.run("theirs")
    import_onnx(tmp_path / "net.onnx", toy.dataset, theirs, options=ImportOptions("Theirs"))
    try:
        run("theirs", "--method", "centre", "--method", "occlusion")
        assert set(read_table(theirs.regions_path)["method"]) == {"centre", "occlusion"}
        theirs.onnx_path.unlink()
        assert "its model.onnx is missing" in run("theirs")
    finally:
        shutil.rmtree(theirs.root)


def test_a_network_with_a_regression_head_is_evaluated(tmp_path):
    from fer_core.explain import faithfulness
    from fer_core.explain.methods import explain
    from fer_core.models import build_model, spec_of
    from fer_core.models.regression_head import add_regression_head
    from tests.support.builders import toy_recipe

    config = toy_recipe("t", model={"architecture": "tiny_cnn"}).model
    model = build_model(config, 7).eval()
    add_regression_head(model, spec_of("tiny_cnn"))
    inputs = torch.rand(2, 3, 32, 32)

    def explainer(network, images, targets):
        return explain(network, config, images, targets, "hires_cam")

    maps = explainer(model, inputs, [None, None])
    _, similar = faithfulness.randomisation(explainer, model, inputs, maps, seed=0)
    assert np.isfinite(similar).all()


def test_an_unknown_method_and_another_split_are_refused(explained, tmp_path):
    toy, run, _ = explained
    with pytest.raises(ExplainError, match="no method 'magic'"):
        run(RUN, "--method", "magic")
    other = toy_benchmark(tmp_path, runs=0, per_class=8)
    command = ["explain", "toy", RUN, "--artifacts", str(toy.artifacts), "--data", str(other.data)]
    with pytest.raises(DataError, match="Prepare the data again"):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
