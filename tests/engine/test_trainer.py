"""Training: it learns, it resumes to the same weights, it stops when told."""

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer_core.engine.batches import ResidentBatches
from fer_core.engine.callbacks import FitResult
from fer_core.engine.distillation import Distillation
from fer_core.engine.train_step import (
    AveragePairs,
    synchronised,
    update_average,
    warming_average,
)
from fer_core.errors import WeightsError
from fer_core.evaluation import metrics
from fer_core.models import build_model
from fer_core.models.checkpoint import CheckpointFolder
from tests.support.builders import toy_dataset, toy_recipe
from tests.support.training import Watcher, trainer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("data"), per_class=24)


def weights(result: FitResult) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in result.weights.items()}


def test_training_learns_the_toy_classes(dataset, tmp_path):
    watcher = Watcher()
    result = trainer(
        dataset,
        tmp_path,
        watcher,
        optim={"lr": 0.02},
        augment={"flip": 0.0, "rotation": 0, "shift": 0.0, "scale": 0.0},
        train={"epochs": 12},
    ).fit()
    assert result.finished
    assert max(record.accuracy for record in result.history) > 0.9
    assert [record.epoch for record in watcher.epochs] == list(range(1, 13))


@pytest.mark.parametrize(("killed_after", "ema"), [(1, 0.9), (7, 0.9), (10, 0.0), (13, 0.9)])
def test_a_killed_and_resumed_training_gives_equal_weights(
    dataset, tmp_path, monkeypatch, ema, killed_after
):
    monkeypatch.setattr("fer_core.engine.trainer.CHECKPOINT_STEPS", 3)
    parts = {
        "train": {"epochs": 2, "ema_decay": ema},
        "augment": {"cutmix": 0.5},
        "optim": {"warmup_epochs": 0.5},
    }
    whole = trainer(dataset, tmp_path / "whole", Watcher(), **parts).fit()
    with pytest.raises(KeyboardInterrupt):
        trainer(dataset, tmp_path / "cut", Watcher(killed_after), **parts).fit()
    resumed = trainer(dataset, tmp_path / "cut", Watcher(), **parts).fit(resume=True)
    assert resumed.finished
    assert resumed.best_epoch == whole.best_epoch
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[key], value, err_msg=key)
    for first, second in zip(whole.history, resumed.history, strict=True):
        assert first.train_loss == pytest.approx(second.train_loss, rel=1e-12)
        assert first.log_loss == second.log_loss


def test_the_memory_format_changes_no_result(dataset, tmp_path):
    first = trainer(dataset, tmp_path / "a", Watcher(), train={"channels_last": True}).fit()
    other = trainer(dataset, tmp_path / "b", Watcher(), train={"channels_last": False}).fit()
    for one, two in zip(first.history, other.history, strict=True):
        assert one.train_loss == pytest.approx(two.train_loss, rel=1e-4)
        assert one.log_loss == pytest.approx(two.log_loss, rel=1e-4)


def test_the_earlier_best_checkpoint_survives_a_kill(dataset, tmp_path, monkeypatch):
    """The repeated epoch may come out worse where results are not bit for bit the same."""
    accuracies = iter([0.5, 0.6, 0.4])
    monkeypatch.setattr(metrics, "accuracy", lambda _: next(accuracies))
    first = trainer(dataset, tmp_path, Watcher())
    save, saved = first._save, []

    def killed_in_the_second_epoch():
        saved.append(True)
        if len(saved) == 2:
            raise KeyboardInterrupt
        save()

    monkeypatch.setattr(first, "_save", killed_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        first.fit()
    earlier, facts = CheckpointFolder(tmp_path).load("best-1")
    assert facts == {"epoch": 1, "criterion": 0.5}
    resumed = trainer(dataset, tmp_path, Watcher()).fit(resume=True)
    assert (resumed.best_epoch, resumed.history[1].accuracy) == (1, 0.4)
    for key, value in earlier.items():
        np.testing.assert_array_equal(weights(resumed)[key], value.numpy(), err_msg=key)


def test_only_the_best_epoch_is_kept(dataset, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.6, 0.4])
    monkeypatch.setattr(metrics, "accuracy", lambda _: next(accuracies))
    assert trainer(dataset, tmp_path, Watcher(), train={"epochs": 3}).fit().best_epoch == 2
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {"last", "best-2"}


