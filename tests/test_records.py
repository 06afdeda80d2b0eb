"""Names of runs, from their ids and titles."""

import pytest

from fer_core.records import family_of, shown_titles


@pytest.mark.parametrize(
    ("run_id", "family"),
    [
        ("resnet34-cpu-s12", "resnet34-cpu"),
        ("pair-cpu", "pair-cpu"),
        ("my-s3-net-gpu-s0", "my-s3-net-gpu"),
    ],
)
def test_runs_that_differ_in_their_seed_are_one_family(run_id, family):
    assert family_of(run_id) == family


def test_the_lowest_seed_keeps_the_title_and_others_are_named_by_theirs():
    titles = {"net-cpu-s10": "Net", "net-cpu-s2": "Net", "net-cpu-s0": "Net", "vit-cpu-s1": "ViT"}
    assert shown_titles(titles) == {
        "net-cpu-s10": "Net, seed 10",
        "net-cpu-s2": "Net, seed 2",
        "net-cpu-s0": "Net",
        "vit-cpu-s1": "ViT",
    }


@pytest.mark.parametrize(
    "other", ["net-gpu-s0", "net_small-cpu-s1", "face-api"], ids=["profile", "recipe", "imported"]
)
def test_other_runs_with_the_same_title_are_named_by_their_id(other):
    shown = shown_titles({"net-cpu-s0": "Net", other: "Net"})
    assert shown == {"net-cpu-s0": "Net (net-cpu-s0)", other: f"Net ({other})"}
