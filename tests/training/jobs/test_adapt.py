"""Adapting a run to a transferred set: only if it helps, and exactly what is written."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fer_core.artifacts import ArtifactStore
from fer_core.config import ModelConfig
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.engine.features import linear_classifier
from fer_core.engine.networks import load_network
from fer_core.errors import ArtifactError, DataError, WeightsError
from fer_core.evaluation.adaptation import Remedy
from fer_core.evaluation.predictions import Predictions
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model, spec_of
from fer_core.reviews import PoolLabel, ReviewStore
from tests.support.builders import toy_benchmark
from tests.support.transfers import coloured_transfer
from training.jobs.adapt import adapt, groups_of
from training.jobs.transfer import TransferOptions, transfer
from training.jobs.transfer_progress import TransferProgressFile

RUN = "efficientnet_lite0-cpu-s0"


@pytest.fixture(scope="module")
def transferred(tmp_path_factory):
    """60 pictures whose colour is their class, and 6 without a label."""
    root = tmp_path_factory.mktemp("adapt")
    toy = toy_benchmark(root / "toy")
    return toy, coloured_transfer(toy, root / "mine", RUN)


def test_a_head_that_helps_becomes_a_run_like_others(transferred):
    toy, benchmark = transferred
    result = adapt(benchmark, toy.data, RUN)
    assert result.labels == 60
    assert result.applied is not None
    run = ArtifactStore(toy.artifacts).benchmark(benchmark.name).run(f"{RUN}-adapted")
    assert run.info().title.endswith("(adapted)")
    stored = Predictions.read(run.predictions_path, SEVEN_EMOTIONS, unlabelled=True)
    test, judged = stored.split("test"), {item.remedy: item for item in result.judged}
    dataset = PreparedDataset.open(prepared_folder(toy.data, benchmark))
    network = load_network(run, dataset.format)
    answers = network.probabilities(dataset.images, np.arange(66))
    unlabelled = test.truth < 0
    assert unlabelled.sum() == 6
    # what the written network answers, and cross-fitted predictions where there are labels
    assert np.abs(test.probabilities[unlabelled] - answers[unlabelled]).max() < 1e-4
    chosen = judged[result.applied].probabilities
    assert np.abs(test.probabilities[~unlabelled] - chosen).max() < 1e-6
    assert list(stored.splits) == ["test"]  # no image was kept apart from the fit


def test_labels_of_the_page_count_and_noise_changes_nothing(transferred):
    toy, benchmark = transferred
    store, random = ReviewStore.of(benchmark), np.random.default_rng(3)
    ids = benchmark.samples()["id"].tolist()
    for step, sample in enumerate(ids):
        label = SEVEN_EMOTIONS.names[random.integers(7)]
        store.save_label(PoolLabel("p", sample, "ann", label, step, 1 / (66 - step)))
    result = adapt(benchmark, toy.data, RUN, name="noise")
    assert result.labels == 66
    assert not any(item.accuracy.significant for item in result.judged)
    forced = adapt(benchmark, toy.data, RUN, name="noise", remedy=Remedy.RECALIBRATION)
    assert forced.run.run_id == "noise"


def test_a_benchmark_of_its_own_and_few_labels_are_refused(transferred, tmp_path):
    toy, benchmark = transferred
    with pytest.raises(ArtifactError, match="no transferred set"):
        adapt(toy.benchmark, toy.data, RUN)
    with pytest.raises(ArtifactError, match="another name"):
        adapt(benchmark, toy.data, RUN, name=RUN)
    written = benchmark.run("taken").info_path
    written.parent.mkdir()
    written.touch()
    with pytest.raises(ArtifactError, match="Choose another --as"):
        adapt(benchmark, toy.data, RUN, name="taken")
    written.unlink()
    written.parent.rmdir()
    other = toy_benchmark(tmp_path)
    for index in range(4):
        Image.new("RGB", (48, 48), (index * 40, 0, 0)).save(tmp_path / f"{index}.png")
    options = TransferOptions(name="few", cropped=True, run_ids=(RUN,))
    (tmp_path / "few").mkdir()
    for index in range(4):
        (tmp_path / f"{index}.png").rename(tmp_path / "few" / f"{index}.png")
    few = transfer(
        other.benchmark, str(tmp_path / "few"), options, other.data, TransferProgressFile()
    ).benchmark
    with pytest.raises(DataError, match="at least 50 labels"):
        adapt(few, other.data, RUN)


def test_copies_and_persons_are_groups(transferred):
    _, benchmark = transferred
    samples = (
        benchmark.samples()
        .head(5)
        .assign(duplicate_group=[7, 7, -1, -1, -1], group=["", "", "ann", "ann", ""])
    )
    first, second, third, fourth, fifth = groups_of(samples)
    assert first == second
    assert third == fourth
    assert len({first, third, fifth}) == 3


@pytest.mark.parametrize("changes", [{"head": "features.0"}, {"more_heads": ("head",)}])
def test_only_one_linear_classifier_can_be_adapted(changes):
    config = ModelConfig(architecture="tiny_cnn", image_size=32)
    model, spec = build_model(config, 3), spec_of(config)
    assert linear_classifier(model, spec) is model.head
    with pytest.raises(WeightsError, match="not one linear layer"):
        linear_classifier(model, replace(spec, **changes))
