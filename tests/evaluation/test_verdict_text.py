"""The words of a verdict: exact sentences of constructed cases."""

from dataclasses import replace

import pandas as pd
import pytest

from fer_core.evaluation import verdict_text
from fer_core.evaluation.candidates import CandidateSet
from fer_core.evaluation.constraints import Constraints, Limit, Loosening, ModelKind, Violation
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.recommendation import recommend
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.verdict import build_verdict
from fer_core.records import BenchmarkInfo, SourceInfo, TransferOrigin
from tests.support.candidates import LABELS, candidate, with_errors

TRUTH = [0, 1, 2] * 20
INFO = BenchmarkInfo(
    name="toy",
    title="Toy",
    labels=LABELS.names,
    sources=(SourceInfo(name="toy", title="Toy faces", licence="CC0", reference="none"),),
    side=48,
    colour=False,
    split_hash="abc",
    counts={},
    excluded={},
    leaked_test=0,
    skipped={},
    protocol="",
)


def run(name, errors, test=None, **known):
    known = {"device": "cpu, 2 threads", **known}
    answers = None if test is None else with_errors(TRUTH, test)
    return candidate(name, TRUTH, with_errors(TRUTH, errors), answers, **known)


def verdict(runs, constraints=None, costs="equal"):
    result = recommend(runs, constraints or Constraints(), ErrorCosts.parse([costs]))
    first = runs[0].test
    samples = pd.DataFrame({"id": first.ids}).set_index("id", drop=False)
    return build_verdict(INFO, samples, CandidateSet(tuple(runs)), result)


def reasons(described):
    result = described.recommendation
    return {item.run_id: verdict_text.reason(item, result) for item in result.others}


def test_a_tie_is_reported_with_difference_and_latencies():
    described = verdict(
        [run("best", [0], milliseconds=82.4), run("fast", [1, 2, 3], milliseconds=7.94)]
    )
    text = verdict_text.headline(described)
    # 3 errors against 1 of 60: -3.3 points
    assert text.startswith(
        "Ship Fast: not significantly worse than Best on validation (corrected p = 0.625) at 7.9 "
        "ms instead of 82 ms. On test: -3.3 points of accuracy ["
    )
    assert reasons(described)["best"].startswith(
        "no significant difference on validation (corrected p = 0.625); +3.3 points of accuracy ["
    )
    assert reasons(described)["best"].endswith("] on test, but 82 ms instead of 7.9 ms")


def test_an_interval_without_zero_is_explained_if_the_corrected_test_finds_no_difference():
    described = verdict(
        [run("best", [], milliseconds=80.0), run("fast", range(5), milliseconds=8.0)]
    )
    # 5 against 0 discordant images: McNemar's exact p = 2 / 2 ** 5
    found = {item.run_id: item for item in described.recommendation.assessments}["best"]
    assert found.difference.high < 0
    assert ", not significant after correction (p = 0.062)" in verdict_text.headline(described)
    assert ", not significant after correction (p = 0.062)" in reasons(described)["best"]


def test_a_single_best_run_is_reported_with_its_accuracy():
    described = verdict([run("best", []), run("bad", range(20))])
    assert verdict_text.headline(described) == (
        "Ship Best: accuracy 100.0% [100.0, 100.0] on test at 10 ms; every other model within the "
        "constraints is significantly worse on validation."
    )
    assert reasons(described)["bad"].startswith(
        "significantly worse on validation (corrected p < 0.001); -33.3 points of accuracy ["
    )


def test_on_a_transferred_set_the_headline_is_the_accuracy_there_and_no_advice_to_ship():
    described = verdict([run("best", []), run("bad", range(20))])
    origin = TransferOrigin(benchmark="toy", title="Toy", split_hash="abc", train_counts={})
    mine = INFO.model_copy(
        update={
            "name": "toy/transfers/mine",
            "transferred_from": origin,
            "counts": {"test": {"happy": 25, "sad": 5}},
        }
    )
    text = verdict_text.headline(replace(described, benchmark=mine))
    assert text.startswith(
        "Chosen on validation of toy: Best. On the 30 labelled images of mine (transferred from "
        "toy): accuracy 100.0% ["
    )
    assert text.endswith("]. Decide whether that is enough before you use it.")
    assert "Ship" not in text


