"""Writing model cards and the dataset card in the form of the Hugging Face hub."""

from contextlib import suppress
from pathlib import Path

import yaml

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.licences import weight_licences
from fer_core.evaluation.model_card import FILE_NAME, CardFacts, model_card
from fer_core.evaluation.persons import persons_of, resampled_units
from fer_core.evaluation.probe_text import probe_sentence
from fer_core.evaluation.regression import RegressionReport
from fer_core.evaluation.report import Report
from fer_core.evaluation.verdict import Verdict, read_verdict
from fer_core.files import write_text
from fer_core.models import spec_of
from fer_core.models.hub_folder import library_of
from fer_core.predictor.export import LIMITS
from fer_core.records import BenchmarkInfo, RunInfo

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The hub's size categories by their upper end."""


def verdict_of(benchmark: BenchmarkDir) -> Verdict | None:
    """Returns the verdict on a benchmark without constraints; None if no run can be compared."""
    with suppress(FerscopeError):
        return read_verdict(benchmark)
    return None


def card_facts(run: RunDir, repository: str = "", verdict: Verdict | None = None) -> CardFacts:
    """Collects what a run's model card reports.

    Args:
        run: A finished run.
        repository: `owner/name` on the hub, for the code example.
        verdict: Verdict on its benchmark without constraints.

    Raises:
        ArtifactError: If the run or its report is missing or damaged.
    """
    info, benchmark = run.info(), run.benchmark.info()
    can = abilities_of(run, info)
    second, regression = run.second_report_path, run.regression_report_path
    test = run.benchmark.samples().query("split == 'test'")
    return CardFacts(
        info,
        Report.read(run.report_path),
        benchmark,
        weight_licences(info, run.benchmark.find_run),
        LIMITS,
        _library(info) if can.predicts else "",
        repository,
        Report.read(second) if second.is_file() else None,
        RegressionReport.read(regression) if regression.is_file() else None,
        probe_sentence(run),
        verdict,
        "" if can.predicts else can.reason,
        resampled_units(persons_of(test), transferred=benchmark.transferred_from is not None),
    )


def _library(info: RunInfo) -> str:
    if info.kind != "network" or info.trained_elsewhere:
        return ""
    recipe = parse_recipe(info.recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (a network's recipe)
    return library_of(spec_of(recipe.model), recipe.model) or ""


def write_model_card(run: RunDir, verdict: Verdict | None) -> Path:
    """Writes the model card of a run into its folder, and returns the file.

    Args:
        run: A finished run.
        verdict: Result of `verdict_of` for the benchmark.
    """
    path = run.root / FILE_NAME
    write_text(path, model_card(card_facts(run, verdict=verdict)))
    return path


def write_dataset_card(benchmark: BenchmarkDir) -> Path:
    """Writes the dataset card of a benchmark with the hub's metadata, and returns the file.

    Raises:
        ArtifactError: If the benchmark has no `CARD.md`.
    """
    if not benchmark.card_text_path.is_file():
        raise ArtifactError(
            f"{benchmark.name} has no CARD.md. Prepare it again: `python -m training prepare`."
        )
    header = yaml.safe_dump(dataset_metadata(benchmark.info()), sort_keys=False, width=100)
    text = benchmark.card_text_path.read_text(encoding="utf-8")
    path = benchmark.root / FILE_NAME
    write_text(path, f"---\n{header}---\n\n{text}")
    return path


def dataset_metadata(info: BenchmarkInfo) -> dict[str, object]:
    """Returns the metadata of a dataset card, after the hub's specification.

    The licence is `other`: each source has its own, which the card names.
    """
    images = sum(sum(row.values()) for row in info.counts.values())
    size = next((name for limit, name in _SIZES if images < limit), "n>1M")
    return {
        "pretty_name": info.title,
        "license": "other",
        "license_name": "see-sources",
        "license_link": FILE_NAME,
        "task_categories": ["image-classification"],
        "size_categories": [size],
        "tags": ["facial-expression-recognition", "ferscope"],
        "dataset_info": {
            "features": [
                {"name": "image", "dtype": "image"},
                {
                    "name": "label",
                    "dtype": {"class_label": {"names": dict(enumerate(info.labels))}},
                },
            ],
            "splits": [
                {"name": split, "num_examples": sum(row.values())}
                for split, row in info.counts.items()
            ],
        },
    }