def test_a_training_stopped_by_its_deadline_resumes_without_loss(dataset, tmp_path):
    whole = trainer(dataset, tmp_path / "whole", Watcher()).fit()
    first = trainer(dataset, tmp_path / "cut", Watcher()).fit(deadline=time.monotonic() - 1)
    assert not first.finished
    assert first.weights == {}
    second = trainer(dataset, tmp_path / "cut", Watcher()).fit(resume=True, deadline=math.inf)
    assert second.finished
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(second)[key], value)


def test_resuming_with_another_recipe_is_refused(dataset, tmp_path):
    trainer(dataset, tmp_path, Watcher()).fit()
    with pytest.raises(WeightsError, match="another recipe"):
        trainer(dataset, tmp_path, Watcher(), optim={"lr": 0.5}).fit(resume=True)


def test_the_fingerprint_covers_batch_size_and_preprocessing(dataset, tmp_path):
    first = trainer(dataset, tmp_path, Watcher())
    fingerprint = first.checkpoints.fingerprint
    assert fingerprint["global batch size"] == str(first.batches.batch_size)
    assert fingerprint["preprocessing"] == first.data.preprocessing.hash


@pytest.mark.parametrize(
    ("now", "named"),
    [
        ({"split": "b", "teacher t": "monday"}, r"another split \(a, now b\)"),
        ({"split": "a", "teacher t": "friday"}, r"another teacher t \(monday, now friday\)"),
        ({"split": "a"}, r"another teacher t \(monday, now none\)"),
    ],
)
def test_resuming_with_another_fingerprint_is_refused(dataset, tmp_path, now, named):
    first = trainer(dataset, tmp_path, Watcher())
    same = {"split": "a", "teacher t": "monday"}
    first.checkpoints = first.checkpoints.including(same)
    first.fit(deadline=time.monotonic() - 1)
    second = trainer(dataset, tmp_path, Watcher())
    unchanged = second.checkpoints
    second.checkpoints = unchanged.including(now)
    with pytest.raises(WeightsError, match=named):
        second.fit(resume=True)
    second.checkpoints = unchanged.including(same)
    assert second.fit(resume=True).finished


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("device", r"another device \(other, now cpu\) .*Resume on a device of the earlier kind"),
        ("precision", r"another precision \(other, now fp32\) .*computes in the earlier precision"),
        (
            "images on the GPU",
            r"images on the GPU \(other, now no\) .*free GPU memory as before, or",
        ),
    ],
)
def test_resuming_on_other_hardware_is_refused_with_a_remedy(dataset, tmp_path, name, message):
    first = trainer(dataset, tmp_path, Watcher())
    first.checkpoints = first.checkpoints.including({name: "other"})
    first.fit(deadline=time.monotonic() - 1)
    with pytest.raises(WeightsError, match=f"{message}.* start again"):
        trainer(dataset, tmp_path, Watcher()).fit(resume=True)


def test_a_checkpoint_of_an_earlier_version_is_resumed(dataset, tmp_path):
    """Its facts have the keys that they had before they were renamed."""
    whole = trainer(dataset, tmp_path / "whole", Watcher()).fit()
    first = trainer(dataset, tmp_path / "cut", Watcher(13))
    with pytest.raises(KeyboardInterrupt):
        first.fit()
    tensors, facts = first.checkpoints.folder.load("last")
    fingerprint, state = facts.pop("fingerprint"), facts.pop("state")
    facts["grounds"] = {
        "preparation of images": fingerprint["preprocessing"],
        "batch of all processes": fingerprint["global batch size"],
    }
    state["best_score"] = state.pop("best_criterion")
    state["history"] = [
        {("score_error" if key == "regression_error" else key): value for key, value in row.items()}
        for row in state["history"]
    ]
    facts["progress"] = state
    facts["recipe"] = old_keys(facts["recipe"])
    first.checkpoints.folder.save("last", tensors, facts)
    resumed = trainer(dataset, tmp_path / "cut", Watcher()).fit(resume=True)
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[key], value, err_msg=key)


def old_keys(recipe):
    recipe["score"] = recipe.pop("regression")
    recipe["loss"]["disputed"] = recipe["loss"].pop("no_majority")
    recipe["train"]["small_size"] = recipe["train"].pop("progressive_size")
    recipe["train"]["small_epochs"] = recipe["train"].pop("progressive_epochs")
    return recipe