def test_the_only_run_and_the_fastest_best_run():
    only = verdict([run("only", [0])])
    assert verdict_text.headline(only).endswith("it is the only model within the constraints.")
    both = verdict([run("best", [0], milliseconds=5.0), run("slow", [1, 2], milliseconds=9.0)])
    assert verdict_text.headline(both).endswith(
        "it has the lowest cost on validation and is the fastest of the 2 models "
        "without a significant difference there."
    )


def test_a_model_as_fast_but_larger_is_reported_with_its_size():
    described = verdict([run("best", [0], megabytes=30.0, milliseconds=9.9), run("small", [1])])
    assert "and about as fast, at 10 MB instead of 30 MB. On test: " in verdict_text.headline(
        described
    )
    assert reasons(described)["best"].endswith("about as fast, but 30 MB instead of 10 MB")


@pytest.mark.parametrize(
    ("milliseconds", "end"),
    [(8.0, "on test, but its latency was not measured"), (None, "on test")],
)
def test_a_latency_that_was_not_measured_is_a_drawback_only_if_the_others_was(milliseconds, end):
    pick = run("pick", [], milliseconds=milliseconds)
    described = verdict([pick, run("rival", [1], milliseconds=None, megabytes=20.0)])
    assert described.recommended.run_id == "pick"
    assert reasons(described)["rival"].endswith(end)


@pytest.mark.parametrize(
    ("costs", "quality"),
    [
        ("equal", "accuracy 90.0% ["),
        ("balanced", "macro-recall 75.0% ["),
        ("*>sad=5", "cost 50.0 per 100 images on test at 10 ms"),
    ],
)
def test_the_headline_has_the_metric_of_the_costs(costs, quality):
    truth = [0] * 8 + [1] * 2  # one of the two happy images is taken for sad
    described = verdict([candidate("only", truth, with_errors(truth, [8]))], costs=costs)
    assert verdict_text.headline(described).startswith(f"Ship Only: {quality}")


@pytest.mark.parametrize(
    ("costs", "sign", "text"),
    [
        ("equal", 1.0, "-3.3 points of accuracy [-8.0, +1.2]"),
        ("equal", -1.0, "+3.3 points of accuracy [-1.2, +8.0]"),
        ("balanced", 1.0, "-3.3 points of macro-recall [-8.0, +1.2]"),
        ("*>sad=5", 1.0, "cost per 100 images +3.3 [-1.2, +8.0]"),
        ("*>sad=5", -1.0, "cost per 100 images -3.3 [-8.0, +1.2]"),
    ],
)
def test_a_difference_has_its_interval_and_signs(costs, sign, text):
    difference = Estimate(value=-0.033, low=-0.08, high=0.012)
    assert verdict_text.points(difference, ErrorCosts.parse([costs]), sign) == text


def test_a_difference_that_rounds_to_zero_has_no_sign():
    difference = Estimate(value=-0.0001, low=-0.0004, high=0.0004)
    assert verdict_text.points(difference, ErrorCosts()) == "0.0 points of accuracy [0.0, 0.0]"


def test_costs_without_a_metric_are_reported_as_costs():
    described = verdict(
        [run("best", [], milliseconds=50.0), run("fast", [1], milliseconds=2.0)], costs="*>sad=5"
    )
    # one happy image taken for sad: 5 of 60 images
    assert "On test: cost per 100 images +8.3 [" in verdict_text.headline(described)
    assert "; cost per 100 images -8.3 [" in reasons(described)["best"]


def test_every_violated_constraint_is_named():
    runs = [
        run("good", [], licences=("MIT",), milliseconds=2.0),
        run("slow", [], milliseconds=40.0, megabytes=200.0, licences=("MIT",)),
        run("unknown", [], milliseconds=None, megabytes=None, licences=("MIT",)),
        run("mixed", [0, 3, 6], is_ensemble=True, licences=("MIT", "unverified")),
        run("table", [], has_model=False, licences=("MIT",)),
    ]
    constraints = Constraints.of(min_recall={"angry": 0.9}, max_ms=20, max_mb=50,
                                 kind=ModelKind.SINGLE, licences=["MIT"])  # fmt: skip
    assert reasons(verdict(runs, constraints)) == {
        "slow": "40 ms, over the limit of 20 ms; 200 MB, over the limit of 50 MB",
        "unknown": "its latency was not measured; its size was not measured",
        "mixed": "recall of angry is 85.0% on validation, below 90%; it is an ensemble; "
        "licence of the weights: MIT, unverified",
        "table": "it has predictions only, so there is no model to ship",
    }


