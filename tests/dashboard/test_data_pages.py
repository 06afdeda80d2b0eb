"""Dataset explorer and Data quality, with and without pictures, on planted faults."""

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.artifacts import ArtifactStore, RunDir
from fer_core.data.card import DatasetCard
from fer_core.data.outliers import outliers
from fer_core.data.plan import PrepareOptions
from fer_core.data.prepare import prepare_sources, publish_facts
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Sample
from fer_core.evaluation.predictions import Predictions
from fer_core.labels import LabelSet
from fer_core.tables import write_table
from tests.support.builders import SIDE, Toy, ToySource, toy_run
from tests.support.helpers import ListSource
from tests.support.pages import galleries, texts

EXPLORER = ("Classes", "Samples", "Mean faces", "Image statistics", "Map", "Annotators")
QUALITY = (
    "Duplicates",
    "Leaks",
    "Transformed copies",
    "Conflicting labels",
    "Outliers",
    "Likely label errors",
)
PAGES = [("explorer", "view", view) for view in EXPLORER] + [
    ("quality", "issues", view) for view in QUALITY
]


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy benchmark with votes, a leak, a conflict and a dark picture; two networks."""
    root: Path = tmp_path_factory.mktemp("faulty")
    items: list[Sample] = []
    for sample in ToySource(per_class=40):
        other = sample.second_label
        votes = dict.fromkeys(ToySource().labels, 0) | {str(other): 3, str(sample.label): 7}
        items.append(Sample(**{**vars(sample), "votes": votes}))
    leaked = next(item for item in items if item.split == "test")
    items.append(Sample("leak", leaked.image, leaked.label, "train"))
    copied = next(item for item in items if item.split == "train")
    wrong = "sad" if copied.label != "sad" else "happy"
    items.append(Sample("twin", copied.image, wrong, "train"))
    dark = (items[5].image // 16).astype(np.uint8)
    items.append(Sample("dark", dark, items[5].label, "train"))
    folder = root / "data" / "toy"
    dataset = prepare_sources(
        [SelectedSource(ListSource(items))], PrepareOptions(side=SIDE), folder, name="toy"
    )
    benchmark = ArtifactStore(root / "artifacts").benchmark("toy")
    publish_facts(dataset, benchmark)
    for seed in (0, 1):
        _doubt(toy_run(benchmark, dataset, seed), dataset.labels)
    return Toy(root / "artifacts", root / "data", benchmark, dataset)


@pytest.fixture
def faulty_copy(faulty: Toy, tmp_path: Path) -> Path:
    """A copy of the faulty benchmark's artifacts, to change or damage."""
    return shutil.copytree(faulty.artifacts, tmp_path / "artifacts")


def _doubt(run: RunDir, labels: LabelSet) -> None:
    """Lets a run say with certainty that the first six test labels are the next class's."""
    read = Predictions.read(run.predictions_path, labels)
    test = read.split("test")
    test.stored[:6] = 0.002
    test.stored[np.arange(6), (test.truth[:6] + 1) % len(labels)] = 0.988
    read.write(run.predictions_path)


def pictures(app) -> int:
    """Number of pictures in the page's own grids."""
    static = [element.proto.body for element in app.get("html")]
    return sum(body.count("<figure>") for body in (*static, *galleries(app)))


@pytest.mark.parametrize(("page", "key", "view"), PAGES)
@pytest.mark.parametrize("attached", [True, False])
def test_every_view_opens_with_and_without_pictures(page, key, view, attached, open_page, faulty):
    app = open_page(page, faulty.artifacts, faulty.data if attached else None, **{key: view})
    assert not app.exception
    assert not app.error
    shows_samples = view in ("Samples", "Duplicates", "Leaks", "Conflicting labels", "Outliers")
    if shows_samples:
        assert (pictures(app) > 0) == attached
        assert ("are not on this machine" in texts(app)) != attached
        assert app.dataframe


@pytest.mark.parametrize("page", ["explorer", "quality"])
def test_without_benchmarks_a_page_shows_the_command_to_run(page, open_page, tmp_path):
    app = open_page(page, tmp_path)
    assert not app.exception
    assert "There is no benchmark yet" in texts(app)


@pytest.mark.parametrize("page", ["explorer", "quality"])
def test_damaged_samples_show_one_error(page, open_page, faulty_copy):
    (faulty_copy / "toy" / "samples.parquet").write_bytes(b"PAR1")
    app = open_page(page, faulty_copy)
    assert not app.exception
    assert "samples.parquet" in app.error[0].value.replace("\\", "")


