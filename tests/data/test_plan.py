"""Plans: several sources, cleaned, mapped, merged, weighed, balanced, relabelled and split."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.artifacts import ArtifactStore
from fer_core.data.card import DatasetCard, card_text
from fer_core.data.cleaning import Cleaner
from fer_core.data.faces import FER2013, CropSquare, DetectedFace, whole_picture
from fer_core.data.plan import BalancePlan, CleanPlan, PrepareOptions, SplitPlan, TopUp, read_plan
from fer_core.data.prepare import prepare_plan, prepare_sources, publish_facts
from fer_core.data.prepared import PreparedDataset
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Origin, Sample
from fer_core.data.storage import decode
from fer_core.errors import ArtifactError, DataError
from tests.support.helpers import ListSource, noise, samples, write_images

SIDE = 16
PAIR = ["happy", "sad"]


def source(count: int, *, seed: int, splits=(None,), labels=PAIR, **options) -> ListSource:
    """`count` images in each split, classes in turn."""
    images = noise(count * len(splits), seed=seed, side=SIDE)
    items = []
    for number, split in enumerate(splits):
        part = images[number * count : (number + 1) * count]
        names = (list(labels) * count)[:count]
        items += samples(part, names, split, number * count)
    return ListSource(items, **options)


def build(folder: Path, *parts: SelectedSource, **options) -> PreparedDataset:
    options = {"side": SIDE, **options}
    return prepare_sources(parts, PrepareOptions(**options), folder / "set", name="tiny")


def train_counts(dataset: PreparedDataset, by: str = "label") -> dict[str, int]:
    rows = dataset.samples[dataset.samples["split"] == "train"]
    return rows[by].value_counts().to_dict()


THREE = ("train", "validation", "test")


def test_sources_are_merged_and_each_sample_keeps_its_origin(tmp_path: Path) -> None:
    with_splits = SelectedSource(source(6, seed=1, splits=THREE), name="own_split")
    drawn = SelectedSource(source(40, seed=2), name="no_split")
    dataset = build(tmp_path, with_splits, drawn)
    table = dataset.samples
    assert table["id"].iloc[[0, 18]].tolist() == ["own_split/0000", "no_split/0000"]
    assert table.groupby("source")["split"].value_counts().to_dict() == {
        ("own_split", "train"): 6,
        ("own_split", "validation"): 6,
        ("own_split", "test"): 6,
        ("no_split", "train"): 28,
        ("no_split", "validation"): 4,
        ("no_split", "test"): 8,
    }
    assert [origin.name for origin in dataset.info.sources] == ["own_split", "no_split"]
    assert dataset.info.title == "A list + A list"


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Several sources are called list, list"):
        build(
            tmp_path,
            SelectedSource(source(6, seed=1, splits=THREE)),
            SelectedSource(source(40, seed=2)),
        )


def test_a_copy_in_another_source_is_excluded_from_training(tmp_path: Path) -> None:
    first, second = source(6, seed=1, splits=THREE), source(6, seed=2, splits=THREE)
    test_image = first.items[12].image
    second.items[0] = Sample("0000", test_image, "happy", "train")
    dataset = build(tmp_path, SelectedSource(first, name="a"), SelectedSource(second, name="b"))
    copied = dataset.samples.set_index("id").loc["b/0000"]
    assert (copied["split"], copied["excluded"]) == ("excluded", "duplicate of a test image")


def test_groups_stay_on_one_side_of_a_drawn_split(tmp_path: Path) -> None:
    """Twenty persons with six pictures each."""
    images = noise(120, side=SIDE)
    items = [
        Sample(f"{n:04d}", image, PAIR[n % 2], None, group=f"person {n // 6}")
        for n, image in enumerate(images)
    ]
    dataset = build(tmp_path, SelectedSource(ListSource(items)))
    sides = dataset.samples.groupby("group")["split"].nunique()
    assert len(sides) == 20
    assert (sides == 1).all()
    assert set(dataset.samples["split"]) == set(THREE)
    assert (dataset.samples["duplicate_group"] == -1).all()


def test_a_few_persons_are_enough_to_split(tmp_path: Path) -> None:
    images = noise(60, side=SIDE)
    items = [
        Sample(f"{n:04d}", image, PAIR[n % 2], None, group=f"person {n // 15}")
        for n, image in enumerate(images)
    ]
    dataset = build(tmp_path, SelectedSource(ListSource(items)))
    assert (dataset.samples.groupby("group")["split"].nunique() == 1).all()
    assert dataset.samples["split"].value_counts().to_dict() == {
        "train": 30,
        "validation": 15,
        "test": 15,
    }


def test_group_members_of_a_test_image_are_excluded_from_training(tmp_path: Path) -> None:
    """An altered copy of a training image stands in the source's own test split."""
    items = list(source(6, seed=1, splits=THREE).items)
    for place in (0, 13):
        item = items[place]
        items[place] = Sample(item.key, item.image, item.label, item.split, group="12")
    dataset = build(tmp_path, SelectedSource(ListSource(items)))
    table = dataset.samples.set_index("id")
    assert table.loc["list/0000", "excluded"] == "belongs to a test image"
    assert table.loc["list/0013", "split"] == "test"
    assert bool(table.loc["list/0013", "leak"])


