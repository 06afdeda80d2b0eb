"""Planted faults: they are where they are said to be, and the audit finds them."""

from pathlib import Path

import numpy as np
import pytest

from fer_core.data.outliers import outliers
from fer_core.data.plan import PrepareOptions, SplitPlan
from fer_core.data.prepare import prepare_sources
from fer_core.data.prepared import PreparedDataset
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Sample
from fer_core.data.sources.planted import ANNOTATORS, PlantedSource
from fer_core.data.sources.synthetic import SyntheticSource
from tests.support.helpers import ListSource

COUNT, SIDE = 140, 32


@pytest.fixture(scope="module")
def source() -> PlantedSource:
    return PlantedSource(COUNT, seed=4, side=SIDE)


@pytest.fixture(scope="module")
def samples(source: PlantedSource) -> list[Sample]:
    return list(source)


@pytest.fixture(scope="module")
def dataset(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder: Path = tmp_path_factory.mktemp("planted") / "set"
    options = PrepareOptions(side=SIDE, split=SplitPlan(transformed_copies="off"))
    return prepare_sources(
        [SelectedSource(ListSource(samples, colour=True))], options, folder, name="planted"
    )


def test_the_number_of_planted_faults(source: PlantedSource, samples: list[Sample]) -> None:
    planted = source.planted
    assert len(source) == len(samples) == COUNT + 4
    assert (len(planted.copies), len(planted.wrong_labels), len(planted.odd)) == (4, 4, 2)
    assert not planted.wrong_labels & planted.odd


def test_labels_differ_from_the_drawing_exactly_where_planted(
    source: PlantedSource, samples: list[Sample]
) -> None:
    wrong = {
        sample.key for sample in samples
        if sample.label != sample.second_label and not sample.key.startswith("copy")
    }  # fmt: skip
    assert wrong == source.planted.wrong_labels


def test_entries_equal_the_samples_without_drawing(
    source: PlantedSource, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SyntheticSource, "face", None)
    for reader, drawn in ((source, samples), (SyntheticSource(COUNT, seed=4, side=SIDE), samples)):
        entries = list(reader.entries())
        assert len(entries) == len(reader)
        assert [entry.split for entry in entries] == [s.split for s in drawn][: len(entries)]
    assert [entry.label for entry in source.entries()] == [s.label for s in samples]


def test_other_images_are_the_unchanged_drawings(
    source: PlantedSource, samples: list[Sample]
) -> None:
    plain = SyntheticSource(COUNT, seed=4, side=SIDE)
    odd = {int(key) for key in source.planted.odd}
    for index in {0, 1, 2, 3} | odd:
        same = np.array_equal(samples[index].image, plain.face(index).image)
        assert same == (index not in odd)
        assert samples[index].split == plain.split(index)


def test_every_image_has_ten_votes_mostly_for_the_drawn_class(samples: list[Sample]) -> None:
    assert {sum(sample.votes.values()) for sample in samples} == {ANNOTATORS}
    agreed = [sample.votes[str(sample.second_label)] / ANNOTATORS for sample in samples]
    assert 0.75 < np.mean(agreed) < 0.95
    assert min(agreed) < 0.6


def test_the_audit_finds_every_copy(source: PlantedSource, dataset: PreparedDataset) -> None:
    group = dataset.samples.set_index("id")["duplicate_group"]
    for copy, original in source.planted.copies.items():
        assert group[f"list/{copy}"] == group[f"list/{original}"] >= 0
    members = {f"list/{key}" for pair in source.planted.copies.items() for key in pair}
    assert set(group.index[group >= 0]) == members


def test_the_audit_finds_the_outliers(source: PlantedSource, dataset: PreparedDataset) -> None:
    result = set(outliers(dataset.samples)["id"])
    assert {f"list/{key}" for key in source.planted.odd} & result
    assert len(result) < 0.1 * COUNT