def test_the_explorer_counts_by_class_and_split(open_page, faulty):
    app = open_page("explorer", faulty.artifacts)
    table = app.dataframe[0].value
    assert table["all"].sum() == 7 * 40 + 2  # the leaked copy takes no part
    assert table.loc["happy", "test"] == 10
    left_out = app.dataframe[1].value
    assert left_out.values.tolist() == [["duplicate of a test image", 1]]


def test_samples_are_filtered_sorted_and_paged_from_the_address(open_page, faulty):
    app = open_page(
        "explorer", faulty.artifacts, faulty.data,
        view="Samples", split="test", sort="Dark to bright", page="2",
    )  # fmt: skip
    assert "70 images" in texts(app)
    rows = app.dataframe[0].value
    assert len(rows) == 30  # the second page of 40
    assert set(rows["split"]) == {"test"}
    assert rows["brightness"].is_monotonic_increasing
    assert pictures(app) == 30
    app.pills(key="emotions").set_value(["happy"]).run()
    rows = app.dataframe[0].value
    assert set(rows["label"]) == {"happy"}
    assert len(rows) == 10


def test_another_list_starts_at_its_first_page(open_page, faulty):
    app = open_page("explorer", faulty.artifacts, view="Samples", page="8")
    assert app.number_input(key="page").value == 8  # a link opens its page
    app.selectbox(key="split").set_value("test").run()
    assert not app.exception
    assert app.number_input(key="page").value == 1
    app.number_input(key="page").set_value(2).run()
    app.button_group(key="sort").set_value("brightness").run()
    assert app.number_input(key="page").value == 1  # the same images in another order
    app.number_input(key="page").set_value(2).run()
    assert not app.exception
    assert app.number_input(key="page").value == 2
    assert app.dataframe[0].value["brightness"].is_monotonic_increasing


def test_a_region_in_the_address_lists_its_images(open_page, faulty):
    samples = faulty.dataset.samples
    x = samples["x"]
    cut = float(x.median())
    region = f"{cut:.4f},-9_9,-9_9,9_{cut:.4f},9"
    app = open_page("explorer", faulty.artifacts, faulty.data, view="Map", region=region)
    assert f"{int((x > round(cut, 4)).sum()):,} images in the region" in texts(app)
    app.button[0].click().run()
    assert "Select a region of the map" in texts(app)


@pytest.mark.parametrize("region", ["1,2", "a,b_c,d_e,f", "1,2_3,4_nan,1", "1,2_3_4,5,6", "<b>"])
def test_an_invalid_region_is_ignored(region, open_page, faulty):
    app = open_page("explorer", faulty.artifacts, view="Map", region=region)
    assert not app.exception
    assert "Select a region of the map" in texts(app)


def test_the_annotators_view_shows_their_agreement(open_page, faulty):
    app = open_page("explorer", faulty.artifacts, view="Annotators")
    table = app.dataframe[0].value.set_index("class")
    # Four of five images: all ten for the label; the fifth 7 to 3.
    assert table["mean agreement"].between(0.6, 1).all()
    assert "Annotator agreement" in texts(app)
    assert "Compared with the second annotation" in texts(app)


def test_quality_shows_the_planted_duplicate_groups(open_page, faulty):
    app = open_page("quality", faulty.artifacts, faulty.data)
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Extra copies"] == "3"  # the dark one correlates with its original
    assert values["Test images with a copy"] == "1"
    assert values["Groups with two labels"] == "1"
    listed = app.dataframe[0].value
    assert {"list/leak", "list/twin", "list/dark"} <= set(listed["id"])
    scored = listed["split"].isin(["validation", "test"])
    assert scored.any()
    assert (listed["take"] == ~scored).all()
    assert set(listed.loc[scored, "caution"]) == {"scored images: would make another benchmark"}
    assert set(listed.loc[~scored, "caution"]) == {""}
    assert "not exported unless you tick them" in texts(app)


def test_leaks_of_test_are_listed_with_their_reason_and_not_exported(open_page, faulty):
    app = open_page("quality", faulty.artifacts, faulty.data, issues="Leaks")
    listed = app.dataframe[-1].value
    assert listed["reason"].tolist() == ["a copy is in train"]
    assert not listed["take"].any()


def used_outliers(samples: pd.DataFrame) -> int:
    """Counts the images of train, validation and test that are outliers for any reason."""
    used = set(samples.loc[samples["split"] != "excluded", "id"])
    return len(used & set(outliers(samples)["id"]))