def test_classes_are_renamed_and_left_out(tmp_path: Path) -> None:
    original = source(60, seed=1, labels=("Joyful", "grumpy", "bored"))
    part = SelectedSource(original, mapping={"joyful": "happy", "GRUMPY": "anger", "bored": ""})
    items = [Sample(**{**vars(item), "label": item.label.lower()}) for item in original.items]
    dataset = build(tmp_path, SelectedSource(ListSource(items), mapping=part.mapping))
    assert dataset.info.labels == ("angry", "happy")
    assert len(dataset.samples) == 40
    assert DatasetCard.read(dataset.folder / "card.json").sources[0].left_out == {
        "the class bored is left out": 20
    }
    with pytest.raises(DataError, match="--map-class names fear, but the classes of list are"):
        build(tmp_path, SelectedSource(ListSource(items), mapping={"fear": "sad"}))


def test_votes_and_second_labels_follow_the_mapping(tmp_path: Path) -> None:
    items = source(12, seed=1, splits=THREE).items
    votes = {"sad": 4, "bored": 3, "happy": 3, "cross": 2}
    second = ["bored", "cross", "sad", None]
    items = [
        replace(item, votes=votes if item.label == "sad" else {}, second_label=second[n % 4])
        for n, item in enumerate(items)
    ]
    items += samples(noise(2, seed=8, side=SIDE), ["bored", "cross"], "train", 100)
    dataset = build(
        tmp_path, SelectedSource(ListSource(items), mapping={"bored": "sad", "cross": ""})
    )
    table = dataset.samples.set_index("id")
    original = table.loc["list/0001"]
    assert (original["votes_sad"], original["votes_happy"], original["votes_cross"]) == (7, 3, 2)
    assert "votes_bored" not in table
    assert dataset.soft_targets(np.array([1])).tolist() == [
        [pytest.approx(0.3), pytest.approx(0.7)]
    ]
    assert table["second_label"].iloc[:3].fillna("").tolist() == ["sad", "", "sad"]


def test_non_square_images_are_not_stretched(tmp_path: Path) -> None:
    items = source(6, seed=1, splits=THREE).items
    wide = noise(1, seed=5, side=30)[0][7 : 7 + SIDE]
    items[0] = replace(items[0], image=wide)
    dataset = build(tmp_path, SelectedSource(ListSource(items)))
    np.testing.assert_array_equal(dataset.images[0], wide[:, 7 : 7 + SIDE])
    # as a picture that is cropped already is answered
    crop = whole_picture(Image.fromarray(wide)).crop
    np.testing.assert_array_equal(dataset.images[0], dataset.format.convert(crop))
    assert dataset.samples["width"].iloc[0] == 30


def test_the_limit_counts_only_selected_classes(tmp_path: Path) -> None:
    original = source(90, seed=1, labels=("happy", "sad", "fear"))
    part = SelectedSource(original, classes=("happy", "sad"), limit=40)
    dataset = build(tmp_path, part)
    assert len(dataset.samples) == 40
    assert set(dataset.samples["label"]) == {"happy", "sad"}
    assert DatasetCard.read(dataset.folder / "card.json").sources[0].left_out == {
        "beyond the limit": 20,
        "not of a class that is taken": 30,
    }


