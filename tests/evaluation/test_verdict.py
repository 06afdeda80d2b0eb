"""The verdict of a benchmark, from its files."""

from dataclasses import replace

import numpy as np

from fer_core.evaluation.candidates import Split, candidates_in, persons_by_split
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.recommendation import recommend
from fer_core.evaluation.verdict import build_verdict, read_verdict


def test_a_verdict_has_the_weaknesses_of_the_recommended_run(toy):
    verdict = read_verdict(toy.benchmark)
    pick = verdict.recommended
    assert pick is not None
    report = next(run for run in toy.benchmark.runs() if run.run_id == pick.run_id)
    assert verdict.test_metrics.accuracy.value == pick.accuracy.value
    assert report.run_id == pick.run_id
    assert len(verdict.weaknesses.confusions) == 3
    assert all(item.truth != item.predicted for item in verdict.weaknesses.confusions)
    assert not verdict.describes_persons
    assert verdict.device == ""


def test_slices_may_come_from_a_cache_and_three_are_kept(toy):
    candidates = candidates_in(toy.benchmark)
    samples = toy.benchmark.samples().set_index("id", drop=False)
    result = recommend(candidates.comparable, Constraints(), ErrorCosts())
    calls = []

    def find(candidate):
        calls.append(candidate.run_id)
        return list(range(5))

    verdict = build_verdict(toy.benchmark.info(), samples, candidates, result, find)
    assert calls == [result.recommended_id]
    assert verdict.weaknesses.slices == (0, 1, 2)
    assert verdict.weaknesses.drawn_faces == ""


def test_all_devices_of_the_latencies_are_named(toy):
    runs = candidates_in(toy.benchmark)
    devices = ("cuda", "cpu", "", "cpu")
    measured = tuple(
        replace(item, device=device) for item, device in zip(runs.comparable, devices, strict=True)
    )
    result = recommend(measured, Constraints(), ErrorCosts())
    samples = toy.benchmark.samples().set_index("id", drop=False)
    verdict = build_verdict(
        toy.benchmark.info(), samples, replace(runs, comparable=measured), result
    )
    assert verdict.device == "cpu or cuda"


def test_without_a_run_there_are_no_weaknesses(toy):
    verdict = read_verdict(toy.benchmark, Constraints.of(max_ms=1))  # no latency was measured
    assert verdict.recommended is None
    assert verdict.weaknesses is None
    assert verdict.test_metrics is None


def test_columns_about_the_person_are_reported(toy):
    candidates = candidates_in(toy.benchmark)
    samples = toy.benchmark.samples().set_index("id", drop=False)
    result = recommend(candidates.comparable, Constraints(), ErrorCosts())
    with_age = samples.assign(age=np.arange(len(samples)))
    assert build_verdict(toy.benchmark.info(), with_age, candidates, result).describes_persons


def test_runs_are_compared_over_the_persons_that_samples_name(toy, monkeypatch):
    """All images on which the first run errs are of one person."""
    candidates = candidates_in(toy.benchmark).comparable
    first = candidates[0]
    wrong = {*first.test.ids[~first.test.right], *first.validation.ids[~first.validation.right]}
    samples = toy.benchmark.samples()
    samples["group"] = np.where(samples["id"].isin(wrong), "ann", "bob")
    monkeypatch.setattr(type(toy.benchmark), "samples", lambda _: samples)
    persons = persons_by_split(candidates, samples.set_index("id"))
    assert set(persons[Split.TEST]) == set(persons[Split.VALIDATION]) == {"ann", "bob"}
    over_persons = read_verdict(toy.benchmark).recommendation
    over_images = recommend(candidates, Constraints(), ErrorCosts())
    wide = {item.run_id: item.difference for item in over_persons.others}
    narrow = {item.run_id: item.difference for item in over_images.others}
    assert set(wide) == set(narrow)
    assert all(wide[run_id].low <= narrow[run_id].low for run_id in narrow)
    assert any(wide[run_id].low < narrow[run_id].low for run_id in narrow)
