import numpy as np
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.adaptation import (
    AdaptationData,
    Remedy,
    best_remedy,
    fit_remedy,
    gain_of,
    judge_remedies,
)


def data_of(images, classes=4, seed=0, features=6):
    """Returns a model that is right in half of the images, with features that know the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, images)
    logits = random.normal(0, 1, (images, classes))
    logits[np.arange(images), truth] += 1
    raised = np.exp(2 * logits)
    centres = random.normal(0, 1.5, (classes, features))
    inputs = centres[truth] + random.normal(0, 1, (images, features))
    return AdaptationData(
        raised / raised.sum(axis=1, keepdims=True), truth, np.arange(images), inputs
    )


def test_recalibration_finds_the_temperature_and_changes_no_answer():
    data = data_of(2000)
    adapted = fit_remedy(Remedy.RECALIBRATION, data)
    assert adapted.scale == pytest.approx(0.5, abs=0.05)  # the logits were doubled
    assert (adapted.probabilities(data).argmax(1) == data.probabilities.argmax(1)).all()


def test_prior_shift_learns_that_a_class_is_absent():
    data = data_of(600)
    kept = data.select(data.truth != 2)
    adapted = fit_remedy(Remedy.PRIOR_SHIFT, kept)
    assert adapted.probabilities(kept)[:, 2].max() < kept.probabilities[:, 2].max()
    judged = judge_remedies(kept, (Remedy.PRIOR_SHIFT,))
    assert best_remedy(judged).remedy is Remedy.PRIOR_SHIFT


def test_a_linear_head_learns_from_the_features_and_is_the_best():
    data = data_of(200)
    judged = judge_remedies(data)
    assert [item.remedy for item in judged] == list(Remedy)
    best = best_remedy(judged)
    assert best.remedy is Remedy.LINEAR_HEAD
    assert best.accuracy.low > 0.1
    assert best.probabilities.sum(axis=1) == pytest.approx(np.ones(200))


def test_labels_that_are_noise_give_no_gain_in_accuracy():
    """In at least 95% of repeats: 20 repeats may have at most 4 (binomial, 99.7%)."""
    gains = 0
    for seed in range(20):
        data = data_of(50, seed=seed)
        noise = np.random.default_rng(1000 + seed).integers(0, 4, 50)
        judged = judge_remedies(
            AdaptationData(data.probabilities, noise, data.groups, data.features), seed=seed
        )
        gains += any(item.accuracy.significant for item in judged)
    assert gains <= 4


def test_images_of_one_person_are_judged_together():
    """Ten persons, each with one difference ten times: ten independent facts, not a hundred."""
    differences = np.repeat([1.0, 1, 1, 1, 1, 1, 1, -1, -1, -1], 10)
    by_person = gain_of(differences, np.repeat(np.arange(10), 10))
    by_image = gain_of(differences, np.arange(100))
    assert by_person.value == by_image.value == pytest.approx(0.4)
    assert by_image.significant
    assert not by_person.significant
    assert by_person.high - by_person.low > 3 * (by_image.high - by_image.low)


def test_a_person_is_never_in_fit_and_judgement():
    """Labels that only a person's identity explains cannot be learned."""
    data = data_of(100)
    person = np.arange(100) % 20
    truth = np.random.default_rng(5).integers(0, 4, 20)[person]
    identity = np.eye(20)[person]
    apart = judge_remedies(
        AdaptationData(data.probabilities, truth, person, identity), (Remedy.LINEAR_HEAD,)
    )
    mixed = judge_remedies(
        AdaptationData(data.probabilities, truth, np.arange(100), identity), (Remedy.LINEAR_HEAD,)
    )
    assert not apart[0].accuracy.significant
    assert mixed[0].accuracy.significant


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.select(np.arange(100) < 49), "at least 50 labels"),
        (lambda d: AdaptationData(d.probabilities, np.zeros(100, int), d.groups), "one class"),
        (lambda d: AdaptationData(d.probabilities, d.truth, d.truth), "at least 5 persons"),
    ],
)
def test_too_few_labels_one_class_and_few_persons_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        judge_remedies(change(data_of(100)))


def test_without_features_the_head_is_left_out():
    data = data_of(60)
    plain = AdaptationData(data.probabilities, data.truth, data.groups)
    assert [x.remedy for x in judge_remedies(plain)] == [Remedy.RECALIBRATION, Remedy.PRIOR_SHIFT]
    with pytest.raises(DataError, match="needs the features"):
        fit_remedy(Remedy.LINEAR_HEAD, plain)
