import numpy as np

from benchmarks.label_simulation import simulate
from fer_core.evaluation.few_labels.acquisition import Acquisition
from fer_core.evaluation.few_labels.pool import LabelPool
from fer_core.evaluation.few_labels.selection import LEAST_LABELS
from tests.support.pools import made_up_runs


def test_a_repeat_is_the_same_again_and_finds_the_best_of_unequal_runs():
    runs, truth = made_up_runs((0.9, 0.75, 0.5), images=300)
    pool = LabelPool.of(runs)
    first = simulate(pool, truth, Acquisition.THOMPSON, 0, budgets=(20, 60))
    again = simulate(pool, truth, Acquisition.THOMPSON, 0, budgets=(20, 60))
    assert first.regret == again.regret
    assert first.regret[1] == 0
    assert first.covered.shape == (2, 3)
    assert first.width[1] < first.width[0]
    assert LEAST_LABELS <= first.stopped < 60  # the first time, not the last
    assert first.stopped_well


def test_a_repeat_does_not_stop_before_the_least_number_of_labels():
    runs, truth = made_up_runs((0.9, 0.2), images=60)
    result = simulate(LabelPool.of(runs), truth, Acquisition.RANDOM, 0, budgets=(LEAST_LABELS - 1,))
    assert (result.stopped, result.stopped_well) == (None, False)


def test_intervals_of_adaptive_labels_contain_the_accuracies():
    runs, truth = made_up_runs((0.9, 0.85, 0.7), images=300, seed=3)
    pool = LabelPool.of(runs)
    repeats = [simulate(pool, truth, Acquisition.THOMPSON, seed, (40,)) for seed in range(60)]
    share = np.mean([repeat.covered for repeat in repeats])
    assert 0.9 <= share <= 0.99  # 95% within three standard errors
