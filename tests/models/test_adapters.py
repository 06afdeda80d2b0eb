"""LoRA: what trains, what is saved, and what an adapter needs to be read again."""

import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from fer_core.config import LoraConfig, ModelConfig, load_recipe
from fer_core.engine.networks import load_network
from fer_core.engine.onnx_graph import graph_copy
from fer_core.engine.predict import predict_logits
from fer_core.engine.train_step import TrainStep
from fer_core.errors import DataError, RecipeError, WeightsError
from fer_core.evaluation.predictions import Predictions
from fer_core.models import build_model, spec_of
from fer_core.models.adapters import adapter_part, add_adapter, base_hash
from fer_core.models.checkpoint import load_tensors
from fer_core.models.stored_weights import half_precision
from fer_core.models.weights import initialise
from fer_core.records import ELSEWHERE
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark, toy_recipe
from training.jobs.base_runs import has_other_base, require_unseen_images, unknown_training
from training.jobs.publish import publish_run
from training.jobs.train import TrainOptions, train_network
from training.options import RECIPES
from training.terminal.progress import TrainingBar

BASE = "run:toy/tiny_vit-cpu-s0"
FIVE_MB = 5_000_000


def config(**more) -> ModelConfig:
    return ModelConfig.model_validate(
        {"architecture": "tiny_vit", "image_size": 32, "init": BASE, "lora": {"rank": 2}} | more
    )


def train(toy, name="tiny_vit", *, resume=False, max_minutes=None, notify=None, **parts):
    recipe = toy_recipe(name, **{"model": {"architecture": "tiny_vit"}, **parts})
    return train_network(
        recipe,
        toy.dataset,
        toy.benchmark,
        TrainingBar(visible=False),
        TrainOptions(resume, max_minutes, "cpu", notify=notify or (lambda _: None)),
    )


def adapt(toy, name="adapter", **options):
    return train(
        toy,
        name,
        **options,
        model={"architecture": "tiny_vit", "init": BASE, "lora": {"rank": 2, "alpha": 4}},
        optim={"lr": 0.05},
    )


@pytest.fixture
def toy(tmp_path):
    toy = toy_benchmark(tmp_path, runs=0)
    train(toy)
    return toy


def test_a_new_adapter_keeps_the_outputs():
    torch.manual_seed(0)
    model = build_model(config(), 7).eval()
    images = torch.rand(2, 3, 32, 32)
    before = model(images)
    add_adapter(model, config())
    torch.testing.assert_close(model(images), before)


def test_only_adapter_and_classifier_are_trainable(toy):
    run = adapt(toy)
    base, _ = load_tensors(toy.benchmark.run("tiny_vit-cpu-s0").weights_path)
    tensors, _ = load_tensors(run.weights_path)
    assert {"lora_A" in key or "lora_B" in key or key.startswith("head.") for key in tensors} == {
        True
    }
    # two blocks, two layers each, two factors each, and the classifier's weight and bias
    assert len(tensors) == 2 * 2 * 2 + 2
    assert not torch.equal(tensors["head.weight"], base["head.weight"])
    assert any(value.abs().sum() > 0 for key, value in tensors.items() if "lora_B" in key)
    network = load_network(run, toy.dataset.format)
    loaded = network.model.state_dict()
    for key, value in base.items():
        if not key.startswith("head."):
            wrapped = key.replace(".qkv.", ".qkv.base_layer.").replace(
                "attn.proj.", "attn.proj.base_layer."
            )
            torch.testing.assert_close(loaded[wrapped], value, rtol=0, atol=0)
    info = run.info()
    # rank 2 at width 16: qkv 2x16 + 48x2, proj 2x16 + 16x2, in two blocks; head 16x7 + 7
    assert info.trained_parameters == 2 * (32 + 96 + 32 + 32) + 119
    assert info.title == "tiny_vit with LoRA"
    assert info.init == "checkpoint"


def test_a_saved_adapter_gives_the_same_outputs(toy):
    run = adapt(toy)
    network = load_network(run, toy.dataset.format)
    rows = toy.dataset.rows("test")
    logits = predict_logits(network.model, toy.dataset.images, network.preprocessing, rows=rows)
    saved = Predictions.read(run.predictions_path, toy.dataset.labels).split("test")
    np.testing.assert_allclose(
        torch.softmax(logits.double(), 1).numpy(), saved.probabilities, atol=1e-6
    )


