"""Likely label errors: planted ones are found, and nobody judges their own errors."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.label_issues import (
    accuracy_without_suspects,
    average,
    expected_votes,
    find_label_issues,
)
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.labels import SEVEN_EMOTIONS, LabelSet

CLASSES = len(SEVEN_EMOTIONS)


def run(
    seed: int, *, planted: int = 0, per_split: int = 210, slips: float = 0.05, labels=SEVEN_EMOTIONS
) -> Predictions:
    """Answers of a good model; in each split the first `planted` labels are the next class's."""
    random = np.random.default_rng(seed)
    classes = len(labels)
    splits = {}
    for split in ("validation", "test"):
        true = np.arange(per_split) % classes
        answer = np.where(
            random.random(per_split) < slips, random.integers(0, classes, per_split), true
        )
        sure = random.uniform(0.6, 0.95, per_split)
        probabilities = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1)
        probabilities[np.arange(per_split), answer] = sure
        labels_given = np.where(np.arange(per_split) < planted, (true + 1) % classes, true)
        ids = np.array([f"{split}/{n:04d}" for n in range(per_split)], dtype=object)
        splits[split] = SplitPredictions(labels, ids, labels_given, probabilities)
    return Predictions(splits)


def test_planted_label_errors_are_found_with_the_correct_label() -> None:
    issues = find_label_issues([run(seed, planted=10) for seed in range(3)])
    planted = {f"{split}/{n:04d}" for split in ("validation", "test") for n in range(10)}
    assert len(planted & issues.suspects) >= 14  # confident learning leaves out the least sure
    assert issues.suspects <= planted
    table = issues.table().set_index("id")
    names = SEVEN_EMOTIONS.names
    for sample in table.index:
        n = int(sample[-4:])
        assert table.loc[sample, "suggested"] == names[n % CLASSES]
        assert table.loc[sample, "given"] == names[(n + 1) % CLASSES]
    assert table["quality"].is_monotonic_increasing
    assert table["quality"].between(0, 1).all()
    assert set(table["split"]) == {"validation", "test"}


def test_quality_is_half_of_one_plus_the_margin() -> None:
    issues = find_label_issues([run(1, planted=5)])
    scores = issues.predictions
    labels_given = scores.probabilities[np.arange(len(scores)), scores.truth]
    others = scores.probabilities.copy()
    others[np.arange(len(scores)), scores.truth] = -1
    np.testing.assert_allclose(
        issues.quality, (labels_given - others.max(axis=1) + 1) / 2, atol=1e-6
    )


def test_without_errors_no_label_is_suspect() -> None:
    assert not find_label_issues([run(1, slips=0)]).suspects


def test_an_agreed_label_is_never_suspect() -> None:
    issues = find_label_issues([run(seed, planted=15, slips=0.3) for seed in range(2)])
    assert (
        issues.predictions.predicted[issues.suspect] != issues.predictions.truth[issues.suspect]
    ).all()


def test_label_issues_with_three_classes_and_a_class_without_labels() -> None:
    labels = LabelSet.of(["angry", "happy", "sad"])
    assert len(find_label_issues([run(1, planted=9, labels=labels)]).suspects) >= 18
    few = run(1, planted=3)
    splits = {name: part.select(part.truth != 1) for name, part in few.splits.items()}
    assert find_label_issues([Predictions(splits)]).suspects


def test_networks_are_averaged_in_the_sample_order_of_the_first() -> None:
    first, second = run(1).split("test"), run(2).split("test")
    order = np.random.default_rng(0).permutation(len(second))
    shuffled = SplitPredictions(
        second.labels, second.ids[order], second.truth[order], second.probabilities[order]
    )
    mean = average([first, shuffled])
    np.testing.assert_allclose(mean.probabilities, (first.probabilities + second.probabilities) / 2)
    assert mean.ids.tolist() == first.ids.tolist()


def test_runs_on_other_samples_are_refused() -> None:
    with pytest.raises(ArtifactError, match="same samples"):
        find_label_issues([run(1), run(1, per_split=140)])


def test_scores_without_suspect_labels_by_hand() -> None:
    """Ten wrong test labels, on which a perfect model errs; nothing else."""
    runs = {f"run{seed}": run(seed, planted=10, slips=0) for seed in range(2)}
    for row in accuracy_without_suspects(runs, runs, {}):
        assert (row.samples, row.errors) == (210, 10)
        assert row.suspect == row.suspect_errors >= 6
        assert row.accuracy == pytest.approx(200 / 210)
        assert row.accuracy_without == pytest.approx(200 / (210 - row.suspect))
        assert row.share == row.suspect / 10
        assert row.judged_by_others


def test_a_models_own_errors_are_not_label_errors_for_the_others() -> None:
    runs = {"good": run(0, slips=0), "other": run(1, slips=0), "slips": run(2, slips=0.3)}
    judges = {name: runs[name] for name in ("good", "other", "slips")}
    rows = {row.run_id: row for row in accuracy_without_suspects(runs, judges, {})}
    assert rows["slips"].errors > 40
    assert rows["slips"].suspect_errors == 0
    alone = accuracy_without_suspects({"slips": runs["slips"]}, {"slips": runs["slips"]}, {})[0]
    assert not alone.judged_by_others
    assert alone.suspect_errors > 10  # what judging oneself would have excused


def test_members_do_not_judge_their_ensemble() -> None:
    networks = {"good": run(0, slips=0), "slips": run(2, slips=0.3)}
    both = networks | {"pair": networks["slips"]}
    rows = {
        row.run_id: row for row in accuracy_without_suspects(both, networks, {"pair": ["slips"]})
    }
    assert rows["pair"].judged_by_others
    assert rows["pair"].suspect_errors == rows["slips"].suspect_errors == 0
    rows = {
        row.run_id: row
        for row in accuracy_without_suspects(both, networks, {"pair": list(networks)})
    }
    assert not rows["pair"].judged_by_others


def test_votes_are_added_where_they_exist() -> None:
    issues = find_label_issues([run(1, planted=5, slips=0)])
    table = issues.table()
    votes = {f"votes_{name}": 0 for name in SEVEN_EMOTIONS.names}
    samples = pd.DataFrame([votes] * 420, index=issues.predictions.ids)
    first = table.iloc[0]
    samples.loc[first["id"], f"votes_{first['given']}"] = 3
    samples.loc[first["id"], f"votes_{first['suggested']}"] = 6
    samples["votes_unknown"] = 0
    samples.loc[first["id"], "votes_unknown"] = 1
    added = expected_votes(samples, table, SEVEN_EMOTIONS)
    assert added.loc[0, ["votes_given", "votes_suggested"]].tolist() == [0.3, 0.6]
    assert added.loc[1:, "votes_given"].isna().all()  # nobody was asked
    assert "votes_given" not in expected_votes(samples[[]], table, SEVEN_EMOTIONS)