def test_outliers_are_counted_by_image_without_excluded_ones(
    open_page, artifacts_copy, benchmark_copy
):
    samples = benchmark_copy.samples()
    before = used_outliers(samples)
    train = samples.index[samples["split"] == "train"]
    samples.loc[train[:2], ["sharpness", "contrast"]] = [1e9, 0.001]  # two reasons each
    samples.loc[train[1], ["split", "excluded"]] = ["excluded", "flat or blank"]
    samples.to_parquet(benchmark_copy.samples_path)
    reasons = outliers(samples)["id"].value_counts()
    assert (reasons[samples.loc[train[:2], "id"]] >= 2).all()
    app = open_page("quality", artifacts_copy)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Outliers"] == str(used_outliers(samples)) == str(before + 1)


@pytest.mark.parametrize(
    ("removed", "kinds"), [(True, "exact, near or transformed"), (False, "exact or near")]
)
def test_copies_are_called_what_is_counted(
    open_page, artifacts_copy, benchmark_copy, removed, kinds
):
    card = DatasetCard.read(benchmark_copy.card_path)
    assert card.transformed is not None
    found = card.transformed.model_copy(update={"removed": removed})
    card.model_copy(update={"transformed": found}).write(benchmark_copy.card_path)
    app = open_page("quality", artifacts_copy)
    helps = {metric.label: metric.help for metric in app.metric}
    assert helps["Extra copies"].startswith(f"{kinds.capitalize()} copies beyond the first")
    assert helps["Groups with two labels"].startswith(f"Groups of {kinds} copies")


def test_metrics_captions_lists_and_card_agree(open_page, faulty):
    card = DatasetCard.read(faulty.benchmark.card_path)
    app = open_page("quality", faulty.artifacts, faulty.data, issues="Leaks")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {
        "Extra copies": str(card.near.extra),
        "Test images with a copy": str(card.leaked_test),
        "Groups with two labels": str(card.near.conflicting_groups),
        "Outliers": str(used_outliers(faulty.benchmark.samples())),
    }
    assert (shown["Test images with a copy"], shown["Groups with two labels"]) == ("1", "1")
    assert len(app.dataframe[-1].value) == 1
    assert "1 test images that are scored have a copy in the original train" in texts(app)
    assert (
        f"Test images with a copy: {card.leaked_test}"
        in faulty.benchmark.card_text_path.read_text()
    )
    app = open_page("quality", faulty.artifacts, faulty.data, issues="Conflicting labels")
    assert "1 groups of exact, near or transformed copies with 2 labelled images" in texts(app)


def test_prepare_reads_the_exported_relabel_lists(open_page, faulty, tmp_path):
    app = open_page("quality", faulty.artifacts, issues="Conflicting labels")
    listed = app.dataframe[-1].value
    assert set(listed["proposal"]) == {"exclude the image"}
    from fer_core.data.review import relabel_list

    csv = tmp_path / "relabel.csv"
    relabel_list(listed.assign(proposal="")).to_csv(csv, index=False)
    images = [Image.fromarray(image) for image in faulty.dataset.images]
    rows = faulty.dataset.samples
    items = [
        Sample(row.id.split("/")[1], np.asarray(image), row.label, row.source_split)
        for image, row in zip(images, rows.itertuples(index=False), strict=True)
    ]
    again = prepare_sources(
        [SelectedSource(ListSource(items))],
        PrepareOptions(side=SIDE, relabel=csv),
        tmp_path / "set",
        name="again",
    )
    aside = again.samples.loc[again.samples["excluded"] == "set aside by the relabel list", "id"]
    assert sorted(aside) == sorted(listed["id"])


def test_edits_of_corrections_stay_with_their_list(open_page, faulty_copy):
    """The editor's element is another one for another benchmark's list or another order."""

    def editor(benchmark: str) -> str:
        app = open_page("quality", faulty_copy, benchmark=benchmark, issues="Conflicting labels")
        assert not app.exception
        return app.dataframe[-1].proto.id

    first = editor("toy")
    assert editor("toy") == first
    shutil.copytree(faulty_copy / "toy", faulty_copy / "other")
    directory = ArtifactStore(faulty_copy).benchmark("other")
    info = directory.info().model_copy(update={"name": "other"})
    info.write(directory.info_path)
    assert editor("other") != first
    samples = pd.read_parquet(faulty_copy / "toy" / "samples.parquet")
    write_table(faulty_copy / "toy" / "samples.parquet", samples[::-1].reset_index(drop=True))
    assert editor("toy") != first


def test_label_issues_show_each_models_accuracy_without_them(open_page, faulty):
    app = open_page("quality", faulty.artifacts, issues="Likely label errors")
    listed, table = app.dataframe[0].value, app.dataframe[1].value
    assert 4 <= len(listed) <= 6
    assert (listed["label"] != listed["proposal"]).all()
    assert len(table) == 2
    among, errors = table["likely label errors among them"], table["test errors"]
    assert (among >= 4).all()  # the six that both models doubt
    np.testing.assert_allclose(table["share of errors"], among / errors)
    assert set(table["judged by"]) == {"other networks"}


