"""`python -m training embed`, and the pages that read its file."""

import shutil

import pytest
from typer.testing import CliRunner

from fer_core.data.embedding_index import EmbeddingIndex
from tests.support.pages import galleries, texts
from training import __main__ as cli

RUN = "resnet34-cpu-s0"


@pytest.fixture
def embed(toy, benchmark_copy):
    """Returns a function that runs the command on a copy of the toy benchmark."""

    def run(*arguments: str) -> str:
        artifacts = ["--artifacts", str(benchmark_copy.root.parent), "--data", str(toy.data)]
        result = CliRunner().invoke(
            cli.app, ["embed", "toy", *arguments, *artifacts, "--device", "cpu"]
        )
        return f"{result.exit_code} {result.output} {result.exception}"

    return run


def test_every_picture_is_embedded_once(embed, toy, benchmark_copy):
    said = embed(RUN)
    assert f"{len(toy.dataset.samples)} images embedded" in said
    index = EmbeddingIndex.read(benchmark_copy.run(RUN).embeddings_path)
    assert sorted(index.ids) == sorted(toy.dataset.samples["id"])
    assert "embedded before" in embed(RUN)
    # other weights: again
    other = benchmark_copy.run("efficientnet_lite0-cpu-s1").weights_path
    shutil.copy(other, benchmark_copy.run(RUN).weights_path)
    assert index.made_of != benchmark_copy.run(RUN).embedding_key


def test_an_ensemble_has_no_embedding(embed):
    assert "is an ensemble" in embed("pair-cpu")


def test_pages_show_the_nearest_training_images_by_embedding(embed, open_page, toy, benchmark_copy):
    artifacts = benchmark_copy.root.parent
    test = toy.dataset.samples.query("split == 'test'")["id"].iloc[0]
    app = open_page("errors", artifacts, toy.data, run=RUN, sample=test)
    assert not app.exception
    assert any(code.value == f"python -m training embed toy {RUN}" for code in app.code)
    embed(RUN)
    app = open_page("errors", artifacts, toy.data, run=RUN, sample=test)
    assert not app.exception
    (by_embedding,) = [shown for shown in galleries(app) if "cos = " in shown]
    assert by_embedding.count("<figure>") == 6
    app = open_page(
        "compare", artifacts, toy.data, run=RUN, view="Similar pictures", face="Test sample",
        picture=test,
    )  # fmt: skip
    assert not app.exception
    (by_embedding,) = [shown for shown in galleries(app) if "cos = " in shown]
    assert by_embedding.count("<figure>") == 8
    assert "the embedding of" in texts(app)
