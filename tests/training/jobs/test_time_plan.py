"""Plans of epochs for a time limit: the rules of docs/training.md, with made-up speeds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fer_core.artifacts import BenchmarkDir
from fer_core.config import EnsembleRecipe, Recipe
from fer_core.errors import RecipeError
from tests.support.builders import toy_recipe
from training.jobs.accelerator import is_compiled
from training.jobs.run_queue import FixedQueue, PlannedQueue, plannable_runs
from training.jobs.time_plan import (
    LEAST_SHARE,
    RESERVE,
    MeasuredSpeed,
    PlannableRun,
    Workload,
    plan_epochs,
    with_teaching,
)

FAST = MeasuredSpeed(training=100.0, prediction=1000.0, start_seconds=2.0)


def run(run_id: str, epochs: int = 100, images: int = 100, **more) -> PlannableRun:
    """A run of which an epoch takes `images` / 100 seconds, after a start of two seconds."""
    return PlannableRun(run_id, epochs, Workload(images, 0), more.pop("speed", FAST), **more)


def seconds(wanted: float) -> float:
    """Returns the time limit of which `wanted` seconds are planned."""
    return wanted / (1 - RESERVE)


def planned(runs, wanted: float) -> dict[str, int]:
    return {made.run_id: made.epochs for made in plan_epochs(runs, seconds(wanted)).runs}


def test_the_time_of_a_run_is_start_up_teacher_predictions_and_epochs():
    speed = MeasuredSpeed(training=50.0, prediction=200.0, start_seconds=3.0)
    one = PlannableRun("a", 10, Workload(training=100, validation=40, once=400), speed)
    # 3 s, 400 / 200 s, and ten times 100 / 50 s and 40 / 200 s
    assert one.seconds(10) == pytest.approx(3 + 2 + 10 * 2.2)


def test_the_features_of_the_hint_loss_take_time():
    speed = MeasuredSpeed(training=50.0, prediction=200.0, start_seconds=3.0)
    work = Workload(training=100, validation=40, hinted=10)
    assert PlannableRun("a", 10, work, speed).epoch_seconds == pytest.approx(2.2 + 10 / 200)
    measured = PlannableRun("a", 10, work, speed, hint_speed=20.0)
    assert measured.epoch_seconds == pytest.approx(2.2 + 10 / 20)


def test_hints_are_planned_with_the_speed_of_their_teacher(toy, tmp_path):
    distill = {"teachers": ["teacher-cpu-s0"], "hint_epochs": 1}
    teacher, student = toy_recipe("teacher"), toy_recipe("student", distill=distill)
    slow = MeasuredSpeed(training=10.0, prediction=40.0, start_seconds=2.0)
    empty = BenchmarkDir(tmp_path / "toy")
    runs = plannable_runs(
        [(0, teacher), (0, student)], {"teacher": slow, "student": FAST}, toy.dataset, empty
    )
    images = len(toy.dataset.rows("train"))
    found = runs["student-cpu-s0"]
    assert (found.workload.hinted, found.hint_speed) == (images / 2, 40.0)  # 1 of 2 epochs
    assert (runs["teacher-cpu-s0"].workload.hinted, runs["teacher-cpu-s0"].hint_speed) == (0, 0)
    alone = plannable_runs([(0, student)], {"student": FAST}, toy.dataset, empty)
    assert alone["student-cpu-s0"].hint_speed == 0  # a finished teacher was not measured


@pytest.mark.parametrize(
    ("device", "programs", "triton", "possible"),
    [
        ("cpu", {"g++"}, False, True),
        ("cpu", {"gcc"}, True, False),
        ("cuda", {"gcc"}, True, True),
        ("cuda", {"gcc"}, False, False),
        ("cuda", {"g++"}, True, False),
    ],
)
def test_auto_compiles_only_with_what_the_device_needs(
    monkeypatch, device, programs, triton, possible
):
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("shutil.which", lambda name: name if name in programs else None)
    monkeypatch.setattr(
        "training.jobs.accelerator.find_spec", lambda name: object() if triton else None
    )
    assert is_compiled("auto", torch.device(device)) is possible
    assert not is_compiled(False, torch.device(device))
    if not possible:
        needed = r"C\+\+ compiler" if device == "cpu" else "Triton and a C compiler"
        with pytest.raises(RecipeError, match=needed):
            is_compiled(True, torch.device(device))


def test_with_enough_time_every_recipe_keeps_its_epochs():
    assert planned([run("a"), run("b", 30)], 102 + 32) == {"a": 100, "b": 30}


def test_too_little_time_shortens_all_runs_by_the_same_factor():
    # of 134 s, 4 are starts; 65 s for 130 s of epochs halve them
    assert planned([run("a"), run("b", 30)], 4 + 65) == {"a": 50, "b": 15}


def test_longest_runs_first_and_ensembles_last():
    ensemble = PlannableRun("all", 0, Workload(0, 0), FAST, needs=("short", "long"))
    plan = plan_epochs([ensemble, run("short", 10), run("long", 90), run("mid", 50)], seconds(1000))
    assert [made.run_id for made in plan.runs] == ["long", "mid", "short", "all"]
    assert plan.runs[-1].seconds == 0


def test_a_teacher_is_planned_before_its_student():
    runs = [run("student", 80, needs=("teacher",)), run("teacher", 10), run("other", 85)]
    order = [made.run_id for made in plan_epochs(runs, seconds(1000)).runs]
    assert order == ["teacher", "other", "student"]  # 94, 87 and 82 s


def test_a_teachers_predictions_are_counted_once():
    taught = with_teaching([run("teacher"), run("one"), run("two")], {"teacher": 8})
    # 8 views of 100 images at 1000 images/s
    assert [made.fixed_seconds for made in taught] == pytest.approx([2.8, 2.0, 2.0])


def test_runs_that_do_not_fit_are_left_out_with_their_students():
    runs = [run("slow", 1000), run("student", 20, needs=("slow",)), run("quick", 50)]
    plan = plan_epochs(runs, seconds(60))
    assert [made.run_id for made in plan.runs] == ["quick"]
    assert plan.left_out["slow"] == "100 of 1000 epochs take 102 s, and 60 s are left"
    assert plan.left_out["student"] == "needs slow"


def test_a_run_is_not_shortened_below_its_minimum_epochs():
    # 100 s of epochs and 12 of a start for the one, 300 and 2 for the other: a tenth of both is
    # 40 s, so that 41 s leave the second one second more than its fewest epochs
    assert planned([run("one"), run("two", 300)], 4 + 41) == {"one": 10, "two": 30}
    assert planned([run("one", 5), run("two", 300)], 4 + 31) == {"one": 1, "two": 30}


def test_an_interrupted_run_costs_its_remaining_epochs():
    cut = run("cut", 100, fixed_epochs=40, done_epochs=30)
    assert cut.seconds(40) == 12
    # 12 s and 2 s of a start leave 50 s of 100
    assert planned([cut, run("new")], 12 + 2 + 50) == {"cut": 40, "new": 50}


def test_without_time_every_run_is_left_out():
    for left in (0.0, -5.0):
        plan = plan_epochs([run("a"), run("b")], left)
        assert plan.runs == ()
        assert set(plan.left_out) == {"a", "b"}


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle"):
        plan_epochs([run("a", needs=("b",)), run("b", needs=("a",))], 10)


speeds = st.builds(
    MeasuredSpeed,
    training=st.floats(1, 1e5),
    prediction=st.floats(1, 1e5),
    start_seconds=st.floats(0, 60),
)


@st.composite
def many(draw) -> list[PlannableRun]:
    made: list[PlannableRun] = []
    for index in range(draw(st.integers(0, 8))):
        needs = draw(st.sets(st.sampled_from([other.run_id for other in made]))) if made else set()
        work = Workload(draw(st.integers(1, 30000)), draw(st.integers(0, 4000)))
        made.append(
            PlannableRun(
                f"r{index}", draw(st.integers(1, 300)), work, draw(speeds), tuple(sorted(needs))
            )
        )
    return draw(st.permutations(made))


@given(many(), st.floats(0, 2000))
def test_every_plan_fits_respects_dependencies_and_lists_every_run(runs, limit):
    plan = plan_epochs(runs, limit)
    assert plan.seconds <= (1 - RESERVE) * limit + 1e-6
    order = [made.run_id for made in plan.runs]
    assert sorted([*order, *plan.left_out]) == sorted(made.run_id for made in runs)
    by_id = {made.run_id: made for made in runs}
    for place, made in enumerate(plan.runs):
        source = by_id[made.run_id]
        assert set(source.needs) <= set(order[:place])
        assert math.ceil(LEAST_SHARE * source.epochs) <= made.epochs <= source.epochs


class Clock:
    """Time that passes only when a training is said to take some."""

    def __init__(self, limit: float) -> None:
        self.left = limit

    def __call__(self) -> float:
        return self.left


def entry(name: str, epochs: int) -> tuple[int, Recipe]:
    made = toy_recipe(name)
    return 0, made.model_copy(update={"train": made.train.model_copy(update={"epochs": epochs})})


def test_the_queue_replans_before_each_run():
    both = EnsembleRecipe(kind="ensemble", name="both", profile="cpu", members=("a", "b"))
    entries = [(0, both), entry("a", 100), entry("b", 60), entry("c", 30), entry("done", 9)]
    runs = {
        made.run_id: made
        for made in (
            PlannableRun("both-cpu", 0, Workload(0, 0), FAST, ("a-cpu-s0", "b-cpu-s0")),
            run("a-cpu-s0", 100),
            run("b-cpu-s0", 60),
            run("c-cpu-s0", 30),
        )
    }
    clock = Clock(seconds(6 + 190))
    plans: list[int] = []
    queue = PlannedQueue(entries, runs, clock, lambda plan: plans.append(len(plan.runs)))

    def take() -> tuple[str, int]:
        taken = queue.take()
        assert taken is not None
        made = taken[1]
        return made.run_id, made.train.epochs if isinstance(made, Recipe) else 0

    assert take() == ("done-cpu-s0", 9)  # finished: handed out without a plan
    assert take() == ("a-cpu-s0", 100)
    clock.left = seconds(4 + 45)  # twice as slow as measured: 45 s are left of 90
    assert take() == ("b-cpu-s0", 30)
    clock.left = seconds(1)  # a tenth of 30 epochs takes 5 s
    assert take() == ("both-cpu", 0)
    assert queue.take() is None
    assert dict(queue.left_out()) == {"c-cpu-s0": "3 of 30 epochs take 5 s, and 1 s are left"}
    assert plans == [4, 3, 1]


def test_the_queue_without_a_time_limit_keeps_the_order():
    entries = [entry("b", 1), entry("a", 1)]
    queue = FixedQueue(list(entries))
    assert [queue.take(), queue.take(), queue.take()] == [*entries, None]
    assert queue.left_out() == {}
