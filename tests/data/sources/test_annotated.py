"""Annotation tables as people bring them: each picture gets its own label, split and face."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.sources.annotated import AnnotatedSource
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_source
from fer_core.data.sources.tree import open_tree
from fer_core.errors import DataError


def pictures(root: Path, names: list[str], side: int = 48) -> None:
    """Writes a picture of its own grey for each name."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (side, side), number + 1).save(root / name)


def table(root: Path, lines: list[str], name: str = "labels.csv", encoding: str = "utf-8") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes("\n".join(lines).encode(encoding))


def read(root: Path) -> dict[str, tuple[str | None, str | None]]:
    """Returns label and split by key of all pictures that are read."""
    source = AnnotatedSource(open_tree(root))
    return {item.key: (item.label, item.split) for item in source if isinstance(item, Sample)}


def skipped(root: Path) -> list[str]:
    return [item.key for item in AnnotatedSource(open_tree(root)) if isinstance(item, Skipped)]


def notes(root: Path) -> str:
    return " ".join(AnnotatedSource(open_tree(root)).notes)


def test_a_submission_gives_no_labels(tmp_path):
    pictures(tmp_path, ["train/a.png", "train/b.png", "test/c.png"])
    table(tmp_path, ["image,label", "a.png,happy", "b.png,sad"], "train.csv")
    table(tmp_path, ["image,label", "c.png,happy"], "sample_submission.csv")
    assert read(tmp_path) == {"train/a.png": ("happy", "train"), "train/b.png": ("sad", "train")}
    assert "sample_submission.csv, which holds predictions" in notes(tmp_path)


def test_a_row_whose_picture_is_missing_takes_no_other_picture(tmp_path):
    here = ["train/1.png", "train/2.png", "test/1.png"]
    pictures(tmp_path, here)
    rows = ["train/1.png,happy,train", "train/2.png,sad,train"]
    rows += ["test/1.png,sad,test", "test/2.png,happy,test"]  # the last was not downloaded
    table(tmp_path, ["path,label,split", *rows])
    assert read(tmp_path) == {
        "train/1.png": ("happy", "train"),
        "train/2.png": ("sad", "train"),
        "test/1.png": ("sad", "test"),
    }
    assert skipped(tmp_path) == ["test/2.png"]


def test_a_table_whose_first_pictures_are_missing_is_read(tmp_path):
    names = [f"happy/{number}.png" for number in range(120)]
    pictures(tmp_path, names[100:])
    labels = ("happy", "sad")
    table(tmp_path, ["path,label", *(f"{n},{labels[i % 2]}" for i, n in enumerate(names))])
    found = read(tmp_path)
    assert found == {n: (labels[i % 2], None) for i, n in enumerate(names) if i >= 100}


def test_two_columns_that_name_different_pictures_are_asked_about(tmp_path):
    pictures(tmp_path, ["img/1.png", "img/2.png"])
    table(tmp_path, ["before,now,label", "1.png,2.png,happy", "2.png,1.png,sad"])
    with pytest.raises(DataError, match="--image before, or --image now"):
        read(tmp_path)


def test_a_second_column_of_pictures_that_are_not_there_does_not_matter(tmp_path):
    pictures(tmp_path, ["img/1.png", "img/2.png"])
    table(tmp_path, ["url,file,label", "x/a.png,1.png,happy", "x/b.png,2.png,sad"])
    assert read(tmp_path) == {"img/1.png": ("happy", None), "img/2.png": ("sad", None)}


def test_lists_of_splits_complete_the_list_of_all(tmp_path):
    names = [f"{number}.png" for number in range(6)]
    pictures(tmp_path, names)
    rows = [f"{name},{('happy', 'sad')[number % 2]}" for number, name in enumerate(names)]
    table(tmp_path, ["image,label", *rows], "all.csv")
    table(tmp_path, ["image,label", *rows[:4]], "train.csv")
    table(tmp_path, ["image,label", *rows[4:]], "test.csv")
    assert [split for _, split in read(tmp_path).values()] == ["train"] * 4 + ["test"] * 2


