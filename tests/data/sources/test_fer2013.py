from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core.data.sources.base import Skipped
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.fer2013 import Fer2013Source, strict_majority
from fer_core.errors import DataError
from tests.support.helpers import fer2013_table, noise, votes_table, write_fer2013

NATIVE_ORDER = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.gz", "fer2013.csv.zip"])
def test_csv_archive_and_folder_give_the_same_samples(tmp_path: Path, name: str) -> None:
    source = Fer2013Source(write_fer2013(tmp_path, name=name))
    read = list(source)
    assert len(source) == len(read) == 42
    assert [sample.key for sample in read[:2]] == ["00000", "00001"]
    assert [sample.label for sample in read] == NATIVE_ORDER * 6
    assert [sample.split for sample in read] == ["train"] * 14 + ["validation"] * 14 + ["test"] * 14
    np.testing.assert_array_equal(np.stack([sample.image for sample in read]), noise(42))
    assert not source.colour


def test_without_votes_there_is_one_label(tmp_path: Path) -> None:
    source = Fer2013Source(write_fer2013(tmp_path))
    assert source.origin.title == "FER2013 with its original labels"
    assert all(
        sample.second_label is None and sample.votes == {} and sample.excluded == ""
        for sample in source
    )


def test_votes_beside_the_csv_become_the_label(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = votes_table(table)
    # Row 3 is happy in FER2013; the annotators say sad here, and disagree on row 4.
    votes.loc[3, ["happiness", "sadness"]] = [0, 8]
    votes.loc[4, ["sadness", "fear"]] = [4, 4]
    source = Fer2013Source(write_fer2013(tmp_path, table, votes))
    read = list(source)
    assert source.origin.title == "FER2013 with FER+ votes"
    assert (read[3].label, read[3].second_label, read[3].excluded) == ("sad", "happy", "")
    assert (read[4].label, read[4].excluded) == (None, "annotators disagree")
    assert read[0].votes == {
        "neutral": 0,
        "happy": 0,
        "surprise": 0,
        "sad": 0,
        "angry": 8,
        "disgust": 0,
        "fear": 0,
        "contempt": 0,
        "unknown": 2,
        "not_a_face": 0,
    }


def test_original_labels_can_be_requested_with_votes(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = votes_table(table)
    votes.loc[3, ["happiness", "sadness"]] = [0, 8]
    source = Fer2013Source(write_fer2013(tmp_path, table, votes), labels="fer2013")
    read = list(source)
    assert source.origin.title == "FER2013 with its original labels"
    assert (read[3].label, read[3].second_label, read[3].excluded) == ("happy", "sad", "")


def test_votes_may_be_in_another_folder(tmp_path: Path) -> None:
    table = fer2013_table()
    votes_table(table).to_csv(tmp_path / "crowd.csv", index=False)
    source = Fer2013Source(write_fer2013(tmp_path, table), votes=tmp_path / "crowd.csv")
    assert next(iter(source)).votes["angry"] == 8


def test_ferplus_labels_without_votes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013new\.csv does not exist beside.*--votes"):
        Fer2013Source(write_fer2013(tmp_path), labels="ferplus")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013\.csv does not exist"):
        Fer2013Source(tmp_path / "fer2013.csv")
    with pytest.raises(DataError, match=r"crowd\.csv does not exist"):
        Fer2013Source(write_fer2013(tmp_path), votes=tmp_path / "crowd.csv")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = write_fer2013(tmp_path, name="fer2013.csv.gz")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"fer2013\.csv\.gz cannot be read as csv"):
        Fer2013Source(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    table = fer2013_table()
    with pytest.raises(DataError, match=r"fer2013\.csv has no column of pixels"):
        Fer2013Source(write_fer2013(tmp_path, table.drop(columns=["Usage", "pixels"])))
    votes = votes_table(table).drop(columns="NF")
    with pytest.raises(DataError, match=r"fer2013new\.csv lacks the columns NF"):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


@pytest.mark.parametrize(
    ("code", "message"),
    [("2.5", "row 9: emotion code '2.5' is unknown"), ("8", "class 8.*not a code")],
)
def test_an_unknown_code_is_named(tmp_path: Path, code: str, message: str) -> None:
    table = fer2013_table().astype({"emotion": str})
    table.loc[9, "emotion"] = code
    with pytest.raises(DataError, match=message):
        Fer2013Source(write_fer2013(tmp_path, table))


@pytest.mark.parametrize("code", ["-1", ""])
def test_a_row_without_a_label_is_skipped(tmp_path: Path, code: str) -> None:
    table = fer2013_table().astype({"emotion": str})
    table.loc[9, "emotion"] = code
    source = Fer2013Source(write_fer2013(tmp_path, table))
    items = list(source)
    assert len(source) == len(items) == 42
    assert items[9] == Skipped("00009", "It has no label.")
    assert items[10].key == "00010"


def test_a_code_may_be_a_name(tmp_path: Path) -> None:
    table = fer2013_table().astype({"emotion": str})
    table.loc[9, "emotion"] = "Happiness"
    assert list(Fer2013Source(write_fer2013(tmp_path, table)))[9].label == "happy"


def test_eight_codes_are_read_as_fer2013s_with_a_note(tmp_path: Path) -> None:
    """The csv of CK+ on Kaggle and one of FER+ look alike; only their numbers differ."""
    table = fer2013_table()
    table.loc[9, "emotion"] = 7
    path = write_fer2013(tmp_path, table)
    source = Fer2013Source(path)
    said = " ".join(source.notes)
    assert "Class numbers are those of fer2013: 0 angry" in said
    assert "6 neutral, 7 contempt" in said
    assert "FER+ numbers eight classes differently" in said
    assert "--codes ferplus" in said
    assert next(iter(source)).label == "angry"
    ferplus = Fer2013Source(path, names=ClassNames(codes="ferplus"))
    assert next(iter(ferplus)).label == "neutral"
    said = " ".join(ferplus.notes)
    assert "Class numbers are those of ferplus: 0 neutral, 1 happy" in said
    assert "--codes ferplus" not in said


def test_fer2013s_own_codes_need_no_note(tmp_path: Path) -> None:
    assert Fer2013Source(write_fer2013(tmp_path)).notes == []


def test_an_unknown_usage_names_its_row(tmp_path: Path) -> None:
    table = fer2013_table()
    table.loc[30, "Usage"] = "Holdout"
    with pytest.raises(DataError, match=r"fer2013\.csv has the splits .*Holdout is not known"):
        Fer2013Source(write_fer2013(tmp_path, table))


@pytest.mark.parametrize("usage", ["Training", "PublicTest", "PrivateTest"])
def test_a_usage_may_be_missing(tmp_path: Path, usage: str) -> None:
    table = fer2013_table()
    source = Fer2013Source(write_fer2013(tmp_path, table[table["Usage"] != usage]))
    assert len(list(source)) == 28
    assert len({item.split for item in source}) == 2


@pytest.mark.parametrize("code", range(7))
def test_a_class_may_be_missing(tmp_path: Path, code: int) -> None:
    table = fer2013_table()
    source = Fer2013Source(write_fer2013(tmp_path, table[table["emotion"] != code]))
    assert {item.label for item in source} == set(NATIVE_ORDER) - {NATIVE_ORDER[code]}


@pytest.mark.parametrize(("change", "count"), [(lambda t: t[2:], 2303), (lambda t: f"1 {t}", 2305)])
def test_a_wrong_number_of_pixels_names_its_row(tmp_path: Path, change, count: int) -> None:
    table = fer2013_table()
    table.loc[5, "pixels"] = change("1 " + " ".join(["0"] * 2303))
    items = list(Fer2013Source(write_fer2013(tmp_path, table)))
    reason = f"It has {count} pixels instead of 2304: the row is damaged."
    assert items[5] == Skipped("00005", reason)
    assert [type(item) for item in items].count(Skipped) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("256", "outside 0 to 255"),
        ("-1", "outside 0 to 255"),
        ("1.5", "not a whole number"),
        ("x", "not a whole number"),
        ("9" * 30, "not a whole number"),
    ],
)
def test_an_invalid_pixel_names_its_row(tmp_path: Path, value: str, message: str) -> None:
    table = fer2013_table()
    table.loc[40, "pixels"] = " ".join([value] + ["0"] * 2303)
    items = list(Fer2013Source(write_fer2013(tmp_path, table)))
    assert items[40] == Skipped("00040", f"A pixel is {message}: the row is damaged.")