def test_a_truncated_checkpoint_is_named(dataset, tmp_path):
    trainer(dataset, tmp_path, Watcher()).fit()
    last = tmp_path / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"last\.safetensors .*damaged"):
        trainer(dataset, tmp_path, Watcher()).fit(resume=True)


def test_a_full_disk_keeps_the_earlier_checkpoint(dataset, tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from fer_core.errors import ArtifactError

    trainer(dataset, tmp_path, Watcher()).fit()
    before = (tmp_path / "last.safetensors").read_bytes()

    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("fer_core.models.checkpoint.save_file", full)
    with pytest.raises(ArtifactError, match=r"disk is full.*Free some space"):
        trainer(dataset, tmp_path, Watcher()).fit()
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_patience_stops_when_validation_stops_improving(dataset, tmp_path):
    watcher = Watcher()
    parts = {"train": {"epochs": 30, "patience": 2}, "optim": {"lr": 1e-9, "min_lr": 0.0}}
    result = trainer(dataset, tmp_path, watcher, **parts).fit()
    assert result.finished
    assert result.best_epoch == 1
    assert len(result.history) == 3


def test_learning_rate_has_linear_warm_up_and_cosine_decay(dataset, tmp_path):
    parts = {"train": {"epochs": 4}, "optim": {"lr": 1.0, "min_lr": 0.0, "warmup_epochs": 1}}
    made = trainer(dataset, tmp_path, Watcher(), **parts)
    steps = made.batches.steps
    assert made.learning_rate(0) == pytest.approx(1 / steps)
    assert made.learning_rate(steps) == pytest.approx(1.0)
    assert made.learning_rate(steps + 3 * steps // 2) == pytest.approx(0.5, abs=0.03)
    assert made.learning_rate(4 * steps) == pytest.approx(0.0, abs=1e-12)


def test_progressive_resizing_uses_small_images_first(dataset, tmp_path):
    watcher = Watcher()
    parts = {"train": {"epochs": 3, "progressive_size": 16, "progressive_epochs": 2}}
    trainer(dataset, tmp_path, watcher, **parts).fit()
    assert [record.image_size for record in watcher.epochs] == [16, 16, 32]


def test_epochs_of_small_images_are_never_the_best(dataset, tmp_path, monkeypatch):
    sizes = []

    def validate(model, images, rows, preprocessing, accelerator):
        sizes.append(preprocessing.image_size)
        # the small epochs look perfect, the full ones do not
        targets = dataset.targets(rows) + (preprocessing.image_size == 32)
        return np.eye(7)[targets % 7]

    monkeypatch.setattr("fer_core.engine.trainer.predict_probabilities", validate)
    parts = {"train": {"epochs": 5, "progressive_size": 16, "progressive_epochs": 2, "patience": 2}}
    result = trainer(dataset, tmp_path, Watcher(), **parts).fit()
    assert sizes == [16, 16, 32, 32, 32]  # patience counts from the first full epoch
    assert result.best_epoch == 3


def test_callbacks_get_what_a_progress_bar_needs(dataset, tmp_path):
    watcher = Watcher()
    trainer(dataset, tmp_path, watcher).fit()
    last = watcher.steps[-1]
    assert (last.epoch, last.epochs) == (2, 2)
    assert last.step == last.steps == len(dataset.rows("train")) // 8
    assert last.images_per_second > 0
    assert last.seconds_left == 0
    assert 0 <= last.accuracy <= 1


@pytest.mark.parametrize(
    ("steps", "decay"), [(1, 2 / 11), (41, 42 / 51), (1000, 0.9), (torch.tensor(3), 4 / 13)]
)
def test_the_weight_average_adapts_fast_early_and_slowly_later(steps, decay):
    averaged = [torch.zeros(2)]
    warming_average(0.9)(averaged, [torch.ones(2)], steps)
    torch.testing.assert_close(averaged[0], torch.full((2,), 1 - decay))


def test_a_frozen_backbone_does_not_change_until_unfrozen(dataset, tmp_path):
    made = trainer(
        dataset, tmp_path, Watcher(), train={"epochs": 2, "freeze_epochs": 1}, optim={"lr": 0.05}
    )
    before = {key: value.clone() for key, value in made.train_step.model.state_dict().items()}

    def changed() -> set[str]:
        now = made.train_step.model.state_dict()
        return {key.split(".")[0] for key in now if not torch.equal(now[key], before[key])}

    made._train_epoch(math.inf)
    assert changed() == {"head"}
    made._close_epoch()
    made._train_epoch(math.inf)
    assert changed() == {"features", "head"}


def test_freezing_survives_kill_and_resume(dataset, tmp_path):
    parts = {"train": {"epochs": 2, "freeze_epochs": 1}}
    whole = trainer(dataset, tmp_path / "whole", Watcher(), **parts).fit()
    with pytest.raises(KeyboardInterrupt):
        trainer(dataset, tmp_path / "cut", Watcher(13), **parts).fit()
    resumed = trainer(dataset, tmp_path / "cut", Watcher(), **parts).fit(resume=True)
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[key], value)


def test_a_student_learns_the_teachers_soft_targets(dataset, tmp_path):
    """A teacher that always says `surprise`, with all the weight, teaches just that."""
    made = trainer(
        dataset,
        tmp_path,
        Watcher(),
        optim={"lr": 0.05},
        distill={"teachers": ["t"], "weight": 1.0},
        train={"epochs": 3},
    )

    def teacher(images):
        assert images.shape[1:] == (1, 32, 32)
        assert images.min() >= 0
        assert images.max() <= 1
        return torch.eye(7)[torch.full((len(images),), 6)]

    made.train_step.distillation = Distillation(teacher=teacher)
    result = made.fit()
    assert result.history[-1].train_loss < 0.3
    truth = dataset.targets(dataset.rows("validation"))
    assert result.history[-1].accuracy == pytest.approx((truth == 6).mean())


class Counting:
    """A hint teacher that records the shape of each feature map."""

    def __init__(self):
        self.shapes = []

    def features(self, images):
        assert images.shape[1:] == (1, 32, 32)
        return images

    def loss(self, own, wanted):
        assert wanted.shape[1:] == (1, 32, 32)
        self.shapes.append(tuple(own.shape))
        return own.square().mean()


@pytest.mark.parametrize(("freeze", "epochs_with_hints"), [(0, 2), (1, 1)])
def test_hints_are_used_in_the_first_epochs_only(dataset, tmp_path, freeze, epochs_with_hints):
    parts = {
        "train": {"epochs": 3, "freeze_epochs": freeze},
        "distill": {"teachers": ["t"], "hint_epochs": 2},
    }
    made = trainer(dataset, tmp_path, Watcher(), **parts)
    hint_teacher = Counting()
    made.train_step.distillation = Distillation(hint_teacher=hint_teacher)
    made.fit()
    assert (
        len(hint_teacher.shapes) == epochs_with_hints * made.batches.steps
    )  # none while the backbone is frozen
    assert {shape[0] for shape in hint_teacher.shapes} == {8}
    assert {len(shape) for shape in hint_teacher.shapes} == {4}
    assert not any(layer._forward_hooks for layer in made.train_step.model.modules())


def test_a_diverging_training_is_an_error_and_keeps_its_checkpoint(dataset, tmp_path):
    made = trainer(dataset, tmp_path, Watcher(), optim={"lr": 0.01}, train={"epochs": 3})
    made._train_epoch(math.inf)
    made._close_epoch()
    before = (tmp_path / "last.safetensors").read_bytes()
    with torch.no_grad():
        made.train_step.model.head.weight.fill_(math.nan)
    with pytest.raises(WeightsError, match=r"diverged in epoch 2.*--set optim\.lr=0\.003"):
        made.fit()
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_mixed_precision_keeps_weights_in_float32(dataset, tmp_path):
    """Else what is measured after the training would not be what the saved weights answer."""
    from training.jobs.accelerator import make_accelerator

    accelerator = make_accelerator("bf16", "cpu")
    parts = {"train": {"epochs": 1, "precision": "bf16"}}
    made = trainer(dataset, tmp_path, Watcher(), accelerator, **parts)
    seen = []
    made.train_step.model.head.register_forward_hook(
        lambda *arguments: seen.append(arguments[2].dtype)
    )
    made.fit()
    assert torch.bfloat16 in seen
    inputs = torch.rand(2, 3, 32, 32)
    after = made.train_step.model.eval()(inputs)
    fresh = build_model(made.recipe.model, 7).eval()
    fresh.load_state_dict(made.train_step.model.state_dict())
    # bfloat16 would differ by a thousandth
    torch.testing.assert_close(after, fresh(inputs), rtol=0, atol=1e-6)
    assert make_accelerator("fp32", "cpu").mixed_precision == "no"  # another one in one process


@pytest.mark.parametrize(
    ("found", "mode"),
    [
        ({"avx2": True, "avx512_bf16": True}, "bf16"),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"avx2": True, "avx512_bf16": False}, "no"),
    ],
)
def test_a_cpu_uses_bfloat16_by_default_only_with_native_support(monkeypatch, found, mode):
    from training.jobs.accelerator import make_accelerator

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert make_accelerator("auto", "cpu").mixed_precision == mode
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # an older torch, which does not say
    assert make_accelerator("auto", "cpu").mixed_precision == "no"


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "resnet34"])
def test_several_gpus_use_synchronised_batch_norm(architecture):
    """timm's layers hold batch norm and activation in one; torch's conversion drops the latter."""
    recipe = toy_recipe(model={"architecture": architecture, "image_size": 32})
    model = build_model(recipe.model, 7).eval()
    inputs = torch.rand(2, 3, 32, 32)
    before, names = model(inputs), list(model.state_dict())

    def shared(processes: int, device: str) -> bool:
        workers = SimpleNamespace(num_processes=processes, device=torch.device(device))
        layers = synchronised(model, workers).modules()
        return any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in layers)

    assert not shared(1, "cuda")
    assert not shared(2, "cpu")
    assert shared(2, "cuda")
    torch.testing.assert_close(model(inputs), before)
    assert list(model.state_dict()) == names