def test_batch_statistics_of_the_base_stay_fixed():
    recipe = toy_recipe("adapter", model=config(architecture="tiny_two_heads").model_dump())
    torch.manual_seed(0)
    model = build_model(recipe.model, 7)
    add_adapter(model, recipe.model)
    step = TrainStep(model, recipe, torch.ones(7), Accelerator(cpu=True))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for frozen in (True, False):
        step.set_phase(frozen=frozen, hints=False)
        model(torch.rand(8, 3, 32, 32))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.proj.training  # dropout of the adapter and of the base stays on


def test_an_adapter_of_a_network_with_batch_statistics_is_saved_as_evaluated(toy):
    train(toy, "base", model={"architecture": "tiny_two_heads"})
    model = {"architecture": "tiny_two_heads", "init": "run:toy/base-cpu-s0", "lora": {"rank": 2}}
    run = train(toy, "adapter", model=model, optim={"lr": 0.05})
    tensors, _ = load_tensors(run.weights_path)
    assert {key.partition(".")[0] for key in tensors} == {"proj", "head", "head_dist"}
    network = load_network(run, toy.dataset.format)
    rows = toy.dataset.rows("test")
    logits = predict_logits(network.model, toy.dataset.images, network.preprocessing, rows=rows)
    saved = Predictions.read(run.predictions_path, toy.dataset.labels).split("test")
    np.testing.assert_allclose(logits.double().softmax(1).numpy(), saved.probabilities, atol=1e-6)


def test_an_adapter_cannot_initialise_a_network(toy):
    adapt(toy)
    start = ModelConfig(architecture="tiny_vit", image_size=32, init="run:toy/adapter-cpu-s0")
    message = rf"adapter-cpu-s0 of toy is an adapter .*model\.init={BASE}"
    with pytest.raises(WeightsError, match=message):
        initialise(build_model(start, 7), start, toy.dataset.labels.names, toy.benchmark.store)


def test_a_published_adapter_fits_its_published_base(toy):
    run = adapt(toy)
    publish_run(toy.benchmark.run("tiny_vit-cpu-s0"), toy.dataset, device="cpu")
    publish_run(run, toy.dataset, device="cpu")
    tensors, _ = load_tensors(run.weights_path)
    assert {value.dtype for value in tensors.values() if value.ndim > 1} == {torch.float16}
    assert load_network(run, toy.dataset.format).info.weights_dtype == "float16"
    base = toy.benchmark.run("tiny_vit-cpu-s0")
    assert graph_copy(base, toy.dataset.format) is not None
    assert not run.graph_path.exists()  # its base lies in another file


def test_an_adapter_without_its_base_is_an_error_that_names_the_base(toy):
    run = adapt(toy)
    toy.benchmark.run("tiny_vit-cpu-s0").info_path.unlink()
    with pytest.raises(WeightsError, match=r"adapter-cpu-s0 is an adapter.*'tiny_vit-cpu-s0'"):
        load_network(run, toy.dataset.format)


def beside_its_base(toy):
    """Returns a second benchmark, and a copy of the base's benchmark in the same store."""
    other = toy_benchmark(toy.artifacts.parent / "other", runs=0, name="other")
    base = other.benchmark.store.benchmark(toy.benchmark.name)
    shutil.copytree(toy.benchmark.root, base.root)
    return other, base


