"""A run that ships results without weights is ranked, and offered nowhere for new images."""

import shutil

import pytest

from fer_core.artifacts import ArtifactStore
from tests.support.pages import problems, texts

RUN = "efficientnet_lite0-cpu-s0"
PAGES = (
    "overview", "leaderboard", "errors", "trust", "features", "saliency", "regions", "compare",
    "video", "response_curves", "run",
)  # fmt: skip


@pytest.fixture(scope="module")
def artifacts(toy, tmp_path_factory):
    copied = shutil.copytree(toy.artifacts, tmp_path_factory.mktemp("no_weights") / "artifacts")
    ArtifactStore(copied).benchmark("toy").run(RUN).weights_path.unlink()
    return copied


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(page, open_page, artifacts):
    app = open_page(page, artifacts)
    assert not app.exception
    assert not app.error
    assert not problems(app)


@pytest.mark.parametrize("page", ["saliency", "features", "run"])
def test_a_link_to_the_run_says_that_it_has_no_weights(page, open_page, artifacts):
    app = open_page(page, artifacts, run=RUN)
    assert not app.exception
    assert "no weights" in texts(app)