def test_a_picture_in_two_splits_is_skipped(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png"])
    table(tmp_path, ["image,label", "a.png,happy", "b.png,sad"], "train.csv")
    table(tmp_path, ["image,label", "b.png,sad", "c.png,happy"], "test.csv")
    assert read(tmp_path) == {"a.png": ("happy", "train"), "c.png": ("happy", "test")}
    assert skipped(tmp_path) == ["b.png"]


@pytest.mark.parametrize("header", ["path,emotion,data_split", None])
def test_a_column_of_splits_is_known_by_its_values(tmp_path, header):
    splits = ("train", "train", "val", "test")
    names = [f"img/{number}.png" for number in range(8)]
    pictures(tmp_path, names)
    rows = [f"{n},{('happy', 'sad')[i % 2]},{splits[i % 4]}" for i, n in enumerate(names)]
    table(tmp_path, [header, *rows] if header else rows, "labels.csv" if header else "list.txt")
    known = {"val": "validation"}
    assert [split for _, split in read(tmp_path).values()] == [
        known.get(split, split) for split in splits * 2
    ]


def test_equal_names_are_told_apart_by_the_split(tmp_path):
    pictures(tmp_path, ["train/1.png", "train/2.png", "test/1.png"])
    table(tmp_path, ["file,label", "1.png,happy", "2.png,sad"], "train.csv")
    table(tmp_path, ["file,label", "1.png,sad"], "test.csv")
    assert read(tmp_path) == {
        "train/1.png": ("happy", "train"),
        "train/2.png": ("sad", "train"),
        "test/1.png": ("sad", "test"),
    }


def test_a_column_of_splits_tells_equal_names_apart(tmp_path):
    pictures(tmp_path, ["train/1.png", "test/1.png"])
    table(tmp_path, ["file,label,split", "1.png,happy,train", "1.png,sad,test"])
    assert read(tmp_path) == {"train/1.png": ("happy", "train"), "test/1.png": ("sad", "test")}


def test_each_box_is_a_face_and_one_person_groups_them(tmp_path):
    picture = np.zeros((64, 64), np.uint8)
    picture[:, 32:] = 200
    Image.fromarray(picture).save(tmp_path / "a.png")
    rows = ["a.png,64,64,happy,0,0,32,32", "a.png,64,64,sad,32,0,64,32"]
    table(tmp_path, ["filename,width,height,class,xmin,ymin,xmax,ymax", *rows])
    faces = [item for item in AnnotatedSource(open_tree(tmp_path)) if isinstance(item, Sample)]
    assert [(face.key, face.label, face.group) for face in faces] == [
        ("a.png#0", "happy", "a.png"),
        ("a.png#1", "sad", "a.png"),
    ]
    assert [np.unique(face.image).tolist() for face in faces] == [[0], [200]]
    assert all(face.image.shape == (32, 32) for face in faces)


def test_lines_with_too_many_fields_are_counted(tmp_path):
    pictures(tmp_path, ["a.png", "b.png"])
    table(tmp_path, ["path,label", "a.png,happy", "b.png,sad", "Smith, J.png,sad"])
    assert len(read(tmp_path)) == 2
    assert "1 lines of labels.csv with too many fields" in notes(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["", ","])
@pytest.mark.parametrize("up", ["", "../"])
def test_tables_of_other_programs(tmp_path, encoding, end, up):
    names = ["images/Müller.png", "images/b.png"]
    pictures(tmp_path, names)
    rows = [f"{up}{name},{label}{end}" for name, label in zip(names, ("happy", "sad"), strict=True)]
    table(tmp_path, ["path,label", *rows], "annotations/labels.csv", encoding)
    assert {label for label, _ in read(tmp_path).values()} == {"happy", "sad"}


def test_the_numbers_that_pandas_gives_to_columns_are_a_header(tmp_path):
    pictures(tmp_path, ["img/0.png", "img/1.png"])
    table(tmp_path, ["0,1", "img/0.png,happy", "img/1.png,sad"])
    assert read(tmp_path) == {"img/0.png": ("happy", None), "img/1.png": ("sad", None)}


def test_a_column_for_each_class_is_a_label(tmp_path):
    pictures(tmp_path, ["train/a.jpg", "train/b.jpg", "train/c.jpg", "train/d.jpg"])
    rows = ["a.jpg, 1, 0, 0", "b.jpg, 0, 0, 1", "c.jpg, 1, 1, 0", "d.jpg, 0, 1, 0"]
    table(tmp_path, ["filename, Angry, Happy, Sad", *rows], "train/_classes.csv")
    assert read(tmp_path) == {
        "train/a.jpg": ("angry", "train"),
        "train/b.jpg": ("sad", "train"),
        "train/d.jpg": ("happy", "train"),
    }
    assert skipped(tmp_path) == ["train/c.jpg"]


def test_a_number_and_a_name_of_the_class_agree(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png"])
    table(tmp_path, ["file,label,label_name", "a.png,0,happy", "b.png,1,sad", "c.png,1,sad"])
    assert [label for label, _ in read(tmp_path).values()] == ["happy", "sad", "sad"]


@pytest.mark.parametrize("column", ["video", "Clip", "sequence_id", "session"])
def test_images_of_one_recording_are_a_group(tmp_path, column):
    names = [f"{number}.png" for number in range(6)]
    pictures(tmp_path, names)
    cells = ["one", "one", "two", "two", "", "three"]
    rows = [f"{name},{word},{cell}" for name, word, cell in zip(
        names, ["happy", "sad"] * 3, cells, strict=True)]  # fmt: skip
    table(tmp_path, [f"file,label,{column}", *rows])
    source = AnnotatedSource(open_tree(tmp_path))
    assert [item.group for item in source] == [cell or None for cell in cells]
    assert source.notes[1] == (
        f"Images with the same value of the column {column} stay in one split; --group names "
        "another column."
    )


def test_a_person_goes_before_a_recording(tmp_path):
    pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = ["0.png,happy,a,anna", "1.png,sad,a,ben", "2.png,sad,b,ben"]
    table(tmp_path, ["file,label,video,person", *rows])
    source = AnnotatedSource(open_tree(tmp_path))
    assert [item.group for item in source] == ["anna", "ben", "ben"]
    assert not any("one split" in note for note in source.notes)


def test_a_column_that_differs_in_each_row_is_no_recording(tmp_path):
    pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = ["0.png,happy,a,x", "1.png,sad,b,x", "2.png,sad,c,y"]
    table(tmp_path, ["file,label,video,clip", *rows])
    assert [item.group for item in AnnotatedSource(open_tree(tmp_path))] == ["x", "x", "y"]
    table(tmp_path, ["file,label,video", *(row.rpartition(",")[0] for row in rows)])
    source = AnnotatedSource(open_tree(tmp_path))
    assert [item.group for item in source] == [None] * 3
    assert not any("one split" in note for note in source.notes)


def test_few_recordings_cannot_be_split_and_are_no_groups(tmp_path):
    names = [f"{number}.png" for number in range(40)]
    pictures(tmp_path, names)

    def groups(recordings):
        rows = [f"{name},{'happy' if n % 3 else 'sad'},{n % recordings}"
                for n, name in enumerate(names)]  # fmt: skip
        table(tmp_path, ["file,label,session", *rows])
        return {item.group for item in AnnotatedSource(open_tree(tmp_path))}

    assert groups(9) == {None}
    assert groups(10) == {str(number) for number in range(10)}


def test_a_column_that_is_used_otherwise_is_no_recording(tmp_path):
    pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = ["0.png,happy,train", "1.png,sad,train", "2.png,sad,test"]
    table(tmp_path, ["file,label,session", *rows])
    assert [item.group for item in AnnotatedSource(open_tree(tmp_path))] == [None] * 3


def test_columns_of_annotators_are_votes(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    rows = ["a.png,Joy,happy,sad,7", "b.png,sad,happy,,9", "c.png,,bored,BORED,9", "d.png,,,,8"]
    table(tmp_path, ["file,rater A,RaterB,emotion_rater3,rater_score", *rows])
    items = {item.key: item for item in AnnotatedSource(open_tree(tmp_path))}
    assert items.pop("d.png") == Skipped("d.png", "It has no label.")
    assert {key: (s.label, s.excluded, dict(s.votes)) for key, s in items.items()} == {
        "a.png": ("happy", "", {"bored": 0, "happy": 2, "sad": 1}),
        "b.png": (None, "annotators disagree", {"bored": 0, "happy": 1, "sad": 1}),
        "c.png": ("bored", "", {"bored": 2, "happy": 0, "sad": 0}),
    }
    rows = ["a.png,sad,sad,fear", "b.png,sad,,sad"]
    for header in ("annotator1,annotator2,label", "note,score,expert"):  # of one annotator
        table(tmp_path, [f"file,{header}", *rows])
        assert read(tmp_path) == {"a.png": ("fear", None), "b.png": ("sad", None)}
        assert "votes" not in notes(tmp_path)


def voted(root: Path) -> dict[str, tuple[str | None, str, dict[str, int]]]:
    items = {item.key: item for item in AnnotatedSource(open_tree(root))}
    return {key: (s.label, s.excluded, {k: n for k, n in s.votes.items() if n})
            for key, s in items.items() if isinstance(s, Sample)}  # fmt: skip


def test_a_row_for_each_annotator_of_a_picture_is_a_vote(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    rows = ["a.png,w1,Joy,7,train", "a.png,w2,happy,8,train", "a.png,w3,sad,9,train"]
    rows += ["a.png,w3,Sad,9,train"]  # written twice
    rows += ["b.png,w1,sad,7,test", "b.png,w2,happy,7,test", "c.png,w1,sad,7,test", "d.png,w2,,7,"]
    table(tmp_path, ["file,WorkerId,label,seconds,split", *rows])
    assert voted(tmp_path) == {
        "a.png": ("happy", "", {"happy": 2, "sad": 1}),
        "b.png": (None, "annotators disagree", {"happy": 1, "sad": 1}),
        "c.png": ("sad", "", {"sad": 1}),
    }
    assert skipped(tmp_path) == ["d.png"]
    source = AnnotatedSource(open_tree(tmp_path))
    assert {(s.split, *s.extras) for s in source if isinstance(s, Sample)} == {
        ("train",), ("test",)
    }  # fmt: skip
    assert "a row for each of 3 annotators (WorkerId)" in notes(tmp_path)


@pytest.mark.parametrize("several", [True, False])
def test_annotators_vote_on_each_face_of_a_picture(tmp_path, several):
    pictures(tmp_path, ["a.png", "b.png"])
    rows = ["a.png,x,2,12,happy", "a.png,y,{},12,happy", "a.png,z,2,12,sad", "b.png,x,2,12,sad"]
    if several:  # their boxes are equal, or else they could not be told apart
        rows += ["a.png,x,20,40,sad", "a.png,y,20,40,fear"]
    rows = [row.format(2 if several else 4) for row in rows]
    table(tmp_path, ["file,user,xmin,xmax,label,ymin,ymax", *(f"{row},2,12" for row in rows)])
    samples = [item for item in AnnotatedSource(open_tree(tmp_path)) if isinstance(item, Sample)]
    read = [(s.key, s.label, s.image.shape[1]) for s in samples]
    if several:
        assert read == [
            ("a.png#0", "happy", 10), ("a.png#1", None, 20), ("b.png", "sad", 10)
        ]  # fmt: skip
    else:
        assert read == [("a.png", "happy", 10), ("b.png", "sad", 10)]
    assert {k: n for k, n in samples[0].votes.items() if n} == {"happy": 2, "sad": 1}


def test_rows_of_one_picture_without_annotators_are_no_votes(tmp_path):
    pictures(tmp_path, ["a.png", "b.png"])
    table(tmp_path, ["file,label", "a.png,happy", "a.png,sad", "b.png,sad"])
    assert read(tmp_path) == {"b.png": ("sad", None)}
    assert skipped(tmp_path) == ["a.png"]
    table(tmp_path, ["file,annotator,label", "a.png,x,happy", "b.png,y,sad"])  # each has one
    assert read(tmp_path) == {"a.png": ("happy", None), "b.png": ("sad", None)}
    assert "annotators" not in notes(tmp_path)


@pytest.mark.parametrize(
    "lines",
    [
        ["file,annotator,label", "a.png,x,0", "a.png,y,0", "a.png,z,2", "b.png,x,2", "b.png,y,1"],
        ["file,rater_1,rater_2,rater_3", "a.png,0,0,2", "b.png,2,1.0,-1"],
    ],
)
def test_numbers_that_annotators_gave_are_those_of_a_legend(tmp_path, lines):
    pictures(tmp_path, ["a.png", "b.png"])
    table(tmp_path, lines)
    with pytest.raises(DataError, match="are numbers"):
        open_source(str(tmp_path))
    table(tmp_path, ["code,meaning", "0,sad", "1,fear", "2,happy"], "legend.csv")
    items = {item.key: item for item in open_source(str(tmp_path))}
    assert {key: (s.label, dict(s.votes)) for key, s in items.items()} == {
        "a.png": ("sad", {"sad": 2, "fear": 0, "happy": 1}),
        "b.png": (None, {"sad": 0, "fear": 1, "happy": 1}),
    }


def test_numbers_about_annotators_are_no_votes(tmp_path):
    pictures(tmp_path, ["a.png", "b.png"])
    table(tmp_path, ["file,rater_age,annotator_id", "a.png,3,1", "b.png,4,2"])
    with pytest.raises(DataError, match="no column that is known to hold labels"):
        open_source(str(tmp_path))
    table(tmp_path, ["file,A,B", "a.png,sad,happy", "b.png,happy,sad"])
    with pytest.raises(DataError, match="call those of annotators annotator_1"):
        open_source(str(tmp_path))


def test_votes_for_no_emotion_count_against_a_majority(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    rows = ["a.png,6,1,2,0,0,x", "b.png,4,1,5,0,0,x", "c.png,1,1,0,0,7,x", "d.png,1,0,8,1,0,x"]
    table(tmp_path, ["file,happiness,sadness,unknown,NF,Other,none", *rows])
    assert voted(tmp_path) == {
        "a.png": ("happy", "", {"happy": 6, "sad": 1, "unknown": 2}),
        "b.png": (None, "annotators disagree", {"happy": 4, "sad": 1, "unknown": 5}),
        "c.png": ("other", "", {"happy": 1, "sad": 1, "other": 7}),
        "d.png": (None, "annotators disagree", {"happy": 1, "unknown": 8, "not_a_face": 1}),
    }