def test_the_asynchronous_weight_average_equals_torch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    averages = [
        AveragedModel(model, multi_avg_fn=warming_average(0.9), use_buffers=True) for _ in range(2)
    ]
    pairs = AveragePairs.of(averages[1], model)
    for _ in range(30):
        with torch.no_grad():
            for value in model.state_dict().values():
                value += 1 if value.ndim == 0 else torch.randn_like(value)
        averages[0].update_parameters(model)
        update_average(averages[1], pairs, 0.9)
    for first, second in zip(*(average.module.parameters() for average in averages), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert averages[0].n_averaged == averages[1].n_averaged == 30
    assert averages[1].module[1].num_batches_tracked == model[1].num_batches_tracked


def test_with_resident_images_a_resumed_training_reaches_the_same_weights(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("fer_core.engine.trainer.CHECKPOINT_STEPS", 3)
    monkeypatch.setattr(
        "fer_core.engine.trainer.resident", lambda images, _: torch.from_numpy(np.array(images))
    )
    parts = {"augment": {"cutmix": 0.5, "jpeg": 0.5, "noise": 0.5}}
    whole = trainer(dataset, tmp_path / "whole", Watcher(), **parts)
    assert isinstance(whole.batches, ResidentBatches)
    expected = whole.fit()
    with pytest.raises(KeyboardInterrupt):
        trainer(dataset, tmp_path / "cut", Watcher(7), **parts).fit()
    resumed = trainer(dataset, tmp_path / "cut", Watcher(), **parts).fit(resume=True)
    for key, value in weights(expected).items():
        np.testing.assert_array_equal(weights(resumed)[key], value, err_msg=key)


def test_the_best_weights_are_of_the_best_epoch_even_if_saved_later(dataset, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.6, 0.4, 0.3])
    monkeypatch.setattr(metrics, "accuracy", lambda _: next(accuracies))
    late = trainer(dataset, tmp_path / "late", Watcher(), train={"epochs": 4})
    monkeypatch.setattr(late, "_save_is_due", lambda: late.state.epoch == 4)
    result = late.fit()
    monkeypatch.undo()
    accuracies = iter([0.5, 0.6, 0.4, 0.3])
    monkeypatch.setattr(metrics, "accuracy", lambda _: next(accuracies))
    each = trainer(dataset, tmp_path / "each", Watcher(), train={"epochs": 4}).fit()
    assert (result.best_epoch, each.best_epoch) == (2, 2)
    for key, value in weights(each).items():
        np.testing.assert_array_equal(weights(result)[key], value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_training_step_does_not_synchronise_the_gpu(dataset, tmp_path):
    parts = {
        "augment": {"cutmix": 0.5, "erase": 0.5, "blur": 0.5, "noise": 0.5, "jpeg": 0.5},
        "train": {"ema_decay": 0.9},
    }
    made = trainer(dataset, tmp_path, Watcher(), Accelerator(), **parts)
    made.train_step.set_phase(frozen=False, hints=False)
    batches = made.batches.epoch(0)
    made.train_step.step(next(batches), made.data.preprocessing, 1e-3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            made.totals += made.train_step.step(batch, made.data.preprocessing, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
