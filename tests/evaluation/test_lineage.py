"""Lineages by hand: what a run was made from, what is gone, and who descends from whom."""

import pytest

from fer_core.evaluation.lineage import Edge, Link, Status, trace_lineage
from fer_core.records import RunInfo
from tests.support.run_infos import run_info as run

DAYS = {name: f"2026-01-0{day}T00:00:00+00:00" for day, name in enumerate("abcdef", start=1)}


def traced(root: RunInfo, *others: RunInfo):
    runs = {("toy", info.run_id): info for info in (root, *others)}
    return trace_lineage(root, "toy", lambda benchmark, name: runs.get((benchmark, name)))


def links(lineage):
    """Returns the edges by name."""
    names = {key: node.name for key, node in lineage.ancestors.items()}
    return {(names[edge.child], names[edge.parent], edge.link) for edge in lineage.edges}


def test_the_lineage_of_an_ensemble_reaches_initial_weights():
    a = run("a", DAYS["a"], init="imagenet", init_source="weights 1.0")
    b = run("b", DAYS["b"], teachers={"a": DAYS["a"]})
    c = run("c", DAYS["c"], init="checkpoint", init_source="run toy/a")
    both = run(
        "both", DAYS["d"], kind="ensemble", init="members", init_source="b, c",
        members=("b", "c"), teachers={"a": DAYS["a"], "b": DAYS["b"], "c": DAYS["c"]},
    )  # fmt: skip
    lineage = traced(both, a, b, c)
    assert links(lineage) == {
        ("both", "b", Link.MEMBER),
        ("both", "c", Link.MEMBER),
        ("b", "random weights", Link.INIT),
        ("b", "a", Link.TEACHER),
        ("c", "a", Link.INIT),
        ("a", "imagenet: weights 1.0", Link.INIT),
    }  # the candidate that was not taken is no ancestor by itself
    root = lineage.ancestors[lineage.root]
    assert (root.name, root.status) == ("both", Status.PRESENT)
    assert lineage.is_repeatable
    assert lineage.problems == ()


def test_initial_weights_without_a_benchmark_are_of_the_same_one():
    """`adapt` of earlier versions named the run alone."""
    adapted = run("a-adapted", DAYS["b"], init="checkpoint", init_source="run a")
    lineage = traced(adapted, run("a", DAYS["a"]))
    assert ("a-adapted", "a", Link.INIT) in links(lineage)
    assert lineage.is_repeatable


def test_a_member_of_unknown_training_is_the_present_one():
    pair = run("pair", DAYS["c"], kind="ensemble", init="members", members=("a", "b"))
    lineage = traced(pair, run("a", DAYS["a"]), run("b", DAYS["b"]))
    assert {link for link in links(lineage) if link[0] == "pair"} == {
        ("pair", "a", Link.MEMBER),
        ("pair", "b", Link.MEMBER),
    }
    assert lineage.is_repeatable


def test_a_retrained_teacher_counts_as_missing():
    student = run("student", DAYS["b"], teachers={"a": DAYS["a"]})
    lineage = traced(student, run("a", DAYS["c"], init="imagenet"))
    (missing,) = lineage.vanished
    assert (missing.name, missing.created, missing.status) == ("a", DAYS["a"], Status.RETRAINED)
    # what the present training of a was made from says nothing about the one that is gone
    assert {edge.parent for edge in lineage.edges if edge.child == missing.key} == set()
    assert lineage.problems == (
        f"The run a of {DAYS['a']} was overwritten by a later training; teacher of student.",
    )
    assert not lineage.is_repeatable


def test_a_deleted_teacher_and_a_file_are_named():
    student = run(
        "student", DAYS["b"], init="checkpoint", init_source="model.safetensors",
        teachers={"a": DAYS["a"]},
    )  # fmt: skip
    lineage = traced(student)
    assert {node.status for node in lineage.vanished} == {Status.MISSING, Status.FILE}
    assert lineage.problems == (
        "The file model.safetensors belongs to no run; initial weights of student.",
        f"The run a of {DAYS['a']} is missing; teacher of student.",
    )


def test_files_of_equal_name_are_different_ancestors():
    one = run("one", DAYS["a"], init="checkpoint", init_source="model.safetensors")
    two = run(
        "two", DAYS["b"], init="checkpoint", init_source="model.safetensors",
        teachers={"one": DAYS["a"]},
    )  # fmt: skip
    assert len(traced(two, one).vanished) == 2


def test_a_run_initialised_from_itself_is_not_repeatable():
    again = run("a", DAYS["b"], init="checkpoint", init_source="run toy/a")
    lineage = traced(again)
    assert lineage.cycles == (("a",),)
    assert lineage.problems[0] == "a descends from an earlier training of itself."
    assert [node.status for node in lineage.vanished] == [Status.RETRAINED]


def test_initial_weights_retrained_later_count_as_missing():
    child = run("child", DAYS["b"], init="checkpoint", init_source="run toy/a")
    assert traced(child, run("a", DAYS["a"])).is_repeatable
    (missing,) = traced(child, run("a", DAYS["c"])).vanished
    assert (missing.name, missing.status) == ("a", Status.RETRAINED)


def test_circular_teachers_are_named_once():
    # a (day 1) taught b (day 2), which taught the a of day 3; c stands outside
    b = run("b", DAYS["b"], teachers={"a": DAYS["a"]})
    a = run("a", DAYS["c"], teachers={"b": DAYS["b"]})
    c = run("c", DAYS["d"], teachers={"a": DAYS["c"], "b": DAYS["b"]})
    lineage = traced(c, a, b)
    assert lineage.cycles == (("a", "b"),)
    assert lineage.problems[0] == "a and b descend from one another."
    assert not lineage.is_repeatable


def test_circular_references_end():
    a = run("a", DAYS["a"], teachers={"b": DAYS["b"]})
    b = run("b", DAYS["b"], teachers={"a": DAYS["a"]})
    lineage = traced(a, b)
    assert {(edge.link) for edge in lineage.edges} == {Link.INIT, Link.TEACHER}
    assert lineage.cycles == (("a", "b"),)
    assert lineage.vanished == ()
    assert not lineage.is_repeatable


def test_the_lineage_follows_runs_of_other_benchmarks():
    base = run("vit", DAYS["a"], teachers={"x": DAYS["a"]})
    adapter = run("lora", DAYS["b"], init="checkpoint", init_source="run other/vit")
    runs = {("other", "vit"): base, ("other", "x"): run("x", DAYS["a"])}
    lineage = trace_lineage(adapter, "toy", lambda *name: runs.get(name))
    assert [node.benchmark for node in lineage.ancestors.values()] == ["toy", "other", "", "other"]
    assert lineage.is_repeatable


@pytest.mark.parametrize(
    ("init", "source", "name"),
    [
        ("face", "HSE", "face: HSE"),
        ("imagenet", "", "imagenet"),
        ("checkpoint", "hub timm/vit", "hub timm/vit"),
        ("elsewhere", "model.onnx", "model.onnx"),
    ],
)
def test_published_weights_are_initial_weights(init, source, name):
    info = run("a", DAYS["a"], init=init, init_source=source)
    lineage = traced(info)
    (edge,) = lineage.edges
    assert lineage.ancestors[edge.parent].name == name
    assert lineage.ancestors[edge.parent].status is Status.START
    assert lineage.ancestors[edge.parent].run is None
    assert edge == Edge(lineage.root, edge.parent, Link.INIT)
