"""Leagues, claims, mean maps and agreement from constructed tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.explain import methods
from fer_core.explain.regions import PARTS
from fer_core.explain.tables import (
    BASELINES,
    CELLS,
    MeasurementProtocol,
    agreement,
    claim,
    faithful_methods,
    mean_maps,
    protocol_of,
    rank_methods,
)
from fer_core.project import ROOT
from fer_core.tables import read_table, write_table

FACES = [f"f{number}" for number in range(30)]
PROTOCOL = MeasurementProtocol("run now", "split", 30, "hash", 0, 0)


def rows(method: str, metric: str, values) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": method, "metric": metric, "id": FACES, "share": np.nan, "value": values}
    )


def measured(**deletion) -> pd.DataFrame:
    noise = np.random.default_rng(0).normal(0, 0.3, len(FACES))
    parts = []
    for method, level in deletion.items():
        parts.append(rows(method, "deletion", 0.5 + noise + level))
        parts.append(rows(method, "insertion", 0.5 + noise - level))
    return pd.concat(parts, ignore_index=True)


def test_the_baselines_are_in_the_registry():
    assert {key for key, method in methods.METHODS.items() if method.baseline} == set(BASELINES)
    assert list(methods.METHODS)[-len(BASELINES) :] == list(BASELINES)


def test_metrics_that_a_baseline_maximises_by_design_have_no_winner():
    levels = {"good": 0.9, "random": 0.1, "centre": 1.0}
    parts = [
        rows(method, metric, np.full(len(FACES), level))
        for method, level in levels.items()
        for metric in ("stability", "randomisation")
    ]
    assert rank_methods(pd.concat(parts, ignore_index=True))["beats"].isna().all()


def test_paired_differences_are_significant_despite_overlapping_intervals():
    """Faces differ far more than methods do; on the same faces the difference is sure."""
    shift = np.random.default_rng(1).normal(0, 0.01, len(FACES))
    table = rank_methods(measured(good=-0.1 + shift, bad=0.1, random=0.0, centre=0.0))
    deletion = table[table["metric"] == "deletion"].set_index("method")
    assert deletion.loc["good", "high"] > deletion.loc["random", "low"]
    assert deletion.loc["good", "beats"] is True
    assert deletion.loc["bad", "beats"] is False
    assert deletion.loc["random", "beats"] is None
    assert faithful_methods(table) == ["good"]
    assert deletion.loc["good", "value"] == pytest.approx(
        measured(good=-0.1 + shift).query("metric == 'deletion'")["value"].mean()
    )


def test_a_faithful_method_must_beat_all_baselines_on_several_metrics():
    half = measured(one=-0.1, random=0.0, centre=0.0)
    half.loc[(half["method"] == "one") & (half["metric"] == "insertion"), "value"] = 0
    assert faithful_methods(rank_methods(half)) == []
    assert faithful_methods(rank_methods(measured(one=-0.1, random=0.0))) == []


def test_missing_values_are_left_out():
    values = np.full(len(FACES), 0.4)
    values[::2] = np.nan
    table = rank_methods(rows("one", "road", values))
    assert table.loc[0, "value"] == pytest.approx(0.4)
    assert (table.loc[0, "low"], table.loc[0, "high"]) == pytest.approx((0.4, 0.4))
    assert table.loc[0, "faces"] == 15


def places(label_of, mouth_of, cells=None) -> pd.DataFrame:
    count = len(FACES)
    labels = [label_of(number) for number in range(count)]
    mouth = np.array([mouth_of(number) for number in range(count)])
    shares = {part: np.zeros(count) for part in PARTS} | {"mouth": mouth, "rest": 1 - mouth}
    drawn = np.random.default_rng(5).random((count, CELLS**2)) if cells is None else cells
    return pd.DataFrame(
        {"method": "m", "id": FACES, "label": labels, "predicted": labels, **shares,
         "cells": list(drawn.astype(np.float32))}
    )  # fmt: skip


def test_claims_are_supported_refuted_or_open():
    def smile(n):
        return "happy" if n % 3 == 0 else "sad"

    holds = claim(places(smile, lambda n: 0.6 if n % 3 == 0 else 0.2), "m", "happy", "mouth")
    assert holds is not None
    assert (holds.share, holds.others, holds.faces) == (pytest.approx(0.6), pytest.approx(0.2), 10)
    assert holds.holds is True
    opposite = claim(places(smile, lambda n: 0.6 if n % 3 else 0.2), "m", "happy", "mouth")
    assert opposite is not None
    assert opposite.holds is False
    even = claim(places(smile, lambda n: n % 2), "m", "happy", "mouth")
    assert even is not None
    assert even.holds is None
    assert claim(places(smile, lambda n: 0.1), "m", "fear", "mouth") is None


def test_a_claim_about_few_faces_stays_open():
    def rare(n):
        return "happy" if n < 4 else "sad"

    few = claim(places(rare, lambda n: 0.6 if n < 4 else 0.2), "m", "happy", "mouth")
    assert few is not None
    assert (few.faces, few.holds) == (4, None)


def test_the_interval_of_a_claim_is_welchs():
    def smile(n):
        return "happy" if n % 3 == 0 else "sad"

    def mouth(n):
        return 0.5 + 0.01 * n if n % 3 == 0 else 0.3 + 0.02 * (n % 5)

    found = claim(places(smile, mouth), "m", "happy", "mouth")
    first = [mouth(n) for n in range(len(FACES)) if n % 3 == 0]
    second = [mouth(n) for n in range(len(FACES)) if n % 3]
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_randomisation_is_that_of_all_weights():
    stages = [
        rows("m", "randomisation", np.full(len(FACES), value)).assign(share=share)
        for share, value in ((0.25, 0.8), (0.5, -0.8), (1.0, -0.4))
    ]
    table = rank_methods(pd.concat(stages, ignore_index=True))
    assert table["value"].tolist() == [pytest.approx(-0.4)]  # their mean would be -0.13
    assert table["faces"].tolist() == [len(FACES)]


def test_mean_maps_by_class():
    cells = np.zeros((len(FACES), CELLS**2))
    cells[::2, 5] = 1
    table = places(lambda n: "happy" if n % 2 == 0 else "sad", lambda n: 0.5, cells)
    maps = mean_maps(table, "m")
    assert maps["happy"][0, 5] == 1
    assert maps["sad"].max() == 0


def test_agreement_is_one_with_itself_and_minus_one_with_its_inverse():
    cells = np.random.default_rng(0).random((len(FACES), CELLS**2))
    tables = {
        "a": places(lambda n: "x", lambda n: 0, cells),
        "same": places(lambda n: "x", lambda n: 0, cells * 3),
        "inverse": places(lambda n: "x", lambda n: 0, -cells),
        "other": places(lambda n: "x", lambda n: 0).assign(id=[f"g{n}" for n in range(30)]),
    }
    square = agreement(tables)
    assert square.loc["a", "same"] == pytest.approx(1)
    assert square.loc["a", "inverse"] == pytest.approx(-1)
    assert np.isnan(square.loc["a", "other"])
    np.testing.assert_allclose(square, square.T)


def test_the_protocol_is_stored_in_the_file(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(path, PROTOCOL.stamp(rows("m", "road", 0.0)))
    read = read_table(path)
    assert protocol_of(read, path.name) == PROTOCOL
    assert PROTOCOL.select(read) is read
    assert MeasurementProtocol("run now", "split", 30, "other", 0, 0).select(read) is None
    with pytest.raises(ArtifactError, match="training explain"):
        protocol_of(rows("m", "road", 0.0), path.name)


def test_protocols_of_older_files_are_read_as_they_are_written_now():
    table = replace(PROTOCOL, parts="Framing(eyes=0.37)").stamp(pd.DataFrame())
    assert replace(PROTOCOL, parts="FaceLayout(eyes=0.37)").select(table) is table
    assert replace(PROTOCOL, parts="FaceLayout(eyes=0.5)").select(table) is None
    validation = replace(PROTOCOL, split="validation")
    table = replace(validation, parts="FaceLayout(eyes=0.37)").stamp(pd.DataFrame())
    assert validation.select(table) is table


@pytest.mark.parametrize("name", ["ferplus", "synthetic"])
def test_shipped_regions_of_a_benchmark_can_be_compared(name):
    runs = ArtifactStore(ROOT / "artifacts").benchmark(name).runs()
    paths = [run.regions_path for run in runs if run.regions_path.is_file()]
    protocols = [protocol_of(read_table(path), path.name) for path in paths]
    assert len({(item.parts, item.samples) for item in protocols}) == 1