def test_selected_classes_and_a_limit(tmp_path: Path) -> None:
    part = SelectedSource(
        source(90, seed=1, labels=("happy", "sad", "fear")), classes=("happy", "Sadness")
    )
    assert build(tmp_path, part).info.labels == ("happy", "sad")
    limited = build(tmp_path, SelectedSource(source(90, seed=1), limit=50))
    again = build(tmp_path, SelectedSource(source(90, seed=1), limit=50))
    assert len(limited.samples) == len(limited.images) == 50
    assert limited.samples["id"].tolist() == again.samples["id"].tolist()
    card = DatasetCard.read(limited.folder / "card.json")
    assert card.sources[0].left_out == {"beyond the limit": 40}


def test_a_selected_class_that_the_source_lacks_is_named(tmp_path: Path) -> None:
    three = source(90, seed=1, labels=("happy", "sad", "fear"))
    part = SelectedSource(three, classes=("happy", "hapy", "sad", "bored"), limit=40)
    with pytest.raises(
        DataError,
        match="`classes` names bored, hapy, but the classes of list are fear, happy, sad",
    ):
        build(tmp_path, part)
    # classes have the names that the mapping gives
    renamed = SelectedSource(three, classes=("happy", "anger"), mapping={"fear": "angry"})
    assert build(tmp_path, renamed).info.labels == ("angry", "happy")
    before = SelectedSource(three, classes=("happy", "fear"), mapping={"fear": "angry"})
    with pytest.raises(DataError, match="names fear, but the classes of list are angry, happy"):
        build(tmp_path, before)


def test_source_weights_change_proportions_in_train_only(tmp_path: Path) -> None:
    """30 and 60 training images, wanted 2 to 1: 30 and 15."""
    parts = [
        SelectedSource(source(30, seed=1, splits=THREE), name="a", weight=2),
        SelectedSource(source(60, seed=2, splits=THREE), name="b", weight=1),
    ]
    dataset = build(tmp_path, *parts)
    assert train_counts(dataset, "source") == {"a": 30, "b": 16}  # 7.5 of each class, rounded
    assert (dataset.samples["split"] == "test").sum() == 90
    assert dataset.info.excluded == {"over the weight of its source": 44}


def test_a_class_is_topped_up_from_a_named_source(tmp_path: Path) -> None:
    """12 happy, 4 sad in train: 8 more sad ones come from the spare source's train split."""
    main = source(12, seed=1, splits=THREE)
    items = [
        item for n, item in enumerate(main.items) if not (n < 12 and n % 2) or n in (1, 3)
    ]  # train: 6 happy, 2 sad
    spare = source(20, seed=2, splits=("train", "test"))
    dataset = build(
        tmp_path,
        SelectedSource(ListSource(items), name="main"),
        SelectedSource(spare, name="spare", role="top-up"),
        balance=BalancePlan(top_up=(TopUp(label="sad", source="spare", to="largest"),)),
    )
    assert train_counts(dataset) == {"happy": 6, "sad": 6}
    added = dataset.samples.query("source == 'spare' and split != 'excluded'")
    assert len(added) == 4
    assert set(added["split"]) == {"train"}
    assert set(added["label"]) == {"sad"}
    assert set(added["source_split"]) == {"train"}  # never what the source holds out
    assert dataset.info.excluded == {"kept for topping up": 36}


def test_no_majority_images_of_a_top_up_source_are_not_used(tmp_path: Path) -> None:
    votes = {"happy": 5, "sad": 5}
    items = [
        Sample(f"d{n}", image, None, split, "annotators disagree", votes=votes)
        for n, (image, split) in enumerate(zip(noise(3, seed=7, side=SIDE), THREE, strict=True))
    ]
    spare = ListSource([*source(12, seed=2, splits=THREE).items, *items])
    main = source(12, seed=1, splits=THREE)
    for role, count in (("all", 1), ("top-up", 0)):
        parts = (SelectedSource(main, name="main"), SelectedSource(spare, name="spare", role=role))
        assert len(build(tmp_path, *parts).no_majority_rows()) == count


def test_topping_up_with_a_class_that_the_source_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spare has no 'fear' to top up with; it has happy, sad"):
        build(
            tmp_path,
            SelectedSource(source(12, seed=1, splits=THREE), name="main"),
            SelectedSource(source(12, seed=2), name="spare", role="top-up"),
            balance=BalancePlan(top_up=(TopUp(label="fear", source="spare"),)),
        )