def test_unreadable_networks_are_named_and_do_not_count_as_no_label_issues(open_page, faulty_copy):
    first, *rest = sorted((faulty_copy / "toy" / "runs").iterdir())
    (first / "predictions.parquet").write_bytes(b"PAR1")
    app = open_page("quality", faulty_copy, issues="Likely label errors")
    warnings = "\n".join(warning.value for warning in app.warning).replace("\\", "")
    assert f"their predictions cannot be read or are for other samples: {first.name}." in warnings
    assert "Only one network is used" in warnings
    for run in rest:
        (run / "predictions.parquet").unlink()
    app = open_page("quality", faulty_copy, issues="Likely label errors")
    assert not app.exception
    assert not app.success
    assert "no readable one yet" in texts(app)


def test_without_runs_label_issues_show_the_train_command(open_page, faulty_copy):
    shutil.rmtree(faulty_copy / "toy" / "runs")
    app = open_page("quality", faulty_copy, issues="Likely label errors")
    assert not app.exception
    assert "python -m training train" in app.code[0].value


def test_a_dataset_of_an_earlier_version_opens(open_page, faulty, faulty_copy):
    """No card, no map, no hashes, no sizes."""
    place = faulty_copy / "toy"
    (place / "card.json").unlink()
    (place / "CARD.md").unlink()
    old = faulty.dataset.samples.drop(columns=["x", "y", "outlier", "phash", "width", "height"])
    write_table(place / "samples.parquet", old)
    for page, key, view in PAGES:
        app = open_page(page, faulty_copy, **{key: view})
        assert not app.exception, (page, view)
    assert "Prepare it again" in texts(open_page("explorer", faulty_copy, view="Map"))


def test_shipped_images_are_shown_without_a_prepared_dataset(open_page, faulty, tmp_path):
    items = list(ToySource(per_class=8))
    options = PrepareOptions(side=SIDE, ship_pictures=True)
    dataset = prepare_sources(
        [SelectedSource(ListSource(items))], options, tmp_path / "data" / "toy", name="toy"
    )
    publish_facts(dataset, ArtifactStore(tmp_path / "artifacts").benchmark("toy"))
    shutil.rmtree(tmp_path / "data")
    app = open_page("explorer", tmp_path / "artifacts", view="Samples")
    assert pictures(app) == 40
    damaged = tmp_path / "artifacts" / "toy" / "pictures.parquet"
    damaged.write_bytes(damaged.read_bytes()[:500])
    app = open_page("explorer", tmp_path / "artifacts", view="Samples")
    assert not app.exception
    assert "are not on this machine" in texts(app)


def test_pages_open_quickly_with_300_000_samples(open_page, faulty, faulty_copy):
    """Statistics, lists and map of a large table come in time; pictures are never needed."""
    count = 300_000
    random = np.random.default_rng(0)
    rows = faulty.dataset.samples.sample(count, replace=True, random_state=0)
    rows = rows.reset_index(drop=True).assign(
        id=[f"big/{n:06d}" for n in range(count)],
        duplicate_group=np.where(random.random(count) < 0.02, random.integers(0, 3000, count), -1),
        exact_group=-1,
        x=random.normal(size=count).astype(np.float32),
    )
    write_table(faulty_copy / "toy" / "samples.parquet", rows)
    slow = {}
    for page, key, view in PAGES[:-1]:
        app = open_page(page, faulty_copy, **{key: view})
        assert not app.exception, (page, view)
        started = time.process_time()
        app.run()
        slow[view] = time.process_time() - started
    assert max(slow.values()) < 1.5, slow  # processor time; the bar of 0.3 s is for 36,000


def test_unknown_classes_and_special_characters_in_names_are_shown(open_page, tmp_path):
    items = [
        Sample(**{**vars(sample), "key": f"<b>{n}", "label": f"<i>{sample.label}"})
        for n, sample in enumerate(ToySource(per_class=8))
    ]
    dataset = prepare_sources(
        [SelectedSource(ListSource(items))],
        PrepareOptions(side=SIDE),
        tmp_path / "data" / "toy",
        name="toy",
    )
    publish_facts(dataset, ArtifactStore(tmp_path / "artifacts").benchmark("toy"))
    app = open_page("explorer", tmp_path / "artifacts", tmp_path / "data", view="Samples")
    assert not app.exception
    body = "".join(galleries(app))
    assert "<i>" not in body
    assert "&lt;i&gt;angry" in body
    assert isinstance(app.dataframe[0].value, pd.DataFrame)
