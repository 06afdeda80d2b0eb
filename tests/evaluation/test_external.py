"""Predictions from elsewhere: any order, checked ids, classes and sums."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.engine.class_matching import match_classes
from fer_core.engine.table_columns import class_columns
from fer_core.errors import DataError
from fer_core.evaluation.external import (
    external_predictions,
    read_external_table,
    rounding_tolerance,
)
from fer_core.evaluation.external_ids import with_sample_ids
from fer_core.evaluation.predictions import Predictions
from fer_core.labels import LabelSet

LABELS = LabelSet(("angry", "happy", "sad"))
SAMPLES = pd.DataFrame(
    {
        "id": [f"x/{n}" for n in range(8)],
        "split": ["train", "train", "validation", "validation", "test", "test", "test", "excluded"],
        "label": ["angry", "sad", "angry", "happy", "sad", "angry", "happy", "happy"],
    }
)


def table(rows: int = 8, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).dirichlet(np.ones(3), rows)
    return pd.DataFrame(
        {"id": SAMPLES["id"][:rows], "happy": values[:, 0], "p_sad": values[:, 1]}
        | {"Anger": values[:, 2], "remark": "x"}
    )


def predictions(
    made: pd.DataFrame,
    name: str = "theirs.csv",
    mapping: dict[str, str] | None = None,
    notes: list[str] | None = None,
) -> Predictions:
    """Imports a table as the command does."""
    made, noted = with_sample_ids(made, SAMPLES, name)
    chosen = class_columns(made, LABELS, name, mapping)
    classes = match_classes(chosen.outputs, LABELS, name, chosen.mapping, "Map the columns")
    notes = [] if notes is None else notes
    notes += [*noted, *chosen.notes()]
    table = chosen.probabilities(made)
    return external_predictions(table, chosen.columns, classes, SAMPLES, name, notes.append)


def test_columns_are_matched_to_classes_and_rows_to_splits():
    made = table()
    read = predictions(made)
    test = read.split("test")
    assert test.ids.tolist() == ["x/4", "x/5", "x/6"]
    assert test.truth.tolist() == [2, 0, 1]
    np.testing.assert_allclose(test.probabilities[0], made.loc[4, ["Anger", "happy", "p_sad"]])
    assert read.split("validation").truth.tolist() == [0, 1]
    assert set(read.splits) == {"validation", "test"}


@given(order=st.permutations(range(8)), columns=st.permutations(range(5)))
def test_the_order_of_rows_and_columns_does_not_matter(order, columns):
    made = table()
    shuffled = made.iloc[list(order), list(columns)]
    first = predictions(made).split("test")
    second = predictions(shuffled).split("test")
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.ids.tolist() == second.ids.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="id"), "lacks the column 'id'"),
        (lambda t: t.drop(index=5), r"lacks 1 of the 3 samples of test, such as x/5"),
        (lambda t: pd.concat([t, t[t.id == "x/5"]]), "has the sample x/5 twice"),
        (lambda t: t.drop(columns="p_sad"), "there is no column for sad"),
        (lambda t: t.assign(p_happy=0.0), "two outputs for the class happy"),
        (lambda t: t.assign(happy=t.happy * 100), "are invalid"),
        (lambda t: t.assign(happy=-t.happy, p_sad=t.p_sad + 2 * t.happy), "are invalid"),
        (lambda t: t.assign(happy=t.happy + 0.021), r"theirs\.csv: .* are invalid"),
        (lambda t: t.assign(happy=np.nan), "are invalid"),
        (lambda t: t.assign(happy="often"), "values that are not numbers"),
    ],
)
def test_a_table_that_does_not_fit_is_named(change, message):
    with pytest.raises(DataError, match=message):
        predictions(change(table()))


def test_probabilities_rounded_to_three_decimals_are_accepted():
    made = table()
    made.loc[:, ["happy", "p_sad", "Anger"]] = [[0.334, 0.334, 0.334]] * 8
    read = predictions(made).split("test")
    np.testing.assert_allclose(read.probabilities, 1 / 3)


def test_other_classes_are_left_out_and_the_rest_renormalised():
    """Found in the field: eight columns of an eight-class library, without a prefix."""
    made = pd.DataFrame({"id": SAMPLES["id"], "Anger": 0.1, "Contempt": 0.2, "Happiness": 0.5})
    made["Sadness"], made["face"], made["cropped"] = 0.2, "frontal", False
    made.loc[5, ["Anger", "Contempt", "Happiness", "Sadness"]] = [0.0, 1.0, 0.0, 0.0]
    columns = class_columns(made, LABELS, "t").columns
    assert columns == ("Anger", "Contempt", "Happiness", "Sadness")
    assert match_classes(columns, LABELS, "t").left_out == ("contempt",)
    read = predictions(made).split("test")
    np.testing.assert_allclose(read.probabilities[0], [1 / 8, 5 / 8, 2 / 8])
    np.testing.assert_allclose(read.probabilities[1], 1 / 3)  # nothing but contempt


def test_a_missing_class_gets_no_probability():
    made = pd.DataFrame({"id": SAMPLES["id"], "angry": 0.25, "sad": 0.75})
    np.testing.assert_allclose(predictions(made).split("test").probabilities[0], [0.25, 0, 0.75])


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".pq", ".PQ"])
def test_csv_and_parquet_are_read(tmp_path, ending):
    made, path = table(), tmp_path / f"t{ending}"
    made.to_csv(path, index=False) if ending == ".csv" else made.to_parquet(path)
    read = predictions(read_external_table(path))
    expected = predictions(made)
    np.testing.assert_allclose(
        read.split("test").probabilities, expected.split("test").probabilities, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"", "is not a table"),
        ("t.csv", b"", "t.csv cannot be read"),
        ("t.parquet", b"PAR1", "t.parquet cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_external_table(tmp_path / name)


ROWS = [(0.2, 0.5, 0.3), (0.6, 0.3, 0.1)] * 4
"""Probabilities of angry, happy and sad, by sample."""


def columns_named(*names: str, scale: float = 1.0, **others: object) -> pd.DataFrame:
    """Returns a table with the probabilities of `ROWS` under other names."""
    values = {name: [scale * row[k] for row in ROWS] for k, name in enumerate(names)}
    return pd.DataFrame({"id": SAMPLES["id"], **values, **others})


def check_rows(read: Predictions) -> None:
    np.testing.assert_allclose(read.split("test").probabilities, ROWS[4:7], atol=1e-12)


@pytest.mark.parametrize(
    "names",
    [
        ("ANG", "Smiling", "SADNESS"),
        ("prob_angry", "prob_happy", "prob_sad"),
        ("proba_ANG", "proba_joy", "proba_sadness"),
        ("probability_anger", "probability_happy", "probability_sad"),
        ("score_angry", "score_happy", "score_sad"),
        ("pred_angry", "pred_happy", "pred_sad"),
        ("softmax_angry", "softmax_happy", "softmax_sad"),
        ("angry_prob", "happy_prob", "sad_prob"),
        ("P(angry)", "P(happy)", "P(sad)"),
        ("model.Angry.out", "model.Happy.out", "model.Sad.out"),
    ],
)
def test_usual_column_names_are_understood_beside_a_further_column(names):
    check_rows(predictions(columns_named(*names, confidence=0.9, valence=-0.5)))


def test_a_common_prefix_is_taken_off_the_other_classes_too():
    made = columns_named("prob_angry", "prob_happy", "prob_sad", scale=0.5, prob_bored=0.5)
    chosen = class_columns(made.assign(confidence=0.9), LABELS, "t")
    assert chosen.outputs == ("angry", "happy", "sad", "bored")
    check_rows(predictions(made.assign(confidence=0.9)))


@pytest.mark.parametrize("names", [("Angry (%)", "Happy (%)", "Sad (%)"), ("angry", "joy", "sad")])
def test_percentages_are_divided_by_100_with_a_note(names):
    notes: list[str] = []
    check_rows(predictions(columns_named(*names, scale=100, confidence=50.0), notes=notes))
    assert notes == ["The table has percentages: they are divided by 100."]


@pytest.mark.parametrize("mapping", [{}, {"Contempt": ""}, {"contempt": ""}])
@pytest.mark.parametrize("prefix", ["", "p_", "prob_"])
def test_contempt_is_a_class_beside_a_further_column(mapping, prefix):
    names = [f"{prefix}{name}" for name in ("Angry", "Happy", "Sad")]
    made = columns_named(*names, scale=0.75).assign(**{f"{prefix}Contempt": 0.25}, confidence=0.9)
    check_rows(predictions(made, mapping=mapping))


@pytest.mark.parametrize(
    ("others", "mapping"),
    [
        ({"confidence": 0.9}, {"one": "angry", "two": "happy", "three": "sad"}),
        ({}, {"one": "angry", "two": "happy", "three": "sad"}),
        ({"confidence": 0.9}, {"one": "angry", "two": "happy", "three": "sad", "confidence": ""}),
    ],
)
def test_mapped_columns_are_those_of_the_classes(others, mapping):
    check_rows(predictions(columns_named("one", "two", "three", **others), mapping=mapping))


def test_an_unknown_class_that_is_left_out_counts_in_the_sum():
    made = columns_named("angry", "happy", "sad", scale=0.5, bored=0.5, confidence=0.9)
    with pytest.raises(DataError, match=r"sum to 0\.500"):
        predictions(made)
    check_rows(predictions(made, mapping={"bored": ""}))
    check_rows(predictions(made, mapping={"confidence": ""}))


def test_columns_of_two_models_are_an_error_unless_one_is_mapped():
    made = columns_named("a_angry", "a_happy", "a_sad")
    made = made.assign(b_angry=0.2, b_happy=0.2, b_sad=0.6)
    with pytest.raises(DataError, match=r"several columns .* a_angry and b_angry\. Keep those"):
        predictions(made)
    check_rows(predictions(made, mapping={"a_angry": "angry"}))


def test_a_repeated_header_is_an_error(tmp_path):
    made = columns_named("Angry", "Happy", "Sad")
    pd.concat([made, made.drop(columns="id")], axis=1).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"several columns .* Angry and Angry\.1"):
        predictions(read_external_table(tmp_path / "t.csv"))


def test_one_invalid_row_is_named_although_a_further_column_exists():
    made = columns_named("prob_angry", "prob_happy", "prob_sad", confidence=0.9)
    made.loc[5, "prob_happy"] = 0.1
    with pytest.raises(DataError, match=r"probabilities of x/5 are invalid \(they sum to 0\.800"):
        predictions(made)


@pytest.mark.parametrize("names", [("c0", "c1", "c2"), ("angry", "c1", "c2")])
def test_unknown_columns_are_not_to_be_named_by_an_option_for_models(names):
    with pytest.raises(DataError, match=r"Map the columns: --map-class") as caught:
        predictions(columns_named(*names))
    assert "--labels" not in str(caught.value)


@pytest.mark.parametrize("share", [0.33, 0.34, 0.3267])
def test_two_decimals_are_accepted_and_divided_by_their_sum_with_a_note(share):
    made = columns_named("angry", "happy", "sad")
    made.loc[4, ["angry", "happy", "sad"]] = [share] * 3
    notes: list[str] = []
    read = predictions(made, notes=notes)
    np.testing.assert_allclose(read.split("test").probabilities[0], 1 / 3)
    assert notes == [
        "1 of 5 rows do not sum to 1 (the largest difference is "
        f"{abs(3 * share - 1):.3f}), as after rounding: they are divided by their sum."
    ]


def test_seven_classes_with_two_decimals_may_differ_by_three_percent():
    assert [round(rounding_tolerance(count), 6) for count in (2, 7, 8, 1000)] == [
        0.02, 0.035, 0.04, 0.04,
    ]  # fmt: skip
    labels = LabelSet(tuple("abcdefg"))
    rounded = dict.fromkeys("abcdef", 0.15) | {"g": 0.13}  # of 0.145 and 0.13: the sum is 1.03
    made = pd.DataFrame({"id": SAMPLES["id"], **rounded})
    chosen = class_columns(made, labels, "t")
    classes = match_classes(chosen.outputs, labels, "t")
    samples = SAMPLES.assign(label="a")
    read = external_predictions(made, chosen.columns, classes, samples, "t").split("test")
    np.testing.assert_allclose(read.probabilities[0], np.array([0.15] * 6 + [0.13]) / 1.03)


def test_tiny_negative_values_count_as_0():
    made = columns_named("angry", "happy", "sad")
    made.loc[4, ["angry", "happy", "sad"]] = [-1e-6, 0.25, 0.75]
    assert predictions(made).split("test").probabilities[0].tolist() == [0.0, 0.25, 0.75]
    made.loc[4, "angry"] = -1e-5
    with pytest.raises(DataError, match="x/4 are invalid"):
        predictions(made)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda name: f"{name}.png", "x/0.png is read as x/0"),
        (lambda name: f"./{name}.JPG", "./x/0.JPG is read as x/0"),
        (lambda name: name.replace("/", "\\"), r"x\0 is read as x/0"),
        (lambda name: f" {name} ", " x/0  is read as x/0"),
        (lambda name: name[2:], "0 is read as x/0"),
        (lambda name: f"/data/faces/{name}", "/data/faces/x/0 is read as x/0"),
    ],
)
def test_ids_that_differ_in_form_are_matched_with_a_note(change, first):
    notes: list[str] = []
    made = columns_named("angry", "happy", "sad")
    check_rows(predictions(made.assign(id=made["id"].map(change)), notes=notes))
    assert notes == [f"8 ids differ from the samples' in form: {first}."]


def test_a_missing_folder_that_is_ambiguous_is_not_guessed():
    samples = pd.DataFrame({"id": ["a/1", "b/1", "a/2"], "split": ["test", "train", "validation"]})
    made = pd.DataFrame({"id": ["1", "2"]})
    matched, notes = with_sample_ids(made, samples, "t.csv")
    assert matched["id"].tolist() == ["1", "a/2"]
    assert notes == ["1 ids differ from the samples' in form: 2 is read as a/2."]


def test_two_ids_of_one_sample_are_an_error():
    made = columns_named("angry", "happy", "sad")
    twice = pd.concat([made.assign(id=made["id"] + ".png"), made.iloc[4:5]])
    with pytest.raises(DataError, match="has the sample x/4 twice"):
        predictions(twice)


@pytest.mark.parametrize("name", ["ID", "file", "Filename", "image", "image_id", "path"])
def test_another_column_of_ids_is_used_with_a_note(tmp_path, name):
    notes: list[str] = []
    made = columns_named("angry", "happy", "sad").rename(columns={"id": name})
    (made.assign(image_path="?")).to_csv(tmp_path / "t.csv", index=False)
    check_rows(predictions(read_external_table(tmp_path / "t.csv"), notes=notes))
    assert notes == [f"The ids are read from the column {name}."]
    with pytest.raises(DataError, match="lacks the column 'id'"):
        predictions(made.assign(**{name: "other"}))


def test_the_index_of_a_parquet_file_may_be_the_ids(tmp_path):
    columns_named("angry", "happy", "sad").set_index("id").to_parquet(tmp_path / "t.parquet")
    check_rows(predictions(read_external_table(tmp_path / "t.parquet")))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("t.csv", {"sep": ";"}),
        ("t.csv", {"sep": ";", "decimal": ","}),
        ("t.csv", {"sep": "\t"}),
        ("t.TSV", {"sep": "\t"}),
        ("t.csv.gz", {}),
        ("t.csv", {"encoding": "utf-8-sig"}),
    ],
)
def test_other_separators_and_compressed_files_are_read(tmp_path, name, options):
    columns_named(" angry", "happy ", "sad").to_csv(tmp_path / name, index=False, **options)
    check_rows(predictions(read_external_table(tmp_path / name)))