@pytest.mark.parametrize(("most", "happy"), [("smallest", 6), ("mean", 9), (7, 7)])
def test_large_classes_are_capped_in_train_only(tmp_path: Path, most, happy: int) -> None:
    items = list(source(12, seed=1, splits=THREE).items)
    extra = samples(noise(6, seed=5, side=SIDE), ["happy"] * 6, "train", 100)
    dataset = build(
        tmp_path, SelectedSource(ListSource([*items, *extra])), balance=BalancePlan(most=most)
    )
    assert train_counts(dataset) == {"happy": happy, "sad": 6}
    assert dataset.info.counts["test"] == {"happy": 6, "sad": 6}


def test_a_random_split_replaces_the_sources_splits(tmp_path: Path) -> None:
    part = SelectedSource(source(50, seed=1, splits=("train", "test")))
    dataset = build(tmp_path, part, split=SplitPlan(by="random", test=0.25, validation=0.2))
    assert dataset.samples["split"].value_counts().to_dict() == {
        "train": 60,
        "validation": 15,
        "test": 25,
    }
    assert set(dataset.samples["source_split"]) == {"train", "test"}


class Finder:
    """Finds a face wherever the picture is brighter than its ground."""

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        pixels = np.asarray(image.convert("L")) > 128
        if not pixels.any():
            return ()
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        return (DetectedFace(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, 1.0),)


def bright_square(side: int, at: int, size: int) -> np.ndarray:
    image = noise(1, seed=at, side=side)[0] // 4
    image[at : at + size, at : at + size] = 250
    return image


def test_cleaning_gives_the_reason() -> None:
    cleaner = Cleaner(CleanPlan(faces="crop", min_side=40, drop_flat=True), Finder())

    def reason(image: np.ndarray) -> str:
        return cleaner.clean(Sample("a", image, "happy", None)).excluded

    assert reason(np.full((40, 40), 9, np.uint8)) == "flat or blank"
    assert reason(noise(1, side=40)[0] // 4) == "no face was found"
    assert reason(bright_square(60, 10, 30)) == "smaller than 40 pixels"
    assert reason(bright_square(120, 20, 80)) == ""


def test_faces_crop_crops_and_faces_require_keeps_the_image() -> None:
    sample = Sample("a", bright_square(90, 30, 30), "happy", None)
    crop = Cleaner(CleanPlan(faces="crop"), Finder()).clean(sample).image
    kept = Cleaner(CleanPlan(faces="require"), Finder()).clean(sample).image
    side = CropSquare.around(DetectedFace(30, 30, 60, 60, 1.0), FER2013).side
    assert crop.shape == (side, side)
    assert kept is sample.image


def test_an_exclusion_reason_of_the_source_is_kept() -> None:
    sample = Sample("a", np.zeros((40, 40), np.uint8), None, None, "annotators say contempt")
    cleaner = Cleaner(CleanPlan(drop_flat=True))
    assert cleaner.clean(sample).excluded == "annotators say contempt"
    # a picture from whose votes a network can still learn is looked at like any other
    disputed = replace(sample, excluded="annotators disagree")
    assert cleaner.clean(disputed).excluded == "flat or blank"
    assert Cleaner(CleanPlan()).clean(disputed).excluded == "annotators disagree"
    assert cleaner.clean(replace(sample, excluded="")).excluded == "no label"


def test_no_majority_images_are_cropped_like_the_others() -> None:
    sample = Sample("a", bright_square(90, 30, 30), None, None, "annotators disagree")
    cleaned = Cleaner(CleanPlan(faces="crop"), Finder()).clean(sample)
    assert (cleaned.image.shape, cleaned.excluded) == ((30, 30), "annotators disagree")


def test_excluded_images_are_reported(tmp_path: Path) -> None:
    items = list(source(6, seed=1, splits=THREE).items)
    items[2] = Sample("0002", np.full((SIDE, SIDE), 50, np.uint8), "happy", "train")
    dataset = build(tmp_path, SelectedSource(ListSource(items)), clean=CleanPlan(drop_flat=True))
    assert dataset.info.excluded == {"flat or blank": 1}
    assert np.isnan(dataset.samples["outlier"].iloc[2])


def relabels(folder: Path, rows: list[tuple[str, str]]) -> Path:
    path = folder / "relabel.csv"
    pd.DataFrame(rows, columns=["id", "label"]).assign(reason="x").to_csv(path, index=False)
    return path


def test_a_relabel_list_changes_labels_and_excludes_images(tmp_path: Path) -> None:
    path = relabels(tmp_path, [("list/0000", "Sad"), ("list/0004", ""), ("list/0002", "happy")])
    dataset = build(tmp_path, SelectedSource(source(6, seed=1, splits=THREE)), relabel=path)
    table = dataset.samples.set_index("id")
    assert (table.loc["list/0000", "label"], table.loc["list/0000", "given_label"]) == (
        "sad",
        "happy",
    )
    assert table.loc["list/0004", "excluded"] == "set aside by the relabel list"
    assert dataset.info.counts["train"] == {"happy": 1, "sad": 4}
    assert dataset.info.corrections is None
    assert DatasetCard.read(dataset.folder / "card.json").relabelled == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("list/0012", "sad"), ("list/0013", "")], "changes 2 test images, such as list/0012"),
        ([("list/0006", ""), ("list/0012", "sad")], "changes 1 test and 1 validation images"),
    ],
)
def test_corrections_of_scored_images_are_refused(tmp_path: Path, rows, message: str) -> None:
    of_source = SelectedSource(source(6, seed=1, splits=THREE))
    with pytest.raises(DataError, match=message) as refused:
        build(tmp_path, of_source, relabel=relabels(tmp_path, rows))
    assert "--new-benchmark" in str(refused.value)
    assert not (tmp_path / "set").exists()


