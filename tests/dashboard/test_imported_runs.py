"""Imported models on every page where runs stand, and why they are missing from others."""

import json
import shutil

import pandas as pd
import pytest

from dashboard.pages import PAGES
from fer_core.artifacts import ArtifactStore
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.onnx_network import OnnxInput
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.verdict import read_verdict
from fer_core.evaluation.verdict_text import not_compared
from fer_core.figures.html_report import render_report
from fer_core.models.published import InputOptions
from fer_core.models.repository import Repository
from fer_core.models.repository_models import read_repository
from fer_core.tables import write_table
from tests.support import stand_ins
from tests.support.builders import toy_benchmark
from tests.support.pages import texts
from training.jobs.import_export import ImportOptions, import_onnx, import_table
from training.jobs.import_network import import_network


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A benchmark with an imported ViT, one without a class, an ONNX file, and a table."""
    root = tmp_path_factory.mktemp("imported")
    toy = toy_benchmark(root / "toy", runs=1, per_class=12)
    benchmark = ArtifactStore(toy.artifacts).benchmark("toy")
    dataset = PreparedDataset.open(toy.data / "toy")
    stand_ins.hub_vit(root / "vit")
    vit = read_repository(Repository.parse(str(root / "vit")), InputOptions())
    import_network(
        vit, dataset, benchmark.run("vit"), options=ImportOptions("Hub ViT"), device="cpu"
    )
    names = tuple(name for name in stand_ins.SHUFFLED if name != "disgust")
    stand_ins.hub_vit(root / "six", names)
    six = read_repository(Repository.parse(str(root / "six")), InputOptions())
    import_network(six, dataset, benchmark.run("six"), options=ImportOptions("Six"), device="cpu")
    half = (0.5, 0.5, 0.5)
    eight = stand_ins.onnx_net(root / "eight.onnx")
    declared = OnnxInput(48, half, half, stand_ins.EIGHT)
    import_onnx(
        eight, dataset, benchmark.run("eight"), options=ImportOptions("Eight"), declared=declared
    )
    table = pd.read_parquet(benchmark.run("vit").predictions_path).drop(columns=["split", "y_true"])
    table.to_csv(root / "table.csv", index=False)
    import_table(
        root / "table.csv",
        benchmark,
        benchmark.run("table"),
        options=ImportOptions("Table", note="Trained on x"),
    )
    return toy


def test_the_leaderboard_names_uncalibrated_runs(shop, open_page, tmp_path):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(shop.artifacts, artifacts)
    assert "Uncalibrated" not in texts(open_page("leaderboard", artifacts))
    path = ArtifactStore(artifacts).benchmark("toy").run("table").predictions_path
    table = pd.read_parquet(path)
    write_table(path, table[table["split"] == "test"])
    said = texts(open_page("leaderboard", artifacts)).replace("\\", "")
    assert "Uncalibrated: Table. Without validation predictions" in said


def test_the_leaderboard_names_sources_and_classes_left_out(shop, open_page):
    app = open_page("leaderboard", shop.artifacts)
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert {"Hub ViT", "Eight", "Table"} <= set(app.dataframe[0].value["model"])
    assert "Hub ViT was imported from folder vit." in said
    assert "Eight was imported from eight.onnx. Left out" in said
    assert "contempt" in said
    assert "Table was imported from table.csv. Trained on x." in said
    assert "How the checkpoints of imported models were chosen is unknown" in said


@pytest.mark.parametrize("page", ["confusion", "overview", "monitor", "trust"])
def test_other_result_pages_take_imported_runs(shop, open_page, page):
    app = open_page(page, shop.artifacts, run="vit")
    assert not app.exception


@pytest.mark.parametrize("page", ["confusion", "errors", "trust", "run", "head_to_head"])
def test_a_run_without_a_class_is_on_the_pages_of_results(shop, open_page, page):
    app = open_page(page, shop.artifacts, run="six")
    assert not app.exception
    assert app.selectbox(key="run").value == "six"
    said = texts(app).replace("\\", "")
    assert (
        "Six is not ranked: it cannot predict disgust, so all images of this class are errors."
    ) in said


def test_a_run_without_a_class_is_named_where_runs_are_compared(shop, open_page):
    app = open_page("leaderboard", shop.artifacts)
    said = texts(app).replace("\\", "")
    assert "Six: it cannot predict disgust" in said
    assert "Six" not in set(app.dataframe[0].value["model"])
    app = open_page("overview", shop.artifacts)
    assert not app.exception
    assert "Not ranked, because without some of the classes: Six." in texts(app)


def test_a_run_without_a_class_is_in_the_report_and_the_verdict(shop):
    benchmark = ArtifactStore(shop.artifacts).benchmark("toy")
    verdict = read_verdict(benchmark)
    assert ("Six", "cannot predict disgust, so it cannot be compared") in not_compared(verdict)
    report = render_report(read_results(benchmark), verdict)
    assert "Six is not ranked: it cannot predict disgust" in report
    assert "<summary>Six</summary>" in report


def test_compare_answers_with_overlays_and_says_why_a_table_does_not(shop, open_page):
    app = open_page("compare", shop.artifacts)
    app.checkbox(key="cropped").check().run()
    assert not app.exception
    answers = [text.value for text in app.markdown if text.value.startswith("### ")]
    assert len(answers) == 4  # the trained run, the ViTs and the ONNX file
    assert "Table was imported as predictions" in texts(app).replace("\\", "")


def test_feature_maps_show_an_imported_network_and_say_why_not_an_onnx_file(shop, open_page):
    app = open_page("features", shop.artifacts, run="vit")
    assert not app.exception
    assert not app.error
    said = texts(app).replace("\\", "")
    assert "Eight is an ONNX file, whose layers and gradients cannot be read" in said
    assert "Patches and attention" in said


def test_the_saliency_lab_says_why_a_method_does_not_apply(shop, open_page):
    app = open_page("saliency", shop.artifacts)
    app.pills(key="methods").set_value(["grad_cam", "occlusion"]).run()
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert "Grad-CAM does not support a model without access to its network" in said
    assert said.count("does not support") == 1  # the ViT has a map, and occlusion suits all


@pytest.fixture(scope="module")
def only_tables(tmp_path_factory):
    """A benchmark whose only runs are tables of predictions, of which nothing else was measured."""
    root = tmp_path_factory.mktemp("tables")
    toy = toy_benchmark(root / "toy", runs=2, per_class=12)
    benchmark = ArtifactStore(toy.artifacts).benchmark("toy")
    for run in benchmark.runs():
        table = pd.read_parquet(run.predictions_path).drop(columns=["split", "y_true"])
        table.to_csv(root / f"{run.run_id}.csv", index=False)
        shutil.rmtree(run.root)
    for index, path in enumerate(sorted(root.glob("*.csv"))):
        options = ImportOptions(f"Table {index}")
        import_table(path, benchmark, benchmark.run(f"table-{index}"), options=options)
    return toy


WITH_CHARTS = [page.name for page in PAGES if page.name != "live"]  # needs a browser


@pytest.mark.parametrize("page", WITH_CHARTS)
def test_no_chart_is_empty_where_all_runs_are_tables(only_tables, open_page, page):
    app = open_page(page, only_tables.artifacts)
    assert not app.exception
    for element in app.get("plotly_chart"):
        figure = json.loads(element.proto.spec)
        assert any(_has_values(trace) for trace in figure["data"]), figure["layout"]


def _has_values(trace: dict[str, object]) -> bool:
    """Whether a trace of Plotly has values to draw."""
    return any(trace.get(axis) for axis in ("x", "y", "z"))
