"""PASCAL VOC and CVAT for images: the face of each box with its class, attributes and split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError


def written(path: Path, text: str = "") -> None:
    """Writes a text, or a picture whose pixels are their column, times 10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text:
        path.write_text(text)
    else:
        Image.fromarray(np.tile(np.arange(20, dtype=np.uint8) * 10, (20, 1))).save(path)


def voc(file: str, *objects: str) -> str:
    return f"<annotation><filename>{file}</filename>{''.join(objects)}</annotation>"


def face(label: str, left: int = 2, right: int = 12, more: str = "") -> str:
    box = f"<xmin>{left}</xmin><ymin>4</ymin><xmax>{right}</xmax><ymax>14</ymax>"
    return f"<object><name>{label}</name><bndbox>{box}</bndbox>{more}</object>"


def box(label: str, left: int = 2, inner: str = "") -> str:
    sides = f'xtl="{left}" ytl="4" xbr="{left + 10}" ybr="14.0"'
    return f'<box label="{label}" {sides}>{inner}</box>'


def read(path: Path) -> dict[str, object]:
    return {
        item.key: (item.label, item.split, dict(item.extras), item.image[0, 0])
        if isinstance(item, Sample)
        else item.reason
        for item in open_dataset(str(path)).reader
    }


@pytest.mark.parametrize(
    ("m", "w", "splits"), [("train", "valid", ("train", "validation")), ("m", "w", (None, None))]
)
def test_each_object_of_voc_is_a_face(tmp_path: Path, m, w, splits) -> None:
    for name in (f"{m}/i/0", f"{m}/i/1", f"{m}/i/2", f"{w}/i/0", f"{w}/i/1", f"{w}/i/3"):
        written(tmp_path / f"{name}.png")
    for name, text in {
        f"{m}/0": voc("0.png", face("Happiness"), face("sad", 10, 20)),
        f"{m}/1": voc("0.png", face("sad")),  # a stale name
        f"{m}/2": voc("2.png", face("sad", 12, 2)),
        f"{m}/3": voc("3.png" if m == "train" else "x.png", face("fear")),  # not downloaded
        f"{w}/0": voc("gone.jpg", face("fear")),
        f"{w}/1": voc("1.png"),
        f"{w}/3": voc("3.png", face("sad")),
    }.items():
        written(tmp_path / f"{name}.xml".replace("/", "/xml/"), text)
    written(tmp_path / "Main/happy_train.txt", "2  1\n3 -1\n")  # no labels
    assert {key: value for key, value in read(tmp_path).items() if "/i/" in key} == {
        f"{m}/i/0.png#0": ("happy", splits[0], {}, 20),
        f"{m}/i/0.png#1": ("sad", splits[0], {}, 100),
        f"{m}/i/1.png": f"{m}/xml/1.xml is called like it, but names 0.png. Correct that.",
        f"{m}/i/2.png": "Its box 12, 4, 2, 14 is damaged.",
        f"{w}/i/0.png": ("fear", splits[1], {}, 20),
        f"{w}/i/1.png": "It has no label.",
        f"{w}/i/3.png": ("sad", splits[1], {}, 20),
    }


def test_an_attribute_of_a_face_is_its_class(tmp_path: Path) -> None:
    for name, mood in (("a", "joy"), ("b", "sadness")):
        written(tmp_path / f"{name}.png")
        more = f"<attribute><name>mood</name><value>{mood}</value></attribute>"
        written(tmp_path / f"{name}.xml", voc(f"{name}.png", face("face", more=more)))
    assert read(tmp_path) == {
        "a.png": ("happy", None, {}, 20),
        "b.png": ("sad", None, {}, 20),
    }


@pytest.mark.parametrize("file", ["", "all.xml"])
def test_boxes_and_tags_of_cvat(tmp_path: Path, file) -> None:
    happy, sad = '<tag label="happy"/><tag label="woman"/>', '<tag label="sad"/>'
    age = '<attribute name="age">{}</attribute>'
    pictures = (
        box("anger", 2, age.format("young")) + box("fear", 9, age.format("old")),
        happy,
        box("face", 5) + sad,
        box("face") + box("face", 9) + sad,
        "",
    )
    text = ""
    for n, inner in enumerate(pictures):
        written(tmp_path / f"images/{n}.png")
        text += f'<image name="{n}.png" subset="{"Test" if n == 1 else "Train"}">{inner}</image>'
    written(tmp_path / "all.xml", f"<annotations>{text}</annotations>")
    assert read(tmp_path / file) == {
        "images/0.png#0": ("angry", "train", {"age": "young"}, 20),
        "images/0.png#1": ("fear", "train", {"age": "old"}, 90),
        "images/1.png": ("happy", "test", {}, 0),
        "images/2.png": ("sad", "train", {}, 50),
        "images/3.png": "It has several boxes or tags, and it is unclear which one counts.",
        "images/4.png": "It has no label.",
    }


def test_marks_of_faces_are_kept_and_said(tmp_path: Path) -> None:
    flag = "<truncated>0</truncated><difficult>{}</difficult>"
    for name, mood, difficult in (("a", "happy", "1"), ("b", "sad", "0")):
        written(tmp_path / f"{name}.png")
        text = voc(f"{name}.png", face(mood, more=flag.format(difficult)))
        written(tmp_path / f"{name}.xml", text)
    assert read(tmp_path) == {
        "a.png": ("happy", None, {"difficult": "yes"}, 20),
        "b.png": ("sad", None, {"difficult": "no"}, 20),
    }
    note = "Marked faces are kept, and each mark is a slice: difficult 1."
    assert note in open_dataset(str(tmp_path)).notes