def test_a_label_that_stays_is_no_correction_of_a_scored_image(tmp_path: Path) -> None:
    path = relabels(tmp_path, [("list/0012", "happy"), ("list/0001", "happy")])
    dataset = build(tmp_path, SelectedSource(source(6, seed=1, splits=THREE)), relabel=path)
    assert dataset.samples.set_index("id").loc["list/0001", "given_label"] == "sad"


def test_a_new_benchmark_records_the_corrections_of_scored_images(tmp_path: Path) -> None:
    of_source = SelectedSource(source(6, seed=1, splits=THREE))
    old = build(tmp_path, of_source)
    rows = [("list/0000", "sad"), ("list/0006", ""), ("list/0012", "sad"), ("list/0013", "sad")]
    new = build(tmp_path, of_source, relabel=relabels(tmp_path, rows), new_benchmark=True)
    assert new.info.split_hash != old.info.split_hash
    corrections = new.info.corrections
    assert corrections.base_split_hash == old.info.split_hash
    assert corrections.listed == 4
    assert corrections.counts == {"test": 1, "validation": 1}
    assert corrections.labels == {"list/0006": "", "list/0012": "sad"}
    assert old.info.split_hash in (new.folder / "CARD.md").read_text(encoding="utf-8")


def test_a_new_benchmark_needs_a_new_name(tmp_path: Path) -> None:
    of_source = SelectedSource(source(6, seed=1, splits=THREE))
    store = ArtifactStore(tmp_path / "artifacts")
    publish_facts(build(tmp_path, of_source), store.benchmark("old"))
    path = relabels(tmp_path, [("list/0012", "sad")])
    options = PrepareOptions(side=SIDE, relabel=path, new_benchmark=True)
    with pytest.raises(ArtifactError, match="give it another --name"):
        prepare_sources(
            [of_source], options, tmp_path / "b", name="old", benchmark=store.benchmark("old")
        )
    prepare_sources(
        [of_source], options, tmp_path / "b", name="new", benchmark=store.benchmark("new")
    )


def test_training_corrections_move_no_image_between_drawn_splits(tmp_path: Path) -> None:
    of_source = SelectedSource(source(60, seed=1))
    old = build(tmp_path, of_source)
    held_out = old.samples[old.samples["split"] != "train"]
    rows = [(name, "sad") for name in old.samples.loc[old.samples["split"] == "train", "id"][::3]]
    new = build(tmp_path, of_source, relabel=relabels(tmp_path, rows))
    again = new.samples[new.samples["split"] != "train"]
    assert again[["id", "split", "label"]].equals(held_out[["id", "split", "label"]])


