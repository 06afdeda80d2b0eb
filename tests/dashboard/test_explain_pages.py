"""The pages on explanations, on tables and networks of the test's choice."""

import re

import numpy as np
import pandas as pd
import pytest

from fer_core.explain.defaults import made_of
from fer_core.explain.features import RankBy
from fer_core.explain.methods import METHODS
from fer_core.explain.regions import PARTS
from fer_core.explain.tables import CELLS, MeasurementProtocol
from fer_core.tables import write_table
from tests.support.pages import galleries, texts

RUN, OTHER = "efficientnet_lite0-cpu-s0", "resnet34-cpu-s0"
TITLE = f"EfficientNet-Lite0 ({RUN})"


def write_tables(run, labels, *, faithful: bool, inverse: bool = False) -> None:
    """Writes what `explain` writes: a map on the mouth for happy, and a ranking of methods."""
    random = np.random.default_rng(0)
    ids = [f"toy/{number:04d}" for number in range(28)]
    predicted = [labels[number % len(labels)] for number in range(28)]
    rows, places = [], []
    for method in ("hires_cam", "occlusion", "random", "centre"):
        good = 0.3 * (faithful and method == "hires_cam")
        for name, level in (("deletion", 0.5 - good), ("insertion", 0.5 + good), ("road", good)):
            values = level + random.normal(0, 0.01, 28)
            rows.append(
                pd.DataFrame({"method": method, "metric": name, "id": ids, "value": values})
            )
        mouth = np.array([0.7 if label == "happy" else 0.1 for label in predicted])
        shares = {part: np.zeros(28) for part in PARTS} | {"mouth": mouth, "rest": 1 - mouth}
        cells = np.random.default_rng(1).random((28, CELLS**2)) * (-1 if inverse else 1)
        places.append(
            pd.DataFrame(
                {"method": method, "id": ids, "label": predicted, "predicted": predicted,
                 **shares, "cells": list(cells.astype(np.float32))}
            )
        )  # fmt: skip
    protocol = MeasurementProtocol(made_of(run.info()), "split", 28, "hash", 0, 0)
    write_table(run.faithfulness_path, protocol.stamp(pd.concat(rows, ignore_index=True)))
    write_table(run.regions_path, protocol.stamp(pd.concat(places, ignore_index=True)))
    points = pd.DataFrame({"id": ids, "label": predicted, "predicted": predicted})
    write_table(run.projection_path, protocol.stamp(points.assign(x=0.0, y=1.0)))


@pytest.fixture
def explained(toy, artifacts_copy, benchmark_copy):
    """The toy benchmark with two explained runs: one faithful, one not."""
    labels = toy.dataset.labels.names
    write_tables(benchmark_copy.run(RUN), labels, faithful=True)
    write_tables(benchmark_copy.run(OTHER), labels, faithful=False, inverse=True)
    return artifacts_copy


def badges(app) -> list[str]:
    """The badges of a page's maps: the last line of a caption, after its icon."""
    lines = [element.value.rpartition("\n")[2] for element in app.caption]
    return [line.partition("/verified:] ")[2] or line.rpartition(":] ")[2]
            for line in lines if re.match(r":(green|orange|gray)\[:material/", line)]  # fmt: skip


def said(app) -> str:
    return texts(app) + "\n".join(str(element.value) for element in app.success)


def test_regions_without_measurements_show_the_command(open_page, toy):
    app = open_page("regions", toy.artifacts)
    assert "has been explained" in texts(app)
    assert app.code[0].value == "python -m training explain toy"


def test_regions_show_claims_agreement_and_faithful_methods(open_page, explained):
    app = open_page("regions", explained, run=RUN)
    assert not app.exception
    claims = app.dataframe[0].value.set_index("claim")
    assert claims.loc["mouth (smile) for happy", TITLE] == "inconclusive: 70% vs. 10% (n = 4)"
    assert claims.loc["brows for angry", TITLE].startswith("inconclusive")
    assert "beat both baselines in deletion and insertion: HiRes-CAM" in said(app)
    ranking = app.dataframe[1].value.set_index("method")
    assert ranking.loc["HiRes-CAM", "Deletion"].endswith("✓")
    assert not ranking.loc[METHODS["random"].title, "Deletion"].endswith("✓")
    assert "Not explained yet" in texts(app)


def test_a_model_without_a_faithful_method_is_named(open_page, explained):
    app = open_page("regions", explained, run="efficientnet_lite0-cpu-s1")
    assert not app.exception
    titles = app.selectbox(key="run").options
    app.selectbox(key="run").set_value(OTHER).run()
    assert len(titles) == 2
    assert any("no method beats both baselines" in warning.value for warning in app.warning)


def test_without_baselines_no_method_is_called_faithful(open_page, explained):
    from fer_core.tables import read_table

    path = explained / "toy" / "runs" / RUN / "faithfulness.parquet"
    table = read_table(path)
    write_table(path, table[table["method"] == "hires_cam"])
    app = open_page("regions", explained, run=RUN)
    assert not app.exception
    assert "baselines have not been measured" in texts(app)
    assert "beat both baselines" not in said(app)


