"""A run that was adapted to a transferred set, on every page of that set."""

import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.lineage import trace_lineage
from tests.support.builders import toy_benchmark
from tests.support.pages import problems, texts
from tests.support.transfers import coloured_transfer
from training.jobs.adapt import adapt

RUN = "efficientnet_lite0-cpu-s0"
ADAPTED = f"{RUN}-adapted"
PAGES = (
    "overview", "explorer", "leaderboard", "confusion", "errors", "head_to_head", "trust",
    "features", "saliency", "regions", "response_curves", "compare", "your_faces", "label", "run",
)  # fmt: skip


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A toy benchmark and the name of the set, with the run and what was adapted from it."""
    root = tmp_path_factory.mktemp("adapted")
    toy = toy_benchmark(root / "toy")
    benchmark = coloured_transfer(toy, root / "mine", RUN)
    adapt(benchmark, toy.data, RUN)
    return toy, benchmark.name


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(page, open_page, adapted):
    toy, name = adapted
    app = open_page(page, toy.artifacts, toy.data, benchmark=name, run=ADAPTED)
    assert not app.exception
    assert not app.error
    assert not problems(app)


def test_it_descends_from_the_run_of_the_benchmark(open_page, adapted):
    toy, name = adapted
    shown = texts(open_page("leaderboard", toy.artifacts, toy.data, benchmark=name, run=ADAPTED))
    assert "cannot be trained again" not in shown
    lineage = trace_lineage(
        ArtifactStore(toy.artifacts).benchmark(name).run(ADAPTED).info(),
        name,
        lambda home, run: ArtifactStore(toy.artifacts).benchmark(home).run(run).info(),
    )
    assert ("toy", RUN) in {node.run for node in lineage.ancestors.values()}
    assert lineage.is_repeatable


@pytest.mark.parametrize("page", ["trust", "response_curves"])
def test_commands_that_refuse_a_transferred_set_are_not_offered(page, open_page, adapted):
    toy, name = adapted
    app = open_page(page, toy.artifacts, toy.data, benchmark=name, run=ADAPTED)
    assert not app.code
    assert "measured on the benchmark that mine" in texts(app)
    (link, *_) = [item for item in app.get("page_link") if "of toy" in item.proto.label]
    assert "benchmark=toy" in link.proto.query_string


def test_a_source_without_a_reference_has_no_empty_brackets(open_page, adapted):
    toy, name = adapted
    shown = texts(open_page("overview", toy.artifacts, toy.data, benchmark=name))
    assert "**mine**. Not known to FERscope" in shown
