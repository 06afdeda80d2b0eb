"""Tracking a training with Weights & Biases: only when asked for."""

from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fer_core.config import Recipe
from fer_core.engine.history import EpochRecord, Observer, StepNews
from fer_core.errors import RecipeError

Tracking = Literal["none", "offline", "online"]

PROJECT = "ferscope"


class WandbTracker(AbstractContextManager["WandbTracker"]):
    """Passes a training's news on, and logs each epoch to Weights & Biases.

    Args:
        inner: Gets all news as well.
        recipe: Logged as the run's configuration.
        name: Of the run there, so that a resumed training goes on in the same one.
        mode: `offline` writes to `wandb/` alone, to be sent later by `wandb sync`; `online` sends
            each epoch.
        folder: Where `wandb/` is made.

    Raises:
        RecipeError: If wandb is not installed.
    """

    def __init__(
        self,
        inner: Observer,
        recipe: Recipe,
        mode: Literal["offline", "online"],
        folder: Path,
        name: str,
    ) -> None:
        try:
            import wandb
        except ImportError:
            raise RecipeError(
                "Tracking needs the package wandb, which is not installed. Run: pip install wandb"
            ) from None
        self._inner = inner
        self._run: Any = wandb.init(
            project=PROJECT,
            id=name,
            resume="allow",
            mode=mode,
            dir=folder,
            config=recipe.model_dump(mode="json"),
            settings=wandb.Settings(silent=True),
        )

    def __exit__(self, kind: object, *_: object) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)

    def on_step(self, news: StepNews) -> None:
        """Passes the step on; steps are not logged."""
        self._inner.on_step(news)

    def on_epoch(self, record: EpochRecord) -> None:
        """Logs the epoch."""
        self._run.log(asdict(record), step=record.epoch, commit=True)
        self._inner.on_epoch(record)