def test_without_a_run_the_smallest_change_is_named():
    described = verdict(
        [run("slow", [0], milliseconds=23.41), run("poor", range(0, 30, 3), milliseconds=4.0)],
        Constraints.of(max_ms=20, min_recall={"angry": 0.9}),
    )
    assert verdict_text.headline(described) == "No model is within these constraints."
    assert list(map(str, verdict_text.next_steps(described))) == [
        "Raise the latency limit from 20 to 23.5 ms: then Slow is left.",
        "Lower the minimum recall of angry from 90% to 50%: then Poor is left.",
    ]


@pytest.mark.parametrize(
    ("violation", "step"),
    [
        (Violation(Limit.RECALL, "angry", 0.9, 2 / 3), "Lower the minimum recall of angry from "
                                                       "90% to 66%"),
        (Violation(Limit.LATENCY, "", 20.0, 23.5), "Raise the latency limit from 20 to 23.5 ms"),
        (Violation(Limit.SIZE, "", 50.0, 60.01), "Raise the size limit from 50 to 60.1 MB"),
        (Violation(Limit.KIND, text="ensemble"), "Allow ensembles"),
        (Violation(Limit.KIND, text="single"), "Allow single networks"),
        (Violation(Limit.LICENCE, text="MIT"), "Allow the licence MIT"),
    ],
)  # fmt: skip
def test_the_new_limit_is_one_that_the_run_keeps(violation, step):
    way = Loosening("net", "Net", (violation,))
    assert verdict_text.loosening_text(way) == f"{step}: then Net is left."


def test_constraints_are_one_sentence():
    runs = [run("only", [], licences=("MIT",))]
    assert verdict_text.constraints_text(verdict(runs).recommendation) == (
        "Constraints: none. Cost of errors: equal."
    )
    constraints = Constraints.of(min_recall={"sad": 0.5}, max_ms=20, max_mb=50,
                                 kind=ModelKind.SINGLE, licences=["MIT"])  # fmt: skip
    assert verdict_text.constraints_text(verdict(runs, constraints, "balanced").recommendation) == (
        "Constraints: recall of sad at least 50%, at most 20 ms, at most 50 MB, only models of the "
        "kind single, licences MIT. Cost of errors: balanced."
    )


def test_runs_that_are_not_comparable_have_a_reason():
    described = replace(
        verdict([run("only", [])]), other_protocol=("Old", "Few"), lacking={"Few": ("sad", "angry")}
    )
    assert verdict_text.not_compared(described) == [
        ("Old", "measured under another protocol, so it cannot be compared"),
        ("Few", "cannot predict sad, angry, so it cannot be compared"),
    ]


def test_imported_predictions_alone_are_no_model_to_ship():
    described = verdict([run("table", [0], has_model=False), run("other", [1], has_model=False)])
    assert verdict_text.headline(described) == ("No model to ship: every run has predictions only.")
    assert list(map(str, verdict_text.next_steps(described))) == [
        "Train a model: python -m training train efficientnet_lite0 --benchmark toy",
        "Or import one with its weights: python -m training import --help",
    ]


def test_what_was_not_measured_is_to_be_measured():
    described = verdict([run("net", [0], milliseconds=None)], Constraints.of(max_ms=20))
    assert verdict_text.headline(described) == "No model is within these constraints."
    assert list(map(str, verdict_text.next_steps(described))) == [
        "Latency or size were not measured. Measure them: python -m training efficiency toy"
    ]
    assert verdict_text.next_steps(verdict([run("net", [0])])) == ()


def test_contradictions_by_test_are_reported():
    pick = run("pick", [], test=range(0, 36, 3), milliseconds=1.0)  # 12 of 20 angry
    other = run("other", [0], test=[], milliseconds=9.0)
    described = verdict([pick, other], Constraints.of(min_recall={"angry": 0.9}))
    better, recall = verdict_text.contradictions(described)
    assert better.startswith(
        "Test contradicts this choice: Other is significantly better there (+20.0 points of "
        "accuracy ["
    )
    assert better.endswith("corrected p < 0.001).")
    assert recall == ("On test its recall of angry is 40.0% [21.9, 61.3], below the required 90%.")
    assert "significantly better there" in reasons(described)["other"]


