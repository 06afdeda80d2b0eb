"""Predictions that measurements save."""

import os

from training.jobs.saved_predictions import weights_stamp


def test_the_stamp_of_weights_changes_with_the_file(benchmark_copy):
    run = benchmark_copy.run("resnet34-cpu-s0")
    before = weights_stamp(run)
    assert before == weights_stamp(run)
    os.utime(run.weights_path, (1, 1))
    assert weights_stamp(run) == f"{run.weights_path.stat().st_size} 1000000000" != before
    run.weights_path.unlink()
    assert weights_stamp(run) == ""