def test_a_base_trained_on_the_test_images_is_refused(toy):
    other, base = beside_its_base(toy)
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    require_unseen_images(recipe, other.dataset, other.benchmark.store)  # the same split
    samples = base.samples()
    tested = samples["split"] == "test"
    samples.loc[tested, "split"] = "train"
    write_table(base.samples_path, samples)
    count = tested.sum()
    message = rf"tiny_vit-cpu-s0 of toy, which was trained on {count} of this dataset's {count}"
    with pytest.raises(DataError, match=message):
        require_unseen_images(recipe, other.dataset, other.benchmark.store)
    # and through a run in between, which started from it
    between = base.run("between-cpu-s0")
    shutil.copytree(base.run("tiny_vit-cpu-s0").root, between.root)
    info = between.info()
    content = {**info.recipe, "model": {**info.recipe["model"], "init": BASE}}
    info.model_copy(update={"recipe": content}).write(between.info_path)
    clean = base.samples()
    clean.loc[tested, "split"] = "test"
    middle = other.benchmark.store.benchmark("middle")
    shutil.copytree(base.root, middle.root)
    write_table(middle.samples_path, clean)
    recipe = toy_recipe(
        "adapter", model={"architecture": "tiny_vit", "init": "run:middle/between-cpu-s0"}
    )
    with pytest.raises(DataError, match=message):
        require_unseen_images(recipe, other.dataset, other.benchmark.store)


def test_a_base_trained_on_the_test_images_at_another_size_is_refused(toy):
    other, base = beside_its_base(toy)
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    samples = base.samples()
    tested = (samples["split"] == "test").to_numpy()
    samples.loc[tested, "split"] = "train"
    samples["sha1"] = [f"of other pixels {place}" for place in range(len(samples))]
    samples["phash"] ^= np.uint64(0b111)  # resampling changes a few bits
    write_table(base.samples_path, samples)
    with pytest.raises(DataError, match=f"trained on {tested.sum()} of this dataset's"):
        require_unseen_images(recipe, other.dataset, other.benchmark.store)
    # other pictures under the same names, as in two folders, are other pictures
    samples["phash"] ^= np.uint64((1 << 40) - 1)
    write_table(base.samples_path, samples)
    require_unseen_images(recipe, other.dataset, other.benchmark.store)
    write_table(base.samples_path, samples.drop(columns="phash"))
    require_unseen_images(recipe, other.dataset, other.benchmark.store)


def test_a_base_trained_on_the_validation_images_is_refused(toy):
    other, base = beside_its_base(toy)
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    samples = base.samples()
    chosen = samples.index[samples["split"] == "validation"][:3]
    samples.loc[chosen, "split"] = "train"
    write_table(base.samples_path, samples)
    count = (other.dataset.samples["split"] == "validation").sum()
    message = f"trained on 3 of this dataset's {count} validation images"
    with pytest.raises(DataError, match=message):
        require_unseen_images(recipe, other.dataset, other.benchmark.store)


def test_the_training_images_of_an_imported_base_are_unknown(toy):
    base = toy.benchmark.run("tiny_vit-cpu-s0")
    base.info().model_copy(update={"init": ELSEWHERE}).write(base.info_path)
    samples = toy.benchmark.samples()
    samples["split"] = "train"  # it was not trained on the benchmark's training images
    write_table(toy.benchmark.samples_path, samples)
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    require_unseen_images(recipe, toy.dataset, toy.benchmark.store)
    note = (
        "tiny_vit-cpu-s0 of toy was trained elsewhere: not known whether it has seen test or "
        "validation images"
    )
    assert unknown_training(recipe, toy.benchmark) == (note,)
    told = []
    run = adapt(toy, notify=told.append)
    assert run.info().init_notes[-1] == note
    assert told[-1] == f"{note}."
    # and whatever is made from it, also as a teacher
    for parts in (
        {"model": {"architecture": "tiny_vit", "init": f"run:toy/{run.run_id}"}},
        {"model": {"architecture": "tiny_vit"}, "distill": {"teachers": [run.run_id]}},
    ):
        assert unknown_training(toy_recipe("next", **parts), toy.benchmark) == (note,)
    assert unknown_training(toy_recipe("own"), toy.benchmark) == ()


def test_no_majority_images_count_as_training_images_of_a_base_that_uses_them(toy):
    other, base = beside_its_base(toy)
    samples = base.samples().astype({"label": object})
    tested = samples["split"] == "test"
    samples.loc[tested, ["split", "original_split", "label"]] = ["excluded", "train", None]
    samples.loc[tested, "excluded"] = "annotators disagree"
    for name in base.info().label_set.names:
        samples[f"votes_{name}"] = 4 if name in ("sad", "angry") else 0
    write_table(base.samples_path, samples)
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    require_unseen_images(recipe, other.dataset, other.benchmark.store)
    learner = base.run("tiny_vit-cpu-s0")
    info = learner.info()
    loss = {**info.recipe["loss"], "soft_labels": True, "no_majority": True}
    info.model_copy(update={"recipe": {**info.recipe, "loss": loss}}).write(learner.info_path)
    with pytest.raises(DataError, match=f"trained on {tested.sum()} of this dataset's"):
        require_unseen_images(recipe, other.dataset, other.benchmark.store)


