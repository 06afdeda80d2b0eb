"""Each run's evidence and default method: the one place that pages, commands and services ask."""

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import ModelConfig, Recipe, parse_recipe
from fer_core.errors import ArtifactError
from fer_core.evaluation.ensemble import members_changed
from fer_core.explain.evidence import RunEvidence, read_evidence
from fer_core.explain.tables import MEMBERS
from fer_core.records import RunInfo


def config_of(info: RunInfo) -> ModelConfig | None:
    """Returns how a run's network was built; None if it has no network of its own."""
    if info.kind != "network":
        return None
    recipe = parse_recipe(info.recipe)
    return recipe.model if isinstance(recipe, Recipe) else None


def run_evidence(benchmark: BenchmarkDir, run: RunDir, info: RunInfo) -> RunEvidence:
    """Returns the evidence for a run's methods; empty if nothing was measured.

    It is also empty for an ensemble with a retrained member: its maps are others now.
    """
    if info.kind == "ensemble" and members_changed(run):
        return RunEvidence()
    return read_evidence(run, made_of(info), members_methods(benchmark, info))


def default_of(benchmark: BenchmarkDir, run: RunDir, info: RunInfo) -> str:
    """Returns the key of a run's default method.

    The fastest method that beats both baselines on this run (`RunEvidence.default`). If nothing
    was measured: the default of the network's family, `MEMBERS` for an ensemble, and occlusion
    for an imported ONNX file.
    """
    measured = run_evidence(benchmark, run, info).default
    if measured is not None:
        return measured
    from fer_core.explain.methods import default_method

    return MEMBERS if info.kind == "ensemble" else default_method(config_of(info))


def made_of(info: RunInfo) -> str:
    """Returns `MeasurementProtocol.run` of a run."""
    return f"{info.run_id} {info.created}"


def members_methods(benchmark: BenchmarkDir, info: RunInfo) -> str:
    """Returns `MeasurementProtocol.members` of a run: its members' default methods."""
    methods = []
    for member in info.members:
        run = benchmark.run(member)
        try:
            methods.append(f"{member}: {default_of(benchmark, run, run.info())}")
        except ArtifactError:
            methods.append(f"{member}: missing")
    return ", ".join(methods)
