"""Readings of test in a lineage, worked by hand."""

import pytest

from fer_core.evaluation import test_ledger as ledger
from fer_core.evaluation.report import Estimate
from fer_core.records import LedgerEntry, RunInfo
from tests.support.run_infos import run_info


def run(name: str, readings: int, day: int, **values) -> RunInfo:
    entries = tuple(LedgerEntry(time=f"2026-01-0{n + 1}") for n in range(readings))
    return run_info(name, f"2026-01-0{day}T00:00:00", test_ledger=entries, **values)


TEACHER = run("teacher", 2, 1)
STUDENT = run("student", 1, 2, teachers={"teacher": TEACHER.created})
BOTH = run(
    "both", 4, 3, kind="ensemble", init="members", members=("teacher", "student"),
    teachers={"teacher": TEACHER.created, "student": STUDENT.created},
)  # fmt: skip
FINE_TUNED = run("fine-tuned", 3, 4, init="checkpoint", init_source="run toy/student")
ELSEWHERE = run("elsewhere", 1, 5, init="checkpoint", init_source="run other/big")
BIG = run("big", 7, 1)
TOY = (TEACHER, STUDENT, BOTH, FINE_TUNED, ELSEWHERE)


def readings(info: RunInfo, *missing: str) -> ledger.LineageReadings:
    known = {("toy", other.run_id): other for other in TOY} | {("other", "big"): BIG}
    return ledger.lineage_readings(
        info,
        "toy",
        TOY,
        lambda name, run_id: None if run_id in missing else known.get((name, run_id)),
    )


def test_a_run_counts_itself_and_the_ensembles_of_it():
    assert readings(TEACHER).by_run == {"teacher": 2, "both": 4}
    assert readings(TEACHER).count == 6


def test_a_student_counts_its_teacher_too():
    assert readings(STUDENT).by_run == {"student": 1, "teacher": 2, "both": 4}
    assert readings(STUDENT).count == 7


def test_an_ensemble_counts_its_members_and_what_they_were_made_from():
    assert readings(BOTH).by_run == {"both": 4, "student": 1, "teacher": 2}
    assert readings(BOTH).by_itself == 4


def test_a_run_counts_what_it_started_from_but_not_the_ensembles_of_that():
    assert readings(FINE_TUNED).by_run == {"fine-tuned": 3, "student": 1, "teacher": 2}


def test_readings_of_another_benchmarks_test_do_not_count():
    assert readings(ELSEWHERE).by_run == {"elsewhere": 1}
    namesake = run("namesake", 1, 5, init="checkpoint", init_source="run other/teacher")
    assert readings(namesake) == ledger.LineageReadings(1, {"namesake": 1})


def test_an_ancestor_that_is_gone_is_named():
    of_student = readings(STUDENT, "teacher")
    assert of_student.unknown == ("teacher",)
    assert of_student.count == 5


def test_an_ancestor_that_was_retrained_is_counted_and_named():
    earlier = run("pupil", 1, 3, teachers={"teacher": "2025-12-24T00:00:00"})
    assert readings(earlier).by_run == {"pupil": 1, "teacher": 2}
    assert readings(earlier).unknown == ("teacher",)  # what it was made from before is not known


def test_a_run_that_started_from_an_earlier_training_of_itself_names_it():
    again = run("teacher", 2, 1, init="checkpoint", init_source="run toy/teacher")
    assert readings(again).by_run == {"teacher": 2, "both": 4}
    assert readings(again).unknown == ("teacher",)


def test_a_run_without_a_ledger_has_read_test_once():
    assert run("old", 0, 1).own_test_readings == 1


@pytest.mark.parametrize(("count", "factor"), [(1, 1.0), (2, 1.1436), (5, 1.3142), (10, 1.4322)])
def test_bonferronis_factor_is_that_of_the_normal_quantiles(count: int, factor: float):
    # z at 0.975, 0.9875, 0.995 and 0.9975: 1.95996, 2.24140, 2.57583, 2.80703
    assert ledger.bonferroni_factor(count) == pytest.approx(factor, abs=1e-4)


def test_a_widened_interval_keeps_its_value_and_stays_a_share():
    wide = ledger.widened(Estimate(value=0.9, low=0.88, high=0.91), 5)
    assert wide.value == 0.9
    assert wide.low == pytest.approx(0.9 - 0.02 * 1.31422, abs=1e-5)
    assert wide.high == pytest.approx(0.9 + 0.01 * 1.31422, abs=1e-5)
    assert ledger.widened(Estimate(value=0.99, low=0.9, high=1.0), 100).high == 1.0