def test_the_limits_of_the_data_are_named():
    pick = run("pick", [0, 3], test=[0, 3, 6, 9, 12, 15, 18, 21, 24, 27], milliseconds=1.0)
    other = run("other", [1], milliseconds=9.0, is_ensemble=True)
    text = verdict_text.limits(verdict([pick, other], Constraints.of(min_recall={"angry": 0.8})))
    assert (
        "angry has 20 test images: its recall of 50.0% has a 95% interval from 29.9% to 70.1%."
        in text
    )
    assert not any(sentence.startswith("happy") for sentence in text)  # 20 of 20 is narrow enough
    assert any("whether it really is at least 80% is not certain" in sentence for sentence in text)
    assert (
        "On validation, the recommended model and Other do not differ significantly, so they "
        "cannot be ranked." in text
    )
    assert any("Other may have been chosen on validation" in sentence for sentence in text)
    assert any(sentence.startswith("Latency was measured on cpu, 2 threads") for sentence in text)
    assert text[-1].endswith("Toy faces: CC0")


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"trained_once": True}, "The recommended model was trained with one seed, so the "
         "variation between seeds is not known."),
        ({"describes_persons": False}, "The data do not describe persons (age, sex, skin tone), so "
         "nothing is known about differences between such groups."),
    ],
)  # fmt: skip
def test_one_seed_and_unknown_persons_are_limits(known, sentence):
    described = verdict([run("only", [])])
    unknown = replace(described, **{name: not value for name, value in known.items()})
    assert sentence in verdict_text.limits(replace(described, **known))
    assert sentence not in verdict_text.limits(unknown)


def test_a_confusion_is_reported_with_its_interval():
    described = verdict([run("only", range(0, 18, 3))])
    assert verdict_text.confusion_text(described.weaknesses.confusions[0]) == (
        "30.0% [14.5, 51.9] of 20 angry images are predicted as happy (6 images, 100% of the cost "
        "of all errors)."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "not measured"), (7.94, "7.9 ms"), (9.96, "10 ms"), (1234, "1,234 ms")],
)
def test_latencies_have_two_or_more_digits(value, text):
    assert verdict_text.ms_text(value) == text


@pytest.mark.parametrize(
    ("value", "allowed", "text"),
    [
        (15.0004, 15.0, "15.0004 ms, over the limit of 15 ms"),
        (15.4, 15.0, "15.4 ms, over the limit of 15 ms"),
        (8.04, 8.0, "8.04 ms, over the limit of 8 ms"),
        (1234.2, 1200.0, "1,234 ms, over the limit of 1200 ms"),
    ],
)
def test_a_value_over_its_limit_is_shown_to_differ_from_it(value, allowed, text):
    assert verdict_text.violation_text(Violation(Limit.LATENCY, "", allowed, value)) == text
    size = verdict_text.violation_text(Violation(Limit.SIZE, "", allowed, value))
    assert size == text.replace("ms", "MB")


def test_a_recall_below_its_limit_is_shown_to_differ_from_it():
    close = Violation(Limit.RECALL, "sad", 0.855, 0.85496)
    assert verdict_text.violation_text(close) == (
        "recall of sad is 85.496% on validation, below 85.5%"
    )


def test_notes_say_what_the_latency_is_and_the_licence():
    described = verdict([run("only", [], licences=("MIT",))])
    assert verdict_text.notes(described) == (
        "Licence of the recommended weights: MIT.",
        "Latency is the median per cropped face, without face detection, measured on cpu, 2 "
        "threads; another machine, such as yours, may be faster or slower.",
    )
    assert verdict_text.licence_warning(described) == ""
    (note,) = verdict_text.notes(verdict([run("only", [], licences=("MIT",), device="")]))
    assert note == "Licence of the recommended weights: MIT."


@pytest.mark.parametrize(
    ("licences", "word"),
    [
        (("unverified",), "unverified"),
        (("MIT", "unverified"), "unverified"),
        (("unknown",), "unknown"),
        ((), "unknown"),
    ],
)
def test_a_licence_that_is_not_known_is_a_warning(licences, word):
    described = verdict([run("only", [], licences=licences)])
    assert verdict_text.licence_warning(described).startswith(
        f"The licence of the recommended weights is {word}"
    )
    assert word in verdict_text.notes(described)[0]
    nothing = verdict([run("only", [], licences=licences)], Constraints.of(max_ms=1))
    assert verdict_text.licence_warning(nothing) == ""


def test_without_another_licence_the_terms_are_to_be_checked():
    runs = [
        run("free", [], licences=("MIT",), has_model=False),
        run("face", [], licences=("unverified",)),
    ]
    (step,) = verdict_text.next_steps(verdict(runs, Constraints.of(licences=["mit"])))
    assert "whose licence is unknown or unverified" in step.text