def test_a_damaged_table_is_ignored(open_page, explained):
    for run in (RUN, OTHER):
        path = explained / "toy" / "runs" / run / "regions.parquet"
        path.write_bytes(path.read_bytes()[:200])
    app = open_page("regions", explained)
    assert not app.exception
    assert "has been explained" in texts(app)


def cropped(app):
    app.checkbox(key="cropped").check().run()
    assert not app.exception
    return app


def test_the_saliency_lab_shows_methods_by_models_and_explains_empty_cells(open_page, toy):
    app = cropped(open_page("saliency", toy.artifacts))
    assert len(app.get("image")) == 5  # the face, and the default of each run
    assert badges(app) == ["not measured"] * 4
    app.pills(key="methods").set_value(["grad_cam", "chefer", "occlusion"]).run()
    assert not app.exception
    assert badges(app) == ["not measured"] * 8
    # occlusion and Grad-CAM suit all four runs, Chefer relevance none
    assert len(app.get("image")) == 9
    assert "does not support EfficientNet-Lite0" in texts(app).replace("\\", "")
    assert "does not support any member of" in texts(app)


def measure(run, **levels: tuple[float, float]) -> None:
    """Writes what `explain` measures of a run: deletion and insertion of some methods."""
    jitter = np.random.default_rng(0)
    protocol = MeasurementProtocol(made_of(run.info()), "split", 20, "hash", 0, 0)
    parts = [
        pd.DataFrame(
            {"method": method, "metric": metric, "id": [f"f{number}" for number in range(20)],
             "value": level + jitter.normal(0, 0.01, 20)}
        )
        for method, of_method in {"random": (0.5, 0.5), "centre": (0.4, 0.6), **levels}.items()
        for metric, level in zip(("deletion", "insertion"), of_method, strict=True)
    ]  # fmt: skip
    write_table(run.faithfulness_path, protocol.stamp(pd.concat(parts, ignore_index=True)))


def test_every_map_carries_what_was_measured_of_it(open_page, artifacts_copy, benchmark_copy):
    measure(benchmark_copy.run(RUN), layer_cam=(0.2, 0.8), hires_cam=(0.3, 0.6))
    beats = "beats both baselines on deletion and insertion"
    app = cropped(open_page("saliency", artifacts_copy))
    app.pills(key="runs").set_value([RUN]).run()
    app.pills(key="methods").set_value(["default", "hires_cam", "eigen_cam", "centre"]).run()
    assert not app.exception
    assert badges(app) == [
        beats, "no better than a centred blob on insertion", "not measured",
        "baseline, ignores the model",
    ]  # fmt: skip
    assert "Layer-CAM" in texts(app)  # the default is the best measured method
    helps = [element.help for element in app.caption if "verified" in element.value]
    assert "20 test images" in helps[0]
    app.select_slider(key="depth").set_value("20%").run()  # another layer was not measured
    assert badges(app) == [beats, "not measured", "not measured", "baseline, ignores the model"]
    app = cropped(open_page("compare", artifacts_copy))
    assert not app.exception
    assert sorted(badges(app)) == [beats, "not measured", "not measured", "not measured"]


def test_the_saliency_lab_contrasts_two_classes_and_tests_maps(open_page, toy):
    app = cropped(open_page("saliency", toy.artifacts, target="happy", contrast="sad"))
    assert "happy instead of sad" in texts(app)
    assert not re.search(r"deletion \d\.\d\d", texts(app))
    app.toggle(key="curves").set_value(True).run()
    assert not app.exception
    assert "model-agnostic baselines" in texts(app)
    # each of the four maps has its areas
    assert len(re.findall(r"deletion 0\.\d\d · insertion 0\.\d\d", texts(app))) == 4
    app.selectbox(key="contrast").set_value("happy").run()  # with itself: no contrast
    assert not app.exception
    assert "instead of happy" not in texts(app)
    assert "happy ·" in texts(app)  # and still of that class
    captions = [element.value for element in app.caption]
    assert not any("angry ·" in caption or "sad ·" in caption for caption in captions)


def test_the_saliency_lab_explains_a_samples_true_class(open_page, toy):
    app = open_page("saliency", toy.artifacts, toy.data)
    assert "true class" not in app.selectbox(key="target").options
    app.segmented_control(key="source").set_value("sample").run()
    sample = toy.dataset.samples.query("split == 'test'").iloc[0]
    assert f'data-id="{sample["id"]}"' in galleries(app)[0]
    label = sample["label"]
    app.selectbox(key="target").set_value("true class").run()
    assert not app.exception
    assert f"{label} ·" in texts(app)
    app.segmented_control(key="source").set_value("own").run()
    cropped(app)
    assert app.selectbox(key="target").value == "predicted class"