def test_pixels_may_be_0_and_255(tmp_path: Path) -> None:
    table = fer2013_table()
    table.loc[0, "pixels"] = " ".join(["0", "255"] + ["7"] * 2302)
    image = next(iter(Fer2013Source(write_fer2013(tmp_path, table)))).image
    assert image[0, :3].tolist() == [0, 255, 7]


def with_votes_moved(votes: pd.DataFrame, order: np.ndarray) -> pd.DataFrame:
    """Moves the votes to other rows and leaves Usage in place, so only the sense is wrong."""
    columns = [name for name in votes.columns if name not in ("Usage", "Image name")]
    moved = votes.copy()
    moved[columns] = votes[columns].to_numpy()[order]
    return moved


def test_shifted_votes_are_refused(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = with_votes_moved(votes_table(table), np.roll(np.arange(42), 1))
    with pytest.raises(DataError, match=r"does not belong to these rows.* 0% of the rows.*shifted"):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


def test_shuffled_votes_are_refused(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = with_votes_moved(votes_table(table), np.random.default_rng(0).permutation(42))
    with pytest.raises(DataError, match=r"does not belong to these rows.*shifted or shuffled"):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


def test_votes_that_always_tie_are_refused(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = votes_table(table).assign(neutral=4, happiness=4, anger=0, surprise=0)
    votes[["sadness", "disgust", "fear"]] = 0
    with pytest.raises(DataError, match="does not belong to these rows"):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


def test_votes_that_agree_on_half_of_the_rows_are_accepted(tmp_path: Path) -> None:
    table = fer2013_table()
    half = np.arange(42)
    half[:21] = np.roll(half[:21], 1)
    votes = with_votes_moved(votes_table(table), half)
    assert len(Fer2013Source(write_fer2013(tmp_path, table, votes))) == 42


def test_a_different_usage_names_its_row(tmp_path: Path) -> None:
    table = fer2013_table()
    votes = votes_table(table)
    votes.loc[17, "Usage"] = "PrivateTest"
    with pytest.raises(
        DataError, match=r"row 17: Usage is PrivateTest here and PublicTest in fer2013\.csv"
    ):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


def test_a_different_number_of_votes_is_refused(tmp_path: Path) -> None:
    table = fer2013_table()
    with pytest.raises(DataError, match=r"has 41 rows and fer2013\.csv 42"):
        Fer2013Source(write_fer2013(tmp_path, table, votes_table(table)[:-1]))


@pytest.mark.parametrize("value", ["-1", "0.5", "", "many"])
def test_an_invalid_vote_names_its_row(tmp_path: Path, value: str) -> None:
    table = fer2013_table()
    votes = votes_table(table).astype({"fear": str})
    votes.loc[11, "fear"] = value
    with pytest.raises(DataError, match="row 11: votes must be whole numbers"):
        Fer2013Source(write_fer2013(tmp_path, table, votes))


@pytest.mark.parametrize(
    ("votes", "label", "reason"),
    [
        # neutral happy surprise sad angry disgust fear contempt unknown not-a-face
        ((10, 0, 0, 0, 0, 0, 0, 0, 0, 0), "neutral", ""),
        ((0, 0, 0, 0, 9, 1, 0, 0, 0, 0), "angry", ""),
        # Single votes count as none: 4 of 4, not 4 of 10.
        ((1, 1, 1, 4, 1, 1, 1, 0, 0, 0), "sad", ""),
        # 4 of 9 is the plurality but no majority.
        ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None, "annotators disagree"),
        # Exactly half is not more than half, tied or not.
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), None, "annotators disagree"),
        ((0, 0, 5, 0, 0, 3, 2, 0, 0, 0), None, "annotators disagree"),
        ((0, 0, 6, 0, 0, 2, 2, 0, 0, 0), "surprise", ""),
        # The single vote tips it: 5 of 9 after it is dropped.
        ((0, 0, 0, 0, 0, 2, 5, 0, 2, 1), "fear", ""),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None, "annotators disagree"),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), None, "annotators disagree"),
        ((2, 0, 0, 0, 0, 0, 0, 8, 0, 0), None, "annotators say contempt"),
        ((2, 2, 0, 0, 0, 0, 0, 0, 6, 0), None, "annotators say unknown"),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), None, "annotators say not a face"),
    ],
)
def test_the_strict_majority_rule(votes: tuple[int, ...], label: str | None, reason: str) -> None:
    assert strict_majority(np.array(votes)) == (label, reason)


def test_rows_of_one_clip_are_a_group(tmp_path: Path) -> None:
    table = fer2013_table(42).assign(clip=[f"c{row // 4}" for row in range(42)])
    source = Fer2013Source(write_fer2013(tmp_path, table))
    assert [item.group for item in source] == table["clip"].tolist()
    assert any("same value of the column clip stay in one split" in note for note in source.notes)
