"""What a run's measurements say of its maps, from tables with known differences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_core.artifacts import RunDir
from fer_core.explain.defaults import made_of, members_methods, run_evidence
from fer_core.explain.evidence import (
    IGNORES_MODEL,
    NOT_MEASURED,
    PASSES,
    MapStatus,
    RunEvidence,
    read_evidence,
)
from fer_core.explain.methods import METHODS
from fer_core.explain.tables import BASELINES, MEMBERS, MeasurementProtocol
from fer_core.tables import write_table

MADE = "net now"
PROTOCOL = MeasurementProtocol(MADE, "split", 20, "hash", 0, 0)
LEVELS = {"random": (0.5, 0.5), "centre": (0.4, 0.6)}
"""Deletion and insertion of the baselines; the centred blob is the harder one."""


def write(path, protocol=PROTOCOL, **methods: tuple[float, float]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 20)
    jitter = np.random.default_rng(1)
    parts = []
    for method, levels in {**LEVELS, **methods}.items():
        for metric, level in zip(("deletion", "insertion"), levels, strict=True):
            values = level + noise + jitter.normal(0, 0.005, 20)
            ids = [f"f{number}" for number in range(20)]
            parts.append(
                pd.DataFrame({"method": method, "metric": metric, "id": ids, "value": values})
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, protocol.stamp(pd.concat(parts, ignore_index=True)))


@pytest.fixture
def run(tmp_path) -> RunDir:
    return RunDir(tmp_path / "net")


def test_a_badge_says_what_was_beaten_on_how_many_images(run):
    write(
        run.faithfulness_path,
        good=(0.3, 0.7), half=(0.3, 0.6), bad=(0.6, 0.4), middle=(0.45, 0.55),
    )  # fmt: skip
    evidence = read_evidence(run, MADE)
    good = evidence.of("good")
    assert (good.status, good.images, good.split) == (MapStatus.BEATS, 20, "test")
    assert good.label == "beats both baselines on deletion and insertion"
    assert {(item.metric, item.baseline) for item in good.differences} == {
        (metric, baseline) for metric in ("deletion", "insertion") for baseline in BASELINES
    }
    by_pair = {(item.metric, item.baseline): item for item in good.differences}
    # lower deletion is better: the sign is turned, so that above 0 is always better
    assert by_pair["deletion", "centre"].value == pytest.approx(0.1, abs=0.01)
    assert by_pair["insertion", "random"].value == pytest.approx(0.2, abs=0.01)
    for item in good.differences:
        assert item.low <= item.value <= item.high
    assert "20 test images" in good.detail
    assert f"[{by_pair['deletion', 'centre'].low:+.3f}, " in good.detail
    assert evidence.of("half").label == "no better than a centred blob on insertion"
    assert evidence.of("middle").label == (
        "no better than a centred blob on deletion and insertion"
    )
    assert evidence.of("bad").label == "no better than the baselines on deletion and insertion"
    assert evidence.of("other") == NOT_MEASURED
    assert evidence.of("centre") == IGNORES_MODEL


def test_the_default_is_the_fastest_that_beats_both(run):
    write(
        run.faithfulness_path,
        smoothed_gradients=(0.1, 0.9), fast_gradients=(0.2, 0.8), grad_cam=(0.1, 0.6),
    )  # fmt: skip
    assert read_evidence(run, MADE).default == "fast_gradients"
    write(
        run.faithfulness_path,
        smoothed_gradients=(0.1, 0.9), hires_cam=(0.3, 0.7), grad_cam=(0.2, 0.7),
    )  # fmt: skip
    evidence = read_evidence(run, MADE)
    assert (evidence.default, evidence.best) == ("grad_cam", "smoothed_gradients")


def test_passes_are_those_of_known_methods():
    assert set(PASSES) <= set(METHODS)


def test_the_default_is_the_best_of_equally_fast_ones_and_occlusion_the_last_resort(run):
    write(
        run.faithfulness_path,
        good=(0.3, 0.7), better=(0.2, 0.7), half=(0.1, 0.6), occlusion=(0.1, 0.9),
    )  # fmt: skip
    assert read_evidence(run, MADE).default == "better"
    write(run.faithfulness_path, half=(0.1, 0.6), occlusion=(0.1, 0.9))
    assert read_evidence(run, MADE).default == "occlusion"
    write(run.faithfulness_path, half=(0.1, 0.6))
    assert read_evidence(run, MADE).default == "occlusion"
    assert RunEvidence().default is None


def test_validation_chooses_where_it_was_measured(run):
    write(run.faithfulness_path, one=(0.2, 0.8), two=(0.3, 0.7), three=(0.1, 0.9))
    write(
        run.faithfulness_validation_path,
        replace(PROTOCOL, split="validation"),
        one=(0.3, 0.7), two=(0.2, 0.8),
    )  # fmt: skip
    evidence = read_evidence(run, MADE)
    assert evidence.default == "two"
    assert evidence.of("two").split == "validation"
    assert evidence.of("three").split == "test"
    write(run.faithfulness_validation_path, replace(PROTOCOL, split="validation"), one=(0.4, 0.6))
    assert read_evidence(run, MADE).default == "three"  # none beats both on validation
    run.faithfulness_validation_path.write_bytes(b"damaged")
    assert read_evidence(run, MADE).default == "three"


def test_test_does_not_overrule_validation(run):
    write(run.faithfulness_path, one=(0.2, 0.8), two=(0.5, 0.5))
    write(run.faithfulness_validation_path, replace(PROTOCOL, split="validation"), one=(0.4, 0.6))
    evidence = read_evidence(run, MADE)
    assert evidence.of("one").status is not MapStatus.BEATS
    assert (evidence.default, evidence.best) == ("occlusion", "occlusion")


def test_an_ensembles_evidence_ends_with_a_members_training(benchmark_copy):
    ensemble = next(run for run in benchmark_copy.runs() if run.info().kind == "ensemble")
    info = ensemble.info()
    members = members_methods(benchmark_copy, info)
    protocol = replace(PROTOCOL, run=made_of(info), members=members)
    write(ensemble.faithfulness_path, protocol, **{MEMBERS: (0.2, 0.8)})
    assert run_evidence(benchmark_copy, ensemble, info).default == MEMBERS
    member = benchmark_copy.run(info.members[0])
    member.info().model_copy(update={"created": "2030-01-01T00:00:00+00:00"}).write(
        member.info_path
    )
    assert run_evidence(benchmark_copy, ensemble, info) == RunEvidence()


def test_a_badge_says_where_test_contradicts_validation(run):
    write(
        run.faithfulness_validation_path,
        replace(PROTOCOL, split="validation"),
        one=(0.3, 0.7), two=(0.3, 0.7), three=(0.3, 0.7), four=(0.4, 0.6),
    )  # fmt: skip
    write(run.faithfulness_path, one=(0.3, 0.6), two=(0.2, 0.8), four=(0.3, 0.7))
    evidence = read_evidence(run, MADE)
    one = evidence.of("one")
    assert one.status is MapStatus.BEATS  # validation chooses
    assert one.label == "beats both baselines on validation, not on test"
    assert "20 validation images" in one.detail
    lost = next(
        item
        for item in evidence.test["one"].differences
        if (item.metric, item.baseline) == ("insertion", "centre")
    )
    assert lost.low <= 0
    on_test = one.detail.partition("With 20 test images: ")[2]
    assert f"insertion vs. a centred blob: {lost.value:+.3f} [{lost.low:+.3f}, " in on_test
    for method in ("two", "three"):
        assert evidence.of(method).label == "beats both baselines on deletion and insertion"
    assert "test images" not in evidence.of("three").detail
    assert evidence.of("four").label == "no better than a centred blob on deletion and insertion"


def test_results_of_an_earlier_training_or_without_baselines_count_as_none(run):
    assert read_evidence(run, MADE) == RunEvidence()
    write(run.faithfulness_path, good=(0.3, 0.7))
    assert read_evidence(run, "net yesterday") == RunEvidence()
    table = pd.read_parquet(run.faithfulness_path)
    write_table(run.faithfulness_path, table[table["method"] != "centre"])
    assert read_evidence(run, MADE) == RunEvidence()


def test_members_maps_count_only_for_the_methods_that_made_them(run):
    write(
        run.faithfulness_path,
        replace(PROTOCOL, members="a: chefer"),
        occlusion=(0.3, 0.7), **{MEMBERS: (0.2, 0.8)},
    )  # fmt: skip
    assert read_evidence(run, MADE, "a: chefer").default == MEMBERS
    changed = read_evidence(run, MADE, "a: occlusion")
    assert changed.of(MEMBERS) == NOT_MEASURED
    assert changed.default == "occlusion"
