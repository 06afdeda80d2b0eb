"""Folders of runs that other libraries load, and uploading them to the Hugging Face hub."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from fer_core.artifacts import RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.networks import load_network
from fer_core.errors import ArtifactError
from fer_core.evaluation.model_card import FILE_NAME, model_card
from fer_core.models.hub_folder import Exported, library_of, logits_of_folder, write_folder
from training.jobs.cards import card_facts, verdict_of
from training.jobs.import_export import compared_images, export_run

MAX_LOGIT_DIFFERENCE = 1e-5
"""Largest relative difference of a logit between a run and its exported folder."""

DELAY = 2.0
"""Seconds between the first two tries."""

TRIES = 4
"""Number of times that an upload is tried when the connection breaks."""


def export_folder(
    run: RunDir, folder: Path, dataset: PreparedDataset | None, repository: str = ""
) -> float:
    """Writes a run as a folder that timm or transformers loads, with its model card.

    The folder is loaded with that library and its logits are compared before it takes its place.

    Args:
        run: A trained network's run.
        folder: Must not exist, or be empty.
        dataset: Data set whose test images are compared; drawn faces if None.
        repository: `owner/name` on the hub, for the card's code example.

    Returns:
        The largest difference of a logit, relative to the largest logit where that exceeds 1.

    Raises:
        ArtifactError: If the run was not trained here, the folder has files, or logits differ.
        WeightsError: If no library loads this architecture.
    """
    _require_own_network(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder} exists and is not an empty folder. Choose another --out.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export") as temporary:
        new = Path(temporary) / "folder"
        new.mkdir()
        difference = _write_checked(run, new, dataset)
        text = model_card(card_facts(run, repository, verdict_of(run.benchmark)))
        (new / FILE_NAME).write_text(text, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        new.rename(folder)
    return difference


def _write_checked(run: RunDir, folder: Path, dataset: PreparedDataset | None) -> float:
    info = run.benchmark.info()
    network = load_network(run, SampleFormat.of(info))
    recipe = parse_recipe(network.info.recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (a network's recipe)
    inputs = network.preprocessing(compared_images(SampleFormat.of(info), dataset))
    with torch.inference_mode():
        expected = network.model(inputs)
    labels = network.info.classes.names
    library = write_folder(Exported(network.model, network.spec, recipe.model, labels), folder)
    written = logits_of_folder(folder, library, inputs)
    scale = max(1.0, float(expected.abs().max()))
    difference = float((written - expected).abs().max()) / scale
    if not difference <= MAX_LOGIT_DIFFERENCE:  # also if it is NaN
        raise ArtifactError(
            f"{library} computes other logits from the exported folder of {run.run_id} (difference "
            f"{difference:.1e}). Please report this."
        )
    return difference


def _require_own_network(run: RunDir) -> None:
    info = run.info()
    if info.kind == "ensemble":
        raise ArtifactError(f"{run.run_id} is an ensemble. Publish its members one by one.")
    if info.kind != "network" or info.trained_elsewhere:
        raise ArtifactError(
            f"{run.run_id} was imported from {info.init_source}. Share it from there: its licence "
            "is not known here."
        )


def upload_run(
    run: RunDir,
    repository: str,
    dataset: PreparedDataset | None,
    *,
    private: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> str:
    """Uploads a run to a repository of the hub, in one commit.

    A run that timm or transformers loads is uploaded as such a folder, others as ONNX; both with
    the model card, `run.json` and `report.json`. Files that are there already are not uploaded
    again, and without a change there is no commit, so the command can be repeated.

    Args:
        run: A trained network's run.
        repository: `owner/name`; created if it does not exist.
        dataset: Data set whose test images check the upload; drawn faces if None.
        private: Whether a new repository is private.
        notify: Called with a sentence on each broken connection.

    Returns:
        Address of the repository.

    Raises:
        ArtifactError: If the run was not trained here, or the hub refuses or cannot be reached.
    """
    _require_own_network(run)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / run.run_id
        _write_upload(run, folder, dataset, repository)
        return _upload(folder, repository, private=private, notify=notify)


def _write_upload(
    run: RunDir, folder: Path, dataset: PreparedDataset | None, repository: str
) -> None:
    """Writes the files that are uploaded."""
    recipe = parse_recipe(run.info().recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (a network's recipe)
    info = run.benchmark.info()
    stored = SampleFormat.of(info)
    network = load_network(run, stored)
    if library_of(network.spec, recipe.model) is not None:
        export_folder(run, folder, dataset, repository)
    else:
        folder.mkdir(parents=True)
        export_run(run, stored, folder / "model.onnx", dataset)
        text = model_card(card_facts(run, repository, verdict_of(run.benchmark)))
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
    for path in (run.info_path, run.report_path):
        shutil.copyfile(path, folder / path.name)


def _upload(folder: Path, repository: str, *, private: bool, notify: Callable[[str], None]) -> str:
    """Uploads a folder; tries again when the connection breaks.

    Raises:
        ArtifactError: If the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    for trial in range(1, TRIES + 1):
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="Upload from FERscope"
            )
        except OfflineModeIsEnabled as error:
            raise ArtifactError("HF_HUB_OFFLINE forbids the network. Unset it.") from error
        except HfHubHTTPError as error:
            raise ArtifactError(_refusal(error, repository)) from error
        except Exception as error:
            if not _is_broken_connection(error):
                raise
            if trial == TRIES:
                raise ArtifactError(
                    f"The hub cannot be reached ({error}). Nothing was changed there unless the "
                    "commit was complete; run the command again."
                ) from error
            notify(f"The connection broke ({error}); trying again.")
            time.sleep(DELAY * trial)
        else:
            return str(commit.repo_url)
    raise AssertionError  # the last trial returns or raises


def _is_broken_connection(error: Exception) -> bool:
    """Whether a connection broke; versions of the hub's client use different HTTP packages."""
    return isinstance(error, OSError) or any(
        kind.__name__ == "TransportError" for kind in type(error).__mro__
    )


def _refusal(error: Exception, repository: str) -> str:
    """Returns the hub's refusal with its remedy."""
    status = 0
    with suppress(AttributeError):
        status = int(error.response.status_code)  # type: ignore[attr-defined]
    remedy = (
        "Log in with `hf auth login`, or set HF_TOKEN to a token that may write there."
        if status in (401, 403)
        else "Check the name owner/name."
    )
    return f"The hub refuses {repository} (status {status}). {remedy}"
