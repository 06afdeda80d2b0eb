"""The commands that write cards, for every kind of run."""

import pytest
from huggingface_hub import DatasetCard, ModelCard
from typer.testing import CliRunner

from fer_core.artifacts import ArtifactStore
from fer_core.data.prepare import PROTOCOL
from fer_core.errors import ArtifactError
from fer_core.project import ROOT
from tests.support.builders import toy_benchmark
from training import __main__ as cli
from training.jobs.cards import card_facts


def run(*arguments):
    result = CliRunner().invoke(cli.app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_each_run_and_the_dataset_get_a_card(tmp_path):
    toy = toy_benchmark(tmp_path)
    run("card", "toy", "--artifacts", toy.artifacts)
    for found in toy.benchmark.runs():
        card = ModelCard.load(found.root / "README.md")
        assert card.data.eval_results[0].metric_type == "accuracy"
    assert (
        "averages the probabilities of"
        in (toy.benchmark.run("pair-cpu").root / "README.md").read_text()
    )
    bare = toy.benchmark.run("resnet34-cpu-s0")
    assert "has results but no weights" not in (bare.root / "README.md").read_text()
    bare.weights_path.unlink()
    run("card", "toy", "--run", bare.run_id, "--artifacts", toy.artifacts)
    text = (bare.root / "README.md").read_text()
    assert "has results but no weights" in text
    assert "library_name" not in text
    run("card", "toy", "--dataset", "--artifacts", toy.artifacts)
    card = DatasetCard.load(toy.benchmark.root / "README.md")
    info = toy.benchmark.info()
    assert card.data.task_categories == ["image-classification"]
    assert card.data.size_categories == ["n<1K"]
    splits = {item["name"]: item["num_examples"] for item in card.data.dataset_info["splits"]}
    assert splits == {split: sum(row.values()) for split, row in info.counts.items()}
    assert toy.benchmark.card_text_path.read_text() in card.content
    with pytest.raises(ArtifactError, match="no finished run 'gone'"):
        run("card", "toy", "--run", "gone", "--artifacts", toy.artifacts)


@pytest.mark.parametrize(
    ("name", "library"),
    [("resnet34-cpu-s0", "timm"), ("hf_vit-cpu-s0", "transformers"), ("scratch_vit-cpu-s0", ""),
     ("fer", "")],
)  # fmt: skip
def test_the_library_of_shipped_runs(name, library):
    found = ArtifactStore(ROOT / "artifacts").benchmark("ferplus").run(name)
    assert card_facts(found).library == library


@pytest.mark.parametrize("name", ["ferplus", "fer2013", "synthetic"])
def test_cards_of_shipped_benchmarks_state_the_current_protocol(name):
    benchmark = ArtifactStore(ROOT / "artifacts").benchmark(name)
    assert benchmark.info().protocol == PROTOCOL
    assert PROTOCOL in benchmark.card_text_path.read_text()
    for found in benchmark.runs():
        assert f"- {PROTOCOL}\n" in (found.root / "README.md").read_text()
