"""Each page through Home.py: without data, with one run, with many, with damaged ones."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.builders import toy_benchmark
from tests.dashboard.conftest import HOME, texts

PAGES = ("overview", "leaderboard", "confusion", "compare", "features", "saliency", "regions")


@pytest.mark.parametrize("page", PAGES)
def test_without_any_benchmark_a_page_says_what_to_run(page, open_page, tmp_path):
    app = open_page(page, tmp_path)
    assert not app.exception
    assert "There is no benchmark yet" in texts(app)
    assert "python -m training prepare" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
def test_without_runs_a_page_says_how_to_train(page, open_page, tmp_path):
    toy = toy_benchmark(tmp_path, runs=0)
    app = open_page(page, toy.artifacts)
    assert not app.exception
    assert "no finished run yet" in texts(app)
    assert "python -m training train" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
def test_with_runs_a_page_opens(page, open_page, toy):
    app = open_page(page, toy.artifacts, toy.data)
    assert not app.exception
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_run_is_one_warning_and_the_others_stay(page, open_page, toy, tmp_path):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    broken = artifacts / "toy" / "runs" / "efficientnet_lite0-cpu-s1"
    (broken / "report.json").write_text('{"schema_version": 1, "run_id"')
    app = open_page(page, artifacts)
    assert not app.exception
    warnings = [warning.value.replace("\\", "") for warning in app.warning]
    assert len(warnings) == 1
    assert "efficientnet_lite0-cpu-s1" in warnings[0]
    assert "report.json" in warnings[0]


def test_a_half_written_and_a_newer_run_are_named(open_page, toy, tmp_path):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    runs = artifacts / "toy" / "runs"
    (runs / "efficientnet_lite0-cpu-s1" / "run.json").unlink()
    newer = runs / "pair-cpu" / "run.json"
    newer.write_text(newer.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    app = open_page("leaderboard", artifacts)
    said = "\n".join(warning.value for warning in app.warning)
    assert "run.json is missing" in said
    assert "newer FERscope" in said
    assert len(app.dataframe[0].value) == 2


def test_overview_counts_what_is_there(open_page, toy):
    app = open_page("overview", toy.artifacts)
    values = {metric.label: metric.value for metric in app.metric}
    assert values == {
        "Images": "280",
        "Classes": "7",
        "Models compared": "4",
        "Best test accuracy": "75.7%",
    }


def test_leaderboard_ranks_with_intervals_and_protocol(open_page, toy):
    app = open_page("leaderboard", toy.artifacts)
    table = app.dataframe[0].value
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert table["accuracy"].is_monotonic_decreasing
    assert table["accuracy"].iloc[0] == pytest.approx(53 / 70)
    low, high = map(float, table["accuracy interval"].iloc[0].split(" to "))
    assert low < 100 * 53 / 70 < high
    assert toy.dataset.info.split_hash in texts(app)


def test_leaderboard_puts_models_that_cannot_be_told_apart_into_one_band(open_page, toy):
    app = open_page("leaderboard", toy.artifacts)
    assert set(app.dataframe[0].value["band"]) == {"A"}
    pairs = app.dataframe[1].value
    assert len(pairs) == 6  # four runs
    assert not pairs["told apart"].any()
    # seeds 0 and 1 err on every fourth sample, at other places: 17 or 18 of 70 each
    counts = pairs[["only the better is right", "only the other is right"]].to_numpy()
    assert sorted(map(tuple, counts.tolist()))[-1] == (17, 17)


def test_leaderboard_shows_other_protocols_apart(open_page, toy, tmp_path):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    report = artifacts / "toy" / "runs" / "efficientnet_lite0-cpu-s1" / "report.json"
    report.write_text(report.read_text().replace(toy.dataset.info.split_hash, "another-split"))
    app = open_page("leaderboard", artifacts)
    assert len(app.dataframe[0].value) == 3
    assert list(app.dataframe[1].value["run"]) == ["efficientnet_lite0-cpu-s1"]
    assert "rank" not in app.dataframe[1].value


def test_leaderboard_scores_the_second_labels_too(open_page, toy):
    app = open_page("leaderboard", toy.artifacts, scored="Test, second labels")
    table = app.dataframe[0].value
    test = toy.dataset.samples.query("split == 'test'")
    # seed 0 errs on positions 3, 7, 11 ... towards the next class
    truth = toy.dataset.targets(toy.dataset.rows("test"))
    predicted = (truth + (np.arange(len(truth)) % 4 == 3)) % 7
    names = np.array(toy.dataset.labels.names)
    expected = (names[predicted] == test["second_label"].to_numpy()).mean()
    row = table.set_index("run").loc["efficientnet_lite0-cpu-s0"]
    assert row["accuracy"] == pytest.approx(expected)
    assert expected != pytest.approx(53 / 70)


def test_leaderboard_imports_no_torch(toy):
    script = f"""
    import os, sys
    os.environ["FERSCOPE_ARTIFACTS"] = {str(toy.artifacts)!r}
    from streamlit.testing.v1 import AppTest
    app = AppTest.from_file({str(HOME)!r}, default_timeout=60).run()
    app.switch_page("views/leaderboard.py").run()
    assert not app.exception and len(app.dataframe[0].value) == 4
    heavy = {{"torch", "timm", "transformers", "pytorch_grad_cam"}} & set(sys.modules)
    assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)


def test_a_cell_in_the_address_lists_its_samples(open_page, toy):
    app = open_page("confusion", toy.artifacts, run="pair-cpu", true="happy", predicted="neutral")
    assert "happy taken for neutral" in texts(app)
    rows = app.dataframe[-1].value
    assert set(rows["true"]) == {"happy"}
    assert set(rows["predicted"]) == {"neutral"}
    assert rows["confidence"].is_monotonic_decreasing
    assert "prepare your own copy" in texts(app)


def test_with_pictures_the_samples_are_shown(open_page, toy):
    app = open_page("confusion", toy.artifacts, toy.data, true="happy", predicted="happy")
    assert "prepare your own copy" not in texts(app)
    assert len(app.get("image")) > 0


def test_a_nonsense_address_opens_the_plain_page(open_page, toy):
    app = open_page(
        "confusion", toy.artifacts, run="../../etc", true="<b>", predicted="x", scored="nonsense"
    )
    assert not app.exception
    assert "Click a cell of the matrix" in texts(app)


def test_compare_answers_with_every_model(open_page, toy):
    app = open_page("compare", toy.artifacts)
    app.checkbox(key="cropped").check().run()
    assert not app.exception
    titles = [text.value for text in app.markdown if text.value.startswith("**")]
    assert len(titles) == 4


def test_compare_goes_on_when_one_weight_file_is_damaged(open_page, toy, tmp_path):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    weights = artifacts / "toy" / "runs" / "efficientnet_lite0-cpu-s1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    app = open_page("compare", artifacts)
    app.checkbox(key="cropped").check().run()
    assert not app.exception
    said = app.warning[0].value.replace("\\", "")  # escaped for Markdown
    assert "efficientnet_lite0-cpu-s1" in said
    assert "damaged" in said
    titles = [text.value for text in app.markdown if text.value.startswith("**")]
    assert len(titles) == 3


def test_a_name_from_outside_is_shown_as_it_is():
    from dashboard.components.text import plain

    assert plain("[me](http://x) **a** $b$ :smile: <i>") == (
        r"\[me\]\(http\://x\) \*\*a\*\* \$b\$ \:smile\: \<i\>"
    )
