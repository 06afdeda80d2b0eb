"""Slices: against scipy's exact test, by hand, and what must not be found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.slices import (
    MAX_GROUPS,
    MAX_PERSONS,
    PERSON,
    Slice,
    facets,
    slice_mask,
    worst_slices,
)
from tests.support.constructed import make_scores, random_scores


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Categorical(values) for name, values in columns.items()})


def test_slice_tests_equal_scipys():
    group = np.array(["a"] * 40 + ["b"] * 60)
    wrong = np.zeros(100, dtype=bool)
    wrong[:12] = wrong[40:45] = True
    (worst,) = worst_slices(wrong, table(source=group), depth=1)
    expected = stats.fisher_exact([[12, 28], [5, 55]], alternative="greater").pvalue
    assert worst.conditions == (("source", "a"),)
    assert (worst.samples, worst.errors) == (40, 12)
    assert (worst.rate, worst.elsewhere) == (0.3, pytest.approx(5 / 60))
    assert worst.p_value == pytest.approx(expected)
    assert worst.adjusted == pytest.approx(2 * expected)  # two groups were tested
    assert worst.significant
    assert worst.statement.startswith(
        "Where source is a, 30.0% of 40 predictions are wrong, against 8.3% elsewhere "
        "(corrected p = 0.0"
    )


def test_an_intersection_with_the_errors_is_found():
    random = np.random.default_rng(0)
    light = random.choice(["dark", "bright"], 2000)
    face = random.choice(["fear", "happy"], 2000)
    wrong = np.where((light == "dark") & (face == "fear"), random.random(2000) < 0.5, False)
    result = worst_slices(wrong, table(light=light, face=face))
    both, light_alone, face_alone = result  # the overlap, then what it is made of
    assert set(both.conditions) == {("light", "dark"), ("face", "fear")}
    assert light_alone.conditions == (("light", "dark"),)
    assert face_alone.conditions == (("face", "fear"),)
    assert both.significant
    assert both.elsewhere == 0


@pytest.mark.parametrize("order", [["light", "coin"], ["coin", "light"]])
def test_an_intersection_without_further_errors_is_not_significant(order):
    random = np.random.default_rng(1)
    light = random.choice(["dark", "bright"], 4000)
    coin = random.choice(["heads", "tails"], 4000)
    wrong = random.random(4000) < np.where(light == "dark", 0.4, 0.05)
    result = worst_slices(wrong, table(light=light, coin=coin)[order])
    assert result[0].conditions == (("light", "dark"),)
    assert not any(item.significant for item in result if len(item.conditions) == 2)


def test_a_slice_whose_classes_are_hard_is_not_significant():
    truth = np.array(["fear"] * 300 + ["happy"] * 700)
    # dark: 200 of fear, 100 of happy; half of fear is wrong, a twentieth of happy, dark or not
    light = np.array((["dark"] * 200 + ["bright"] * 100) + (["dark"] * 100 + ["bright"] * 600))
    wrong = np.concatenate([np.arange(300) % 2 == 0, np.arange(700) % 20 == 0])
    groups = table(light=light, **{"class": truth})
    by_name = {item.name: item for item in worst_slices(wrong, groups, depth=1)}
    assert by_name["class: fear"].significant
    assert by_name["class: fear"].same_classes is None
    dark = by_name["light: dark"]
    assert (dark.rate, dark.elsewhere) == (105 / 300, 80 / 700)
    assert dark.same_classes == pytest.approx((200 * 0.5 + 100 * 0.05) / 300)
    assert not dark.significant
    assert "against 35.0% elsewhere at the same class frequencies (not" in dark.statement
    without = worst_slices(wrong, groups[["light"]], depth=1)[0]
    assert (without.name, without.significant, without.same_classes) == ("light: dark", True, None)


def test_a_slice_that_is_worse_within_each_class_is_significant():
    truth = np.array(["fear"] * 300 + ["happy"] * 700)
    light = np.array((["dark"] * 200 + ["bright"] * 100) + (["dark"] * 100 + ["bright"] * 600))
    wrong = (light == "dark") & (np.arange(1000) % 2 == 0)
    groups = table(light=light, **{"class": truth})
    dark = next(item for item in worst_slices(wrong, groups) if item.name == "light: dark")
    assert dark.significant
    assert (dark.rate, dark.elsewhere, dark.same_classes) == (0.5, 0.0, 0.0)


def test_the_false_positive_rate_is_bounded():
    alarms = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        groups = table(**{f"f{i}": random.integers(0, 4, 600).astype(str) for i in range(4)})
        alarms += any(item.significant for item in worst_slices(random.random(600) < 0.2, groups))
    assert alarms <= 5  # 5% of 40 is 2


def test_small_slices_and_perfect_models_have_no_weak_slices():
    groups = table(source=["a"] * 10 + ["b"] * 90)
    assert worst_slices(np.zeros(100, dtype=bool), groups) == []
    assert worst_slices(np.arange(100) < 10, groups, min_size=30) == []
    assert worst_slices(np.arange(100) >= 10, groups, min_size=30) == []  # 10 are outside
    assert [item.name for item in worst_slices(np.arange(100) < 5, groups, min_size=10)] == [
        "source: a"
    ]
    assert worst_slices(np.arange(100) % 10 == 0, groups, min_size=10) == []  # 10% in both
    assert worst_slices(np.array([True]), table(source=["a"])) == []


@given(st.integers(0, 1000))
def test_slices_are_independent_of_order(seed):
    random = np.random.default_rng(seed)
    groups = table(
        a=random.integers(0, 3, 200).astype(str), b=random.integers(0, 2, 200).astype(str)
    )
    wrong = random.random(200) < 0.3
    order = random.permutation(200)
    first = worst_slices(wrong, groups, min_size=5)
    second = worst_slices(wrong[order], groups.iloc[order].reset_index(drop=True), min_size=5)
    assert first == second


def test_facets_are_built_from_columns_with_groups():
    scores = random_scores(80, classes=2)
    samples = pd.DataFrame(
        {
            "id": scores.ids,
            "brightness": np.arange(80.0),
            "flat": 1.0,
            "source": ["one", "two"] * 40,
            "sha1": [f"{i:x}" for i in range(80)],
            "leak": [True] + [False] * 79,
            "key": [f"key-{i}" for i in range(80)],
            "votes_angry": 1,
        }
    ).set_index("id", drop=False)
    groups = facets(samples, scores)
    assert list(groups) == [
        "class",
        "brightness",
        "source",
        "duplicate in the original training data",
    ]
    assert groups["brightness"].value_counts().tolist() == [20, 20, 20, 20]
    assert groups["brightness"].iloc[0] == "darkest quarter"
    assert groups["brightness"].iloc[79] == "brightest quarter"


@pytest.mark.parametrize(
    ("name", "values", "groups"),
    [
        ("size", np.arange(40)[::-1] % MAX_GROUPS, [str(value) for value in range(MAX_GROUPS)]),
        ("size", np.arange(84) % (MAX_GROUPS + 1), ["lowest quarter", "second-lowest quarter",
                                                    "second-highest quarter", "highest quarter"]),
        ("sharpness", np.arange(8.0), ["blurriest quarter", "second-blurriest quarter",
                                       "second-sharpest quarter", "sharpest quarter"]),
        # more than half are 0: only 0, the lower and the upper half of the rest are told apart
        ("size", [0.0] * 11 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
         ["group 1 of 3", "group 2 of 3", "group 3 of 3"]),
        ("source", ["two", "one", "three", "two"], ["one", "three", "two"]),
    ],
)  # fmt: skip
def test_the_groups_of_a_property_are_ordered_and_named(name, values, groups):
    scores = random_scores(len(values), classes=2)
    column = facets(pd.DataFrame({name: values}, index=list(scores.ids)), scores)[name]
    assert column.cat.categories.tolist() == groups
    assert column.value_counts().min() > 0


def test_votes_give_a_facet():
    scores = random_scores(3, classes=2)
    votes = Votes(np.array([[10.0, 0.0], [6.0, 4.0], [0.0, 0.0]]), np.zeros((3, 0)))
    groups = facets(pd.DataFrame(index=list(scores.ids)), scores, votes)
    assert list(groups) == ["class", "annotator agreement"]
    codes, names = votes.agreement_groups()
    assert groups["annotator agreement"].tolist()[:2] == [names[code] for code in codes[:2]]
    assert groups["annotator agreement"].isna().tolist() == [False, False, True]


def test_a_slice_is_stated_with_all_its_conditions():
    dark = Slice(
        (("brightness", "darkest quarter"), ("source", "web")), 1200, 300, 0.25, 0.1, 0.2, 0.4
    )
    assert dark.statement == (
        "Where brightness is in the darkest quarter and source is web, 25.0% of 1,200 predictions "
        "are wrong, against 10.0% elsewhere (not significant)."
    )


@pytest.mark.parametrize("missing", ["a", "b"])
def test_an_image_without_a_group_is_in_no_overlap(missing):
    parts = {"a": ["x"] * 60 + ["y"] * 40, "b": ["p", "q"] * 50}
    parts[missing] = [None if row < 20 else group for row, group in enumerate(parts[missing])]
    wrong = np.array([row < 60 and row % 2 == 0 for row in range(100)])
    result = worst_slices(wrong, table(**parts), min_size=5)
    (both,) = [item for item in result if len(item.conditions) == 2]
    # of the 30 images that are x and p, all wrong, ten have no group
    assert both.conditions == (("a", "x"), ("b", "p"))
    assert (both.samples, both.errors, both.elsewhere) == (20, 20, 10 / 80)


def test_an_unknown_sample_is_in_no_group():
    scores = make_scores([0, 1], [[0.5, 0.5], [0.5, 0.5]])
    samples = pd.DataFrame({"id": ["s/00000"], "source": ["one"]}).set_index("id", drop=False)
    groups = facets(samples, scores)
    assert list(groups) == ["class"]


def test_inside_combines_facets_by_and_and_groups_by_or():
    groups = table(a=["x", "x", "y"], b=["p", "q", "p"])
    np.testing.assert_array_equal(slice_mask(groups, [("a", "x"), ("a", "y")]), [True] * 3)
    both = [("a", "x"), ("b", "p"), ("b", "q")]
    np.testing.assert_array_equal(slice_mask(groups, both), [True, True, False])
    np.testing.assert_array_equal(
        slice_mask(groups, [("a", "x"), ("b", "p")]), [True, False, False]
    )
    np.testing.assert_array_equal(slice_mask(groups, []), [True] * 3)
    np.testing.assert_array_equal(slice_mask(groups, [("a", "nonsense")]), [False] * 3)
    np.testing.assert_array_equal(slice_mask(groups, [("nonsense", "x")]), [False] * 3)


def test_persons_are_a_facet_if_there_are_between_two_and_a_few_hundred():
    count = MAX_PERSONS + 1
    scores = random_scores(count, 2)
    for persons, found in ((1, 0), (2, 2), (MAX_PERSONS, MAX_PERSONS), (count, 0)):
        names = [f"P{row % persons:03d}" for row in range(count)]
        samples = pd.DataFrame({"group": names}, index=pd.Index(scores.ids, name="id"))
        groups = facets(samples, scores)
        assert (PERSON in groups) == bool(found)
        if found:
            assert list(groups[PERSON]) == names
            assert len(groups[PERSON].cat.categories) == found
            assert slice_mask(groups, [(PERSON, "P001")]).sum() == names.count("P001")


def test_images_without_a_person_are_in_no_group_of_persons():
    scores = random_scores(4, 2)
    samples = pd.DataFrame({"group": ["a", "b", None, "-1"]}, index=scores.ids)
    assert facets(samples, scores)[PERSON].cat.codes.tolist() == [0, 1, -1, -1]