def test_corrections_of_a_balanced_set_change_only_which_training_images_are_used(
    tmp_path: Path,
) -> None:
    of_source = SelectedSource(source(20, seed=1, splits=THREE))
    balance = BalancePlan(most="smallest")
    old = build(tmp_path, of_source, balance=balance).samples.set_index("id")
    named = ["list/0000", "list/0002", "list/0004"]
    path = relabels(tmp_path, [(name, "sad") for name in named])
    dataset = build(tmp_path, of_source, balance=balance, relabel=path)
    assert train_counts(dataset) == {"happy": 7, "sad": 7}
    new = dataset.samples.set_index("id")
    moved = new[new["split"] != old["split"]].drop(index=named, errors="ignore")
    assert len(moved) >= 3  # of the 13 sad images 6 are left out
    assert set(moved["original_split"]) == {"train"}
    assert new["original_split"].equals(old["original_split"])


@pytest.mark.parametrize("rule", ["modified-z", "z-score", "iqr"])
def test_outliers_are_excluded_from_train_only(tmp_path: Path, rule: str) -> None:
    items = list(source(30, seed=1, splits=THREE).items)
    for n in (3, 40, 70):  # one in each split: much darker than the others
        items[n] = replace(items[n], image=(items[n].image // 8).astype(np.uint8))
    clean = CleanPlan.model_validate({"outliers": {"rule": rule, "statistics": ["brightness"]}})
    dataset = build(tmp_path, SelectedSource(ListSource(items)), clean=clean)
    excluded = dataset.samples[dataset.samples["excluded"] != ""]
    assert "list/0003" in excluded["id"].tolist()
    assert set(excluded["original_split"]) == {"train"}
    card = DatasetCard.read(dataset.folder / "card.json")
    assert all(name.startswith("outlier in train: very") for name in card.sources[0].excluded)
    assert sum(card.sources[0].excluded.values()) == len(excluded)


@pytest.mark.parametrize("rule", ["modified-z", "z-score", "iqr"])
def test_a_class_is_topped_up_without_outliers(tmp_path: Path, rule: str) -> None:
    """A spare image is compared with those of train, whatever the other spare ones are like."""
    main = source(12, seed=1, splits=THREE)
    items = [item for n, item in enumerate(main.items) if not (n < 12 and n % 2) or n in (1, 3)]
    spare = list(source(20, seed=2, splits=("train",)).items)
    for n in range(6, 20):  # most of the spare images are much darker than those of train
        spare[n] = replace(spare[n], image=(spare[n].image // 8).astype(np.uint8))
    clean = CleanPlan.model_validate({"outliers": {"rule": rule, "statistics": ["brightness"]}})
    dataset = build(
        tmp_path,
        SelectedSource(ListSource(items), name="main"),
        SelectedSource(ListSource(spare), name="spare", role="top-up"),
        balance=BalancePlan(top_up=(TopUp(label="sad", source="spare", to="largest"),)),
        clean=clean,
    )
    table = dataset.samples.set_index("id")
    dark = [f"spare/{n:04d}" for n in range(6, 20)]
    assert set(table.loc[dark, "split"]) == {"excluded"}
    assert all(text.startswith("outlier in train: very") for text in table.loc[dark, "excluded"])
    added = table.query("source == 'spare' and split == 'train'")
    assert 0 < len(added) <= 3  # of the three sad ones as bright as train
    assert set(added["label"]) == {"sad"}


def test_a_plan_names_the_rule_for_outliers(tmp_path: Path) -> None:
    assert CleanPlan.model_validate({"outliers": "iqr"}).outliers.rule == "iqr"
    with pytest.raises(ValueError, match="modified-z"):
        CleanPlan.model_validate({"outliers": "two-sigma"})


def test_an_unlabelled_sample_is_used_once_it_is_labelled(tmp_path: Path) -> None:
    items = list(source(6, seed=1, splits=THREE).items)
    items.append(Sample("x", noise(1, seed=9, side=SIDE)[0], None, "train", "annotators disagree"))
    path = relabels(tmp_path, [("list/x", "sad")])
    dataset = build(tmp_path, SelectedSource(ListSource(items)), relabel=path)
    assert dataset.samples.set_index("id").loc["list/x", "split"] == "train"


def test_a_new_label_does_not_include_what_cleaning_excluded(tmp_path: Path) -> None:
    items = list(source(6, seed=1, splits=THREE).items)
    items[2] = Sample("0002", np.full((SIDE, SIDE), 50, np.uint8), "happy", "train")
    path = relabels(tmp_path, [("list/0002", "sad"), ("list/0000", "sad")])
    clean = CleanPlan(drop_flat=True)
    dataset = build(tmp_path, SelectedSource(ListSource(items)), relabel=path, clean=clean)
    table = dataset.samples.set_index("id")
    assert table.loc[["list/0000", "list/0002"], "label"].tolist() == ["sad", "sad"]
    assert table.loc[["list/0000", "list/0002"], "excluded"].tolist() == ["", "flat or blank"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("list/9999", "sad")], "list/9999, which is not a sample"),
        ([("list/0000", "bored")], "label 'bored'. Use one of the classes happy, sad"),
        ([("list/0000", "sad"), ("list/0000", "happy")], "has the id list/0000 twice"),
    ],
)
def test_a_relabel_list_that_does_not_fit_is_refused(tmp_path: Path, rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(
            tmp_path,
            SelectedSource(source(6, seed=1, splits=THREE)),
            relabel=relabels(tmp_path, rows),
        )


def test_extras_and_sizes_become_columns(tmp_path: Path) -> None:
    items = [
        Sample(item.key, noise(1, seed=n, side=20 + n)[0], item.label, item.split,
               extras={"valence": n / 18} if n % 2 else {})
        for n, item in enumerate(source(6, seed=1, splits=THREE).items)
    ]  # fmt: skip
    table = build(tmp_path, SelectedSource(ListSource(items))).samples
    assert table["width"].tolist() == [20 + n for n in range(18)]
    assert table["valence"].isna().tolist() == [n % 2 == 0 for n in range(18)]
    assert table["valence"].iloc[3] == pytest.approx(3 / 18)


def test_shipped_images_equal_the_prepared_ones(tmp_path: Path) -> None:
    images = noise(12, side=SIDE, colour=True)
    items = [
        item
        for n, split in enumerate(THREE)
        for item in samples(images[4 * n : 4 * n + 4], PAIR * 2, split, 4 * n)
    ]
    dataset = build(tmp_path, SelectedSource(ListSource(items, colour=True)), ship_pictures=True)
    shipped = pd.read_parquet(dataset.folder / "pictures.parquet")
    assert shipped["id"].tolist() == dataset.samples["id"].tolist()
    for data, stored in zip(shipped["webp"], dataset.images, strict=True):
        np.testing.assert_array_equal(decode(data, colour=True), stored)


def test_pictures_are_published_only_if_the_last_preparation_ships_them(tmp_path: Path) -> None:
    benchmark = ArtifactStore(tmp_path / "artifacts").benchmark("tiny")
    part = SelectedSource(source(6, seed=1, splits=THREE))
    publish_facts(build(tmp_path, part, ship_pictures=True), benchmark)
    assert benchmark.pictures_path.is_file()
    publish_facts(build(tmp_path, part), benchmark)
    assert not benchmark.pictures_path.exists()


PLAN = """
title: Two folders
side: 24
colour: grey
sources:
  - {path: one, name: one, weight: 1}
  - {path: two, format: folder, weight: 1, mapping: {anger: sad}}
split: {seed: 3}
balance: {most: mean}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    write_images(tmp_path / "one", {"happy": noise(30, seed=1), "sad": noise(30, seed=2)})
    write_images(
        tmp_path / "two",
        {"Happiness": noise(30, seed=3, colour=True), "Anger": noise(40, seed=4, colour=True)},
    )
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


def test_a_plan_is_read_from_a_file(plan: Path, tmp_path: Path) -> None:
    dataset = prepare_plan(read_plan(plan), tmp_path / "set", name="both")
    assert dataset.info.labels == ("happy", "sad")
    assert (dataset.info.title, dataset.info.side, dataset.info.colour) == (
        "Two folders",
        24,
        False,
    )
    assert set(dataset.samples["source"]) == {"one", "folder"}
    card = DatasetCard.read(dataset.folder / "card.json")
    assert str(tmp_path) not in card.model_dump_json()
    assert card.plan["sources"][1] == {
        "path": "two",
        "format": "folder",
        "weight": 1.0,
        "mapping": {"anger": "sad"},
    }


def test_two_runs_of_a_plan_write_the_same_bytes(plan: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        prepare_plan(read_plan(plan), tmp_path / name, name="both")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("first", "second")
    )
    assert len(first) == 6
    assert first == second


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title:", "titel:", "titel: Extra inputs are not permitted"),
        ("side: 24", "side: 4", "side: Input should be greater"),
        ("weight: 1}", "weight: 1, colour: x}", r"sources\.0\.colour: Extra inputs"),
        (", weight: 1}", "}", "give every source of the role all a weight, or none"),
        (
            ", weight: 1}",
            ", weight: 1}\n  - {path: synthetic, name: x, role: top-up, weight: 1}",
            "role top-up has no weight",
        ),
        ("format: folder", "format: celeba", r"sources\.1\.format"),
        ("{most: mean}", "{top_up: [{label: sad, source: x}]}", "'x', but no source"),
        ("side: 24", "side: [", "cannot be read"),
    ],
)
def test_a_faulty_plan_names_the_fault(plan: Path, old: str, new: str, message: str) -> None:
    plan.write_text(PLAN.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_plan(plan)


def test_a_plan_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml cannot be read"):
        read_plan(tmp_path / "none.yaml")


class SlowSource(ListSource):
    """Waits in the middle for another run to have tried."""

    def __iter__(self):
        for number, item in enumerate(self.items):
            if number == 6:
                STARTED.set()
                TRIED.wait(20)
            yield item


STARTED, TRIED = multiprocessing.Event(), multiprocessing.Event()


def _prepare_slowly(folder: Path) -> None:
    build(folder, SelectedSource(SlowSource(source(6, seed=1, splits=THREE).items)))


def test_a_concurrent_preparation_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    first = multiprocessing.get_context("fork").Process(target=_prepare_slowly, args=(tmp_path,))
    first.start()
    assert STARTED.wait(20)
    try:
        with pytest.raises(DataError, match="Another process is preparing"):
            build(tmp_path, SelectedSource(source(6, seed=2, splits=THREE)))
    finally:
        TRIED.set()
        first.join(20)
    assert first.exitcode == 0
    dataset = PreparedDataset.open(tmp_path / "set")
    np.testing.assert_array_equal(dataset.images, noise(18, seed=1, side=SIDE))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    build(tmp_path, SelectedSource(source(6, seed=2, splits=THREE)))  # and the place is free again


def test_files_of_a_killed_preparation_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".set.partial").mkdir()
    (tmp_path / ".set.partial" / "images.npy").write_bytes(b"half")
    build(tmp_path, SelectedSource(source(6, seed=1, splits=THREE)))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_counts_of_the_dataset_card_by_hand(tmp_path: Path) -> None:
    items = list(source(6, seed=1, splits=THREE).items)
    items[1] = Sample("0001", items[0].image, "sad", "train")  # copies with two labels
    items[12] = Sample("0012", items[2].image, "happy", "test")  # a leak
    dataset = build(tmp_path, SelectedSource(ListSource(items)))
    card = DatasetCard.read(dataset.folder / "card.json")
    assert (card.exact.groups, card.exact.extra, card.exact.largest) == (2, 2, 2)
    assert (card.exact.conflicting_groups, card.exact.conflicting_images) == (1, 2)
    assert card.exact.across == {
        "test in train": 1,
        "test in validation": 0,
        "validation in train": 0,
        "test in either": 1,
    }
    assert card.leaked_test == 1
    # train: 2 happy (one given up), 3 sad; 5 / (2 * 2) and 5 / (2 * 3)
    assert card.class_weights == {"happy": 1.25, "sad": 0.8333}
    text = card_text(card)
    assert "| test in train | 1 | 1 |" in text.replace("images of ", "")
    assert "1 excluded: duplicate of a test image" in text
    named = card.model_copy(update={"title": "![x](http://a.b) <i>"})
    assert card_text(named).startswith("# \\!\\[x\\](http://a.b) \\<i\\>\n")
    assert ListSource([]).origin == Origin("list", "A list", "none", "")