def test_a_method_that_some_members_support_shows_how_many(open_page, tmp_path):
    from fer_core.config import EnsembleRecipe
    from tests.support.builders import toy_benchmark, toy_run
    from training.jobs.ensembles import build_ensemble

    toy = toy_benchmark(tmp_path, runs=0)
    for name in ("tiny_cnn", "tiny_vit"):
        toy_run(toy.benchmark, toy.dataset, 0, name, architecture=name)
    recipe = EnsembleRecipe(
        kind="ensemble", name="pair", profile="cpu", members=("tiny_cnn", "tiny_vit")
    )
    build_ensemble(recipe, toy.benchmark)
    app = cropped(open_page("saliency", toy.artifacts))
    app.pills(key="methods").set_value(["chefer", "rollout", "occlusion"]).run()
    assert not app.exception
    captions = [element.value for element in app.caption]
    partly = [caption for caption in captions if "from 1 of 2 members" in caption]
    assert len(partly) == 2  # both attention methods; occlusion asks the ensemble itself
    # rollout knows no class
    assert sum("independent of the class" in caption for caption in captions) == 2


def test_features_follow_the_layer_in_the_address(open_page, toy):
    app = cropped(open_page("features", toy.artifacts, toy.data))
    assert app.selectbox(key="layer").value == "blocks.1"
    app.selectbox(key="layer").set_value("blocks.4").run()
    assert "strongest of 112 channels" in texts(app)
    app.segmented_control(key="rank").set_value(str(RankBy.RELEVANCE)).run()
    assert not app.exception
    assert len([button for button in app.button if button.key.startswith("channel-")]) == 24
    app.selectbox(key="run").set_value(OTHER).run()  # the same architecture keeps the layer
    assert not app.exception
    assert app.selectbox(key="layer").value == "blocks.4"


def test_a_link_restores_the_layer(open_page, toy):
    link = "blocks.4"
    app = open_page("features", toy.artifacts, toy.data)
    shown = next(
        option for option in cropped(app).selectbox(key="layer").options if f": {link} " in option
    )
    app = cropped(open_page("features", toy.artifacts, toy.data, layer=shown))
    assert app.selectbox(key="layer").value == link
    assert "strongest of 112 channels" in texts(app)


def test_switching_to_a_vit_with_fewer_blocks_and_patches(open_page, tmp_path):
    from tests.support.builders import toy_benchmark, toy_run

    toy = toy_benchmark(tmp_path, runs=0)
    for name in ("scratch_vit", "tiny_vit", "tiny_cnn"):
        toy_run(toy.benchmark, toy.dataset, 0, name, architecture=name)
    app = cropped(open_page("features", toy.artifacts))
    app.selectbox(key="run").set_value("scratch_vit-cpu-s0").run()
    assert app.slider(key="block").value == 8
    app.selectbox(key="run").set_value("tiny_cnn-cpu-s0").run()
    app.selectbox(key="run").set_value("tiny_vit-cpu-s0").run()
    assert not app.exception
    assert app.slider(key="block").value == 2


def test_a_test_sample_can_be_explained_if_images_are_attached(open_page, toy):
    app = open_page("features", toy.artifacts, toy.data)
    app.segmented_control(key="source").set_value("sample").run()
    assert not app.exception
    assert "strongest of" in texts(app)


def test_a_vit_shows_patches_and_attention(open_page, tmp_path):
    from tests.support.builders import toy_benchmark, toy_run

    toy = toy_benchmark(tmp_path, runs=0)
    for name in ("tiny_vit", "tiny_cnn"):
        toy_run(toy.benchmark, toy.dataset, 0, name, architecture=name)
    app = cropped(open_page("features", toy.artifacts))
    app.selectbox(key="run").set_value("tiny_vit-cpu-s0").run()
    assert "4 x 4 patches of 8 x 8 pixels" in texts(app)
    before = len(app.get("image"))
    app.slider(key="block").set_value(1).run()
    app.selectbox(key="head").set_value(2).run()
    assert not app.exception
    assert len(app.get("image")) == before
    app.selectbox(key="layer").set_value("blocks.1").run()
    app.selectbox(key="run").set_value("tiny_cnn-cpu-s0").run()  # has other layers
    assert not app.exception
    assert app.selectbox(key="layer").value == "features.1"
    assert "patches" not in texts(app)


def test_the_saliency_lab_selects_depth_and_head(open_page, tmp_path):
    from tests.support.builders import toy_benchmark, toy_run

    toy = toy_benchmark(tmp_path, runs=0)
    toy_run(toy.benchmark, toy.dataset, 0, "tiny_vit", architecture="tiny_vit")
    app = cropped(open_page("saliency", toy.artifacts))
    app.pills(key="methods").set_value(["attention", "hires_cam"]).run()
    app.select_slider(key="depth").set_value("40%").run()
    app.select_slider(key="head").set_value("2").run()
    assert not app.exception
    assert len(app.get("image")) == 3
    app.select_slider(key="head").set_value("3").run()
    assert not app.exception
    assert "This network has 2 heads per block" in texts(app)