def test_a_run_initialised_from_itself_is_checked_once(toy):
    again = train(toy, model={"architecture": "tiny_vit", "init": BASE})
    assert again.info().recipe["model"]["init"] == BASE
    recipe = toy_recipe("adapter", model={"architecture": "tiny_vit", "init": BASE})
    require_unseen_images(recipe, toy.dataset, toy.benchmark.store)


def test_an_adapter_of_a_retrained_base_is_refused(toy):
    run = adapt(toy)
    train(toy, optim={"lr": 0.01})
    with pytest.raises(WeightsError, match=r"adapter, and its base weights .* have changed"):
        load_network(run, toy.dataset.format)
    assert has_other_base(run)
    assert not has_other_base(adapt(toy))
    toy.benchmark.run("tiny_vit-cpu-s0").info_path.unlink()
    assert not has_other_base(run)  # not known; whoever loads it is told


def test_an_adapter_does_not_resume_on_another_base(toy):
    assert adapt(toy, max_minutes=0) is None
    train(toy, optim={"lr": 0.01})
    with pytest.raises(WeightsError, match=r"made with another base \("):
        adapt(toy, resume=True)
    assert adapt(toy) is not None


def test_an_adapter_resumes_like_any_training(toy):
    whole = adapt(toy)
    expected, _ = load_tensors(whole.weights_path)
    assert adapt(toy, "again", max_minutes=0) is None
    resumed, _ = load_tensors(adapt(toy, "again", resume=True).weights_path)
    for key, value in expected.items():
        torch.testing.assert_close(resumed[key], value, rtol=0, atol=0)


def test_an_adapter_needs_initial_weights_and_attention_layers():
    with pytest.raises(ValueError, match="lora needs pretrained weights"):
        config(init="scratch")
    cnn = config(architecture="tiny_cnn")
    with pytest.raises(RecipeError, match="does not support LoRA"):
        add_adapter(build_model(cnn, 7), cnn)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_adapter_of_vit_base_is_smaller_than_five_megabytes(profile):
    recipe = load_recipe(RECIPES, "vit_base_lora", profile)
    with torch.device("meta"):
        model = build_model(recipe.model, 7)
    add_adapter(model, recipe.model)
    tensors = half_precision(adapter_part(model.state_dict(), spec_of("vit_base")))
    assert 0 < sum(value.numel() * value.element_size() for value in tensors.values()) < FIVE_MB


@pytest.mark.parametrize("key", ["scratch_vit", "vit_tiny", "hf_vit_small"])
def test_every_vit_takes_an_adapter_in_each_block(key):
    size = 64
    made = ModelConfig(architecture=key, image_size=size, init="run:a/b", lora=LoraConfig(rank=2))
    with torch.device("meta"):
        model = build_model(made, 7)
    names = {name for name, _ in model.named_parameters()}
    add_adapter(model, made)
    adapted = {name.split(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}
    blocks = sum(1 for name in names if name.endswith(("norm1.weight", "layernorm_before.weight")))
    assert blocks > 0
    assert len(adapted) % blocks == 0
    assert len(adapted) >= 2 * blocks


def test_the_hash_of_a_base_ignores_classifier_adapter_and_precision():
    torch.manual_seed(0)
    model = build_model(config(), 7)
    spec = spec_of("tiny_vit")
    first = base_hash(model, spec)
    with torch.no_grad():
        model.head.weight.add_(1)
    assert base_hash(model, spec) == first
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    assert base_hash(model, spec) == first
    add_adapter(model, config())
    assert base_hash(model, spec) == first
    with torch.no_grad():
        model.pos_embed.add_(1)
    assert base_hash(model, spec) != first
