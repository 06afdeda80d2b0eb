import numpy as np
import pytest
from scipy import optimize, special

from fer_core.errors import DataError
from fer_core.evaluation.adaptation import (
    AdaptationData,
    Gain,
    JudgedRemedy,
    Remedy,
    _minimise,
    best_remedy,
    fit_remedy,
    gain_of,
    judge_remedies,
)
from fer_core.evaluation.significance import holm


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


def test_recalibration_never_reverses_the_answers():
    data = data_of(100)
    wrong = AdaptationData(data.probabilities, data.probabilities.argmin(1), data.groups)
    adapted = fit_remedy(Remedy.RECALIBRATION, wrong)
    assert adapted.scale == pytest.approx(1e-3)
    assert (adapted.probabilities(data).argmax(1) == data.probabilities.argmax(1)).all()


@pytest.mark.parametrize(("with_bias", "width"), [(False, 0), (True, 0), (True, 2)])
def test_fits_minimise_the_penalised_log_loss(with_bias, width):
    """Few labels, so that the penalty counts; against a minimiser that needs no gradient."""
    data = data_of(12)
    inputs, penalty = data.features[:, :width], 3.0

    def penalised(values):
        bias, weights = values[1:5] * with_bias, values[5:].reshape(width, 4)
        logs = special.log_softmax(values[0] * data.logits + inputs @ weights + bias, axis=1)
        squares = (values[0] - 1) ** 2 + (bias**2).sum() + penalty * (weights**2).sum()
        return squares / 2 - logs[np.arange(12), data.truth].sum()

    best = optimize.minimize(penalised, np.eye(1, 5 + 4 * width)[0]).x
    scale, bias, weights = _minimise(data, inputs, penalty, with_bias=with_bias)
    assert np.array([scale, *bias, *weights.ravel()]) == pytest.approx(best, abs=0.005)


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


def test_p_values_are_corrected_for_the_number_of_remedies():
    data = data_of(60, seed=3)

    def gains(probabilities):
        of_truth = probabilities[np.arange(60), data.truth]
        return np.array([probabilities.argmax(1) == data.truth, np.log(of_truth)], dtype=float)

    judged = judge_remedies(data)
    before = gains(data.probabilities)
    alone = [
        [gain_of(part, data.groups) for part in gains(item.probabilities) - before]
        for item in judged
    ]
    expected = [gain for row in alone for gain in row]
    found = [gain for item in judged for gain in (item.accuracy, item.log_loss)]
    plain = [gain.p_value for gain in expected]
    assert [gain.p_value for gain in found] == holm(plain).tolist() != plain
    assert [gain.value for gain in found] == pytest.approx([gain.value for gain in expected])


def judged_as(remedy, accuracy, log_loss):
    """Returns a remedy with its gains in accuracy and log loss, each with its p-value."""
    gains = (Gain(value, value - 0.1, value + 0.1, p) for value, p in (accuracy, log_loss))
    return JudgedRemedy(remedy, *gains, np.zeros((0, 4)))


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([], None),
        ([((0.2, 0.06), (0.3, 0.06)), ((-0.2, 0.01), (0.3, 0.01))], None),
        ([((0.1, 0.01), (0.9, 0.01)), ((0.2, 0.04), (0.1, 0.3)), ((0.3, 0.06), (0.9, 0))], 1),
        ([((0.0, 1), (0.1, 0.01)), ((0.1, 0.2), (0.2, 0.04)), ((-0.1, 1), (0.3, 0.01))], 1),
        ([((0.0, 1), (-0.1, 0.01)), ((0.0, 1), (0.2, 0.06))], None),
    ],
)
def test_the_best_remedy_by_hand(rows, best):
    judged = [judged_as(remedy, *row) for remedy, row in zip(Remedy, rows, strict=False)]
    assert best_remedy(judged) is (None if best is None else judged[best])


def test_a_gain_by_hand():
    """Three persons, in order 3, 5 and 7, with 1, 1 and 2 images and sums 0, 1 and 2."""
    gain = gain_of(np.array([1.0, 1.0, 0.0, 1.0]), np.array([7, 7, 3, 5]))
    # deviations from the mean -0.75, 0.25 and 0.5; Student's quantile for 2 degrees is 4.302653
    half = 4.302653 * np.sqrt((0.75**2 + 0.25**2 + 0.5**2) * 3 / 2) / 4
    assert (gain.low, gain.high) == pytest.approx((0.75 - half, 0.75 + half))
    # 1 and 2 have one sign in half of the flips
    assert gain.p_value == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("p_value", "expected"), [(0.049, True), (0.05, False), (0.051, False)])
def test_a_gain_is_significant_below_five_percent(p_value, expected):
    assert Gain(0.1, 0.0, 0.2, p_value).significant is expected
    assert not Gain(-0.1, -0.2, 0.0, p_value).significant


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