HAPPY = '<tag label="happy"/>'


@pytest.mark.parametrize(
    ("shapes", "label", "left", "size"),
    [
        ('<polygon label="sad" points="3,4;13.0,5;8,14;4,9"/>', "sad", 3, (10, 10)),
        ('<polygon label="face" points="3,4;13,5;8,14;4,9"/>' + HAPPY, "happy", 3, (10, 10)),
        ('<ellipse label="sad" cx="10" cy="10" rx="3" ry="3"/>', "sad", 7, (6, 6)),
        ('<ellipse label="sad" cx="10" cy="10" rx="2" ry="4" rotation="90"/>', "sad", 6, (8, 8)),
        ('<mask label="sad" left="5" top="6" width="8" height="8" rle="64"/>', "sad", 5, (8, 8)),
        # a square of 10 px, turned by 45 degrees, spans 14.14 px
        (box("sad", 5).replace("<box", '<box rotation="45"'), "sad", 3, (14, 14)),
        ('<points label="sad" points="3,4;9,5"/>', "sad", 0, (20, 20)),
        ('<points label="eyes" points="3,4;9,5"/>' + HAPPY, "happy", 0, (20, 20)),
        ('<polygon label="eye" points="3,4;9,5;8,9"/>' * 2 + HAPPY, "happy", 0, (20, 20)),
    ],
)
def test_shapes_of_cvat(tmp_path: Path, shapes, label, left, size) -> None:
    written(tmp_path / "a.png")
    written(tmp_path / "b.png")
    other = f'<image name="b.png">{box("fear")}</image>'
    text = f'<annotations><image name="a.png">{shapes}</image>{other}</annotations>'
    written(tmp_path / "all.xml", text)
    sample = next(iter(open_dataset(str(tmp_path)).reader))
    assert isinstance(sample, Sample)
    assert (sample.label, sample.image[0, 0], sample.image.shape) == (label, 10 * left, size)


def test_a_damaged_polygon_is_named(tmp_path: Path) -> None:
    for name in "ab":
        written(tmp_path / f"{name}.png")
    text = '<image name="a.png"><polygon label="sad" points="3;x"/></image>'
    text += f'<image name="b.png">{box("sad")}</image>'
    written(tmp_path / "all.xml", f"<annotations>{text}</annotations>")
    assert read(tmp_path)["a.png"] == "Its box of the polygon is damaged."


def track(number: int, label: str, *shapes: str) -> str:
    return f'<track id="{number}" label="{label}">{"".join(shapes)}</track>'


def on_frame(number: int, left: int = 2, outside: int = 0, inner: str = "") -> str:
    shape = box("", left, inner).replace(' label=""', f' frame="{number}" outside="{outside}"')
    return shape


@pytest.mark.parametrize(
    ("names", "first"), [("images/frame_{:06}.png", 0), ("film/{:05}.png", 1), ("{}.png", 0)]
)
def test_tracks_of_cvat_for_video(tmp_path: Path, names: str, first: int) -> None:
    for number in range(3):
        written(tmp_path / names.format(number + first))
    if first:
        written(tmp_path / "other/00001.png")  # of another video
    mood = '<attribute name="mood">sad</attribute>'
    tracks = track(0, "happy", on_frame(0), on_frame(1, 5), on_frame(2, 5, outside=1))
    tracks += track(1, "sad", on_frame(1, 8, inner=mood), on_frame(9), on_frame(2, 9))
    written(tmp_path / "film.xml", f"<annotations><meta/>{tracks}</annotations>")
    opened = open_dataset(str(tmp_path))
    samples = [item for item in opened.reader if isinstance(item, Sample)]
    keys = [names.format(number + first) for number in range(3)]
    assert [(s.key, s.label, s.image[0, 0], s.group) for s in samples] == [
        (keys[0], "happy", 20, "film.xml track 0"),
        (f"{keys[1]}#0", "happy", 50, "film.xml track 0"),
        (f"{keys[1]}#1", "sad", 80, "film.xml track 1"),
        (keys[2], "sad", 90, "film.xml track 1"),
    ]
    assert any("Each track of a video is read as one person" in note for note in opened.notes)


def test_tracks_without_frames_are_refused_with_a_way_out(tmp_path: Path) -> None:
    text = track(0, "happy", on_frame(0))
    written(tmp_path / "film.xml", f"<annotations>{text}</annotations>")
    for folder in ("a", "b"):  # it is unclear which
        written(tmp_path / f"{folder}/0.png")
    with pytest.raises(DataError, match=r"save the frames as frame_000000\.png"):
        open_dataset(str(tmp_path))


def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path) -> None:
    for name in ("happy", "sad", "x"):
        written(tmp_path / f"{name}.png")
        written(tmp_path / f"{name}.xml", voc(f"{name}.png", face(name)))
    bomb = '<!DOCTYPE a [<!ENTITY h "sad">]>' + voc("x.png", face("&h;"))
    (tmp_path / "x.xml").write_bytes(bomb.encode("utf-16"))
    opened = open_dataset(str(tmp_path))
    assert [item.key for item in opened.reader] == ["happy.png", "sad.png"]
    assert any("x.xml is not read: its document type" in note for note in opened.notes)
    with pytest.raises(DataError, match="Remove <!DOCTYPE"):
        open_dataset(str(tmp_path / "x.xml"))
