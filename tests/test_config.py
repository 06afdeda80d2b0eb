"""Recipes: differences only, clear refusals."""

import json

import pytest
from pydantic import ValidationError

from fer_core.artifacts import ArtifactStore
from fer_core.config import (
    PROFILES,
    EnsembleRecipe,
    Recipe,
    load_recipe,
    parse_recipe,
    recipe_names,
    recipe_values,
    resolve_recipe,
)
from fer_core.errors import NoProfileError, RecipeError
from fer_core.models import architectures, build_model, spec_of
from fer_core.project import ROOT
from tests.support.recipes import has_profile
from training.options import RECIPES

FILE = """
description: for tests
model: {architecture: resnet34}
optim: {lr: 0.01}
profiles:
  cpu: {model: {image_size: 48}}
  gpu: {model: {image_size: 224}, train: {precision: bf16}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE)
    return tmp_path


def test_profile_and_overrides_are_merged_into_the_recipe(folder):
    cpu = load_recipe(folder, "mine", "cpu", ["optim.lr=0.5", "train.epochs=3"])
    assert (cpu.model.image_size, cpu.optim.lr, cpu.train.epochs) == (48, 0.5, 3)
    gpu = load_recipe(folder, "mine", "gpu")
    assert (gpu.model.image_size, gpu.optim.lr, gpu.train.precision) == (224, 0.01, "bf16")


def test_all_phases_that_are_too_long_are_named_at_once():
    train = {"epochs": 2, "progressive_size": 48, "progressive_epochs": 4, "freeze_epochs": 1}
    with pytest.raises(ValidationError) as error:
        Recipe(
            name="short", profile="cpu", model={"architecture": "resnet34"},
            optim={"warmup_epochs": 2.5}, train=train,
        )  # fmt: skip
    assert (
        "train.epochs=2 must be more than optim.warmup_epochs=2.5 and train.progressive_epochs=4; "
        "for a short training set optim.warmup_epochs=0 train.progressive_epochs=0 "
        "train.progressive_size=0"
    ) in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.learning_rate=1", r"optim\.learning_rate"),
        ("optim.lr=-1", r"optim\.lr.*greater than 0"),
        ("optim", "section.key=value"),
        ("train.precision=fp8", r"train\.precision"),
        ("optim.warmup_epochs=99", "must be more than optim.warmup_epochs=99"),
        ("train.freeze_epochs=99", "must be more than train.freeze_epochs=99"),
        ("train.seed=-1", r"train\.seed.*greater than or equal to 0"),
        ("profile=gpu", "pass the recipe.s name and --profile"),
        ("name=other", "cannot be set with --set"),
        (
            "train={progressive_size: 512, progressive_epochs: 1}",
            "not be larger than model.image_size",
        ),
    ],
)
def test_wrong_keys_and_values_are_named(folder, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(folder, "mine", "cpu", [override])


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ("[cpu]", "profiles must be a mapping"),
        ("{cpu: 3}", "profile cpu must be a mapping"),
        ("{tpu: {}, 5: {}}", "unknown profiles: 5, tpu"),
    ],
)
def test_unknown_profiles_are_named(folder, profiles, message):
    content = f"model: {{architecture: resnet34}}\nprofiles: {profiles}\n"
    (folder / "wrong.yaml").write_text(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(folder, "wrong")


def test_keys_of_earlier_versions_are_still_read(folder):
    (folder / "old.yaml").write_text(
        "model: {architecture: resnet34}\n"
        "loss: {soft_labels: true, disputed: true}\n"
        "score: {table: targets.csv}\n"
        "profiles:\n"
        "  cpu: {train: {small_size: 64, small_epochs: 2, monitor: score_error}}\n"
    )
    old = load_recipe(folder, "old")
    assert isinstance(old, Recipe)
    assert old.loss.no_majority
    assert (old.train.progressive_size, old.train.progressive_epochs) == (64, 2)
    assert (old.train.monitor, old.regression.table) == ("regression_error", "targets.csv")
    # an old name on the command line overrides the new name of the file
    assert load_recipe(folder, "old", "cpu", ["train.small_size=80"]).train.progressive_size == 80
    new = old.model_dump(mode="json")
    assert "score" not in new
    assert "disputed" not in new["loss"]


def test_an_old_key_beside_its_new_name_is_refused(folder):
    both = "train={small_size: 32, progressive_size: 48, progressive_epochs: 1}"
    with pytest.raises(RecipeError, match=r"train\.small_size: Extra inputs"):
        load_recipe(folder, "mine", "cpu", [both])


def test_unknown_initial_weights_list_the_known(folder):
    with pytest.raises(RecipeError) as caught:
        load_recipe(folder, "mine", "cpu", ["model.init=run:mine-cpu-s0"])
    assert "model.init: 'run:mine-cpu-s0' is not accepted: initial weights" in str(caught.value)
    assert "run:<benchmark>/<run id>" in str(caught.value)
    assert "pattern" not in str(caught.value)


def shipped_runs():
    return [
        run
        for benchmark in ArtifactStore(ROOT / "artifacts").benchmarks()
        for run in benchmark.runs()
    ]


@pytest.mark.parametrize("run", shipped_runs(), ids=lambda run: run.run_id)
def test_recipes_of_shipped_runs_are_read(run):
    """Whatever version wrote `run.json`, its values survive the change of keys."""
    saved = json.loads(run.info_path.read_text())
    info = run.info()
    assert info.prior_shift == saved.get("prior_shift", saved.get("prior_strength", 0.0))
    if not saved["recipe"]:  # a table of predictions
        assert info.recipe == {}
        return
    recipe = parse_recipe(info.recipe)
    if isinstance(recipe, EnsembleRecipe):
        assert recipe.members == tuple(saved["recipe"]["members"])
        return
    loss, train = saved["recipe"]["loss"], saved["recipe"]["train"]
    assert recipe.loss.no_majority == loss.get("no_majority", loss.get("disputed", False))
    assert recipe.train.progressive_epochs == train.get(
        "progressive_epochs", train.get("small_epochs", 0)
    )
    assert recipe_values(info.recipe) == recipe_values(recipe.model_dump(mode="json"))


def test_an_empty_profile_changes_nothing(folder):
    (folder / "bare.yaml").write_text("model: {architecture: resnet34}\nprofiles: {cpu: }\n")
    assert load_recipe(folder, "bare").model.architecture == "resnet34"


def test_unknown_recipe_lists_the_known(folder):
    with pytest.raises(RecipeError, match=r"no recipe 'other'\. Known recipes: mine"):
        load_recipe(folder, "other")


def test_an_unknown_recipe_cannot_be_a_path(folder):
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(folder / "sub", "../mine")


def test_a_recipe_says_why_it_has_no_profile():
    with pytest.raises(NoProfileError, match=r"no profile gpu_offline: ViT-Base .*weights"):
        load_recipe(RECIPES, "vit_base_lora", "gpu_offline")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", recipe_names(RECIPES))
def test_every_shipped_recipe_resolves(name, profile):
    if not has_profile(name, profile):
        assert profile == "gpu_offline"  # the others may start from the weights of a hub
        return
    recipe = load_recipe(RECIPES, name, profile)
    assert recipe.description
    if isinstance(recipe, EnsembleRecipe):
        assert set(recipe.members) <= set(recipe_names(RECIPES))
    else:
        assert isinstance(recipe, Recipe)
        assert recipe.model.architecture in architectures()


def test_a_recipe_names_the_architectures_that_exist(folder):
    recipe = load_recipe(folder, "mine", "cpu", ["model.architecture=alexnet"])
    with pytest.raises(RecipeError, match=r"no architecture 'alexnet'\. Known: .*resnet34"):
        build_model(recipe.model, 7)


@pytest.mark.parametrize("name", recipe_names(RECIPES))
def test_offline_recipes_use_included_weights_and_runs_of_the_benchmark(name):
    if not has_profile(name, "gpu_offline"):
        return
    recipe = load_recipe(RECIPES, name, "gpu_offline")
    if isinstance(recipe, EnsembleRecipe):
        return
    source = spec_of(recipe.model).imagenet or ""
    included = {"scratch", "face"} | ({"imagenet"} if source.startswith("wheel:") else set())
    kind, _, run = recipe.model.init.partition(":")
    assert kind in included or (kind == "run" and run.endswith("-gpu_offline-s0"))
    teachers = recipe.distill.teachers if recipe.distill else ()
    assert all(teacher.endswith("-gpu_offline-s0") for teacher in teachers)
    assert 64 <= recipe.model.image_size <= 224
    if recipe.model.lora is None:
        assert 100 <= recipe.train.epochs <= 300
        assert recipe.train.ema_decay > 0
    if spec_of(recipe.model).family == "vit" and recipe.model.lora is None:
        assert teachers


def test_a_recipes_profile_block_overrides_the_shared_profile(folder):
    shared = folder / "profiles"
    shared.mkdir()
    (shared / "gpu.yaml").write_text("model: {image_size: 100}\noptim: {lr: 0.5}\n")
    assert load_recipe(folder, "mine", "cpu").optim.lr == 0.01
    gpu = load_recipe(folder, "mine", "gpu")
    assert (gpu.model.image_size, gpu.optim.lr) == (224, 0.5)
    assert recipe_names(folder) == ["mine"]
    (shared / "gpu.yaml").write_text("[1]")
    with pytest.raises(RecipeError, match=r"gpu\.yaml must be a mapping"):
        load_recipe(folder, "mine", "gpu")


def test_fewer_epochs_shorten_each_phase_in_proportion(folder):
    recipe = load_recipe(
        folder,
        "mine",
        "cpu",
        [
            "train={epochs: 100, freeze_epochs: 10, patience: 20, progressive_size: 32,"
            " progressive_epochs: 40}",
            "optim.warmup_epochs=5",
            "distill={teachers: [a], hint_epochs: 30}",
        ],
    )
    short = recipe.with_epochs(10)
    assert recipe.with_epochs(100) == recipe
    assert (short.train.epochs, short.train.freeze_epochs, short.train.patience) == (10, 1, 2)
    assert (short.train.progressive_size, short.train.progressive_epochs) == (32, 4)
    assert short.optim.warmup_epochs == pytest.approx(0.5)
    assert short.distill is not None
    assert short.distill.hint_epochs == 3
    one = recipe.with_epochs(1)
    assert (one.train.freeze_epochs, one.train.progressive_size, one.train.patience) == (0, 0, 1)


def test_a_recipe_of_any_path_is_read_with_the_shared_profile(folder, tmp_path):
    shared = tmp_path / "library"
    (shared / "profiles").mkdir(parents=True)
    (shared / "profiles" / "gpu.yaml").write_text("train: {batch_size: 512}")
    own = load_recipe(shared, str(folder / "mine.yaml"), "gpu")
    assert (own.name, own.model.image_size, own.train.batch_size) == ("mine", 224, 512)
    with pytest.raises(RecipeError, match=r"There is no recipe file .*other\.yaml"):
        load_recipe(shared, str(folder / "other.yaml"))


def test_the_name_of_a_run_replaces_the_recipes_in_its_id(folder):
    named = resolve_recipe(folder, "mine", "cpu", ["train.seed=2"], run_name="no_mixing").recipe
    assert (named.run_id, named.name) == ("no_mixing-cpu-s2", "mine")
    with pytest.raises(RecipeError, match=r"run_name: .* is not accepted: name of the run"):
        resolve_recipe(folder, "mine", run_name="../up")
    with pytest.raises(RecipeError, match="cannot be set with --set"):
        load_recipe(folder, "mine", overrides=["run_name=x"])


def test_one_frequency_correction_switches_the_other_off(folder):
    (folder / "adjusted.yaml").write_text(f"{FILE}\nloss: {{logit_adjustment: 0.5}}\n")
    weighted = resolve_recipe(folder, "adjusted", overrides=["loss.class_weights=balanced"])
    assert weighted.recipe.loss.logit_adjustment == 0
    assert weighted.recipe.loss.class_weights == "balanced"
    assert weighted.notes[0].startswith("loss.logit_adjustment=0.5 of the recipe is switched off")
    off = resolve_recipe(folder, "adjusted", overrides=["loss.class_weights=none"])
    assert (off.recipe.loss.logit_adjustment, off.notes) == (0.5, ())
    (folder / "weighted.yaml").write_text(f"{FILE}\nloss: {{class_weights: sqrt}}\n")
    adjusted = resolve_recipe(folder, "weighted", overrides=["loss.logit_adjustment=1"])
    assert adjusted.recipe.loss.class_weights == "none"


def test_two_frequency_corrections_that_are_both_wanted_are_kept_with_a_warning(folder):
    overrides = ["loss.class_weights=balanced", "loss.logit_adjustment=1"]
    both = resolve_recipe(folder, "mine", overrides=overrides)
    assert (both.recipe.loss.class_weights, both.recipe.loss.logit_adjustment) == ("balanced", 1)
    assert "corrected twice" in both.notes[0]
    (folder / "both.yaml").write_text(
        f"{FILE}\nloss: {{class_weights: sqrt, logit_adjustment: 0.5}}\n"
    )
    assert "corrected twice" in resolve_recipe(folder, "both").notes[0]
