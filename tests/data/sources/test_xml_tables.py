"""PASCAL VOC and CVAT for images: the face of each box with its class, attributes and split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError


def picture(path: Path) -> None:
    """Writes 20 grey pixels in a row whose value is their column, times 10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(np.arange(20, dtype=np.uint8) * 10, (20, 1))).save(path)


def voc(path: Path, file: str, *objects: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{file}</filename>{''.join(objects)}</annotation>")


def face(label: str, left: object = 2, right: object = 12, more: str = "") -> str:
    box = f"<xmin>{left}</xmin><ymin>4</ymin><xmax>{right}</xmax><ymax>14</ymax>"
    return f"<object><name>{label}</name><bndbox>{box}</bndbox>{more}</object>"


def cvat(root: Path, images: str) -> None:
    (root / "annotations.xml").write_text(
        f"<?xml version='1.0'?><annotations><version>1.1</version>{images}</annotations>"
    )


def box(label: str, left: int = 2, inner: str = "") -> str:
    sides = f'xtl="{left}" ytl="4" xbr="{left + 10}" ybr="14.0"'
    return f'<box label="{label}" occluded="0" {sides}>{inner}</box>'


def read(root: Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """Returns the samples and the reasons of those that are skipped, by key."""
    items = list(open_dataset(str(root)).reader)
    skipped = {item.key: item.reason for item in items if isinstance(item, Skipped)}
    return {item.key: item for item in items if isinstance(item, Sample)}, skipped


def test_each_object_of_voc_is_a_face(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        picture(tmp_path / f"JPEGImages/{name}.png")
    xml = tmp_path / "Annotations"
    voc(xml / "a.xml", "a.png", face("Happiness"), face("sad", 10, 20))
    voc(xml / "b.xml", "from/elsewhere.jpg", face("fear"))
    voc(xml / "c.xml", "c.png", face("sad", 12, 2))
    voc(xml / "d.xml", "d.png")
    (tmp_path / "ImageSets").mkdir()
    for label in ("happy", "sad"):  # lists by class, which are no labels
        (tmp_path / f"ImageSets/{label}_train.txt").write_text("a  1\nb -1\nc  1\n")
    samples, skipped = read(tmp_path)
    assert {key: (item.label, item.group) for key, item in samples.items()} == {
        "JPEGImages/a.png#0": ("happy", "JPEGImages/a.png"),
        "JPEGImages/a.png#1": ("sad", "JPEGImages/a.png"),
        "JPEGImages/b.png": ("fear", None),
    }
    for key, first in (("a.png#0", 20), ("a.png#1", 100), ("b.png", 20)):
        image = samples[f"JPEGImages/{key}"].image
        assert (image.shape, image[0, 0]) == ((10, 10), first)
    assert skipped == {
        "JPEGImages/c.png": "Annotations/c.xml: the box 12, 4, 2, 14 is damaged.",
        "JPEGImages/d.png": "It has no label.",
    }


@pytest.mark.parametrize(
    ("folders", "splits"),
    [(("train", "valid"), ("train", "validation")), (("m", "w"), (None,) * 2)],
)
def test_pictures_of_voc_are_those_nearest_to_their_file(tmp_path: Path, folders, splits) -> None:
    for folder, labels in zip(folders, (("happy", "sad"), ("sad", "happy", "fear")), strict=True):
        for number, label in enumerate(labels):
            picture(tmp_path / folder / f"images/{number}.png")
            voc(tmp_path / folder / f"labels/{number}.xml", f"{number}.png", face(label))
    first, second = folders
    voc(tmp_path / first / "labels/1.xml", "0.png", face("sad"))  # a stale name
    if None not in splits:  # the picture was not downloaded; that of validation is another
        voc(tmp_path / first / "labels/2.xml", "2.png", face("angry"))
    samples, skipped = read(tmp_path)
    assert {key: (item.label, item.split) for key, item in samples.items()} == {
        f"{first}/images/0.png": ("happy", splits[0]),
        f"{second}/images/0.png": ("sad", splits[1]),
        f"{second}/images/1.png": ("happy", splits[1]),
        f"{second}/images/2.png": ("fear", splits[1]),
    }
    assert "is called like it, but names 0.png" in skipped[f"{first}/images/1.png"]


def test_an_attribute_of_a_face_is_its_class(tmp_path: Path) -> None:
    for name, mood in (("a", "joy"), ("b", "sadness")):
        picture(tmp_path / f"{name}.png")
        value = f"<attribute><name>mood</name><value>{mood}</value></attribute>"
        more = f"<attributes>{value}</attributes><pose>{name}</pose><difficult>0</difficult>"
        voc(tmp_path / f"{name}.xml", f"{name}.png", face("face", more=more))
    samples, _ = read(tmp_path)
    assert {key: (item.label, item.extras) for key, item in samples.items()} == {
        "a.png": ("happy", {"pose": "a"}),
        "b.png": ("sad", {"pose": "b"}),
    }


@pytest.mark.parametrize("as_file", [False, True])
def test_boxes_and_tags_of_cvat(tmp_path: Path, as_file) -> None:
    for number in range(6):
        picture(tmp_path / f"images/{number}.png")
    age = '<attribute name="age">{}</attribute>'
    happy, sad = '<tag label="happy"/><tag label="woman"/>', '<tag label="sad"/>'
    faces = (
        box("anger", inner=age.format("young")) + box("fear", 9, age.format("old")),
        happy,
        box("face", 5) + sad,  # the tag of the only box
        box("face") + box("face", 9) + sad,
        happy + sad,
        "",
    )
    cvat(tmp_path, "".join(
        f'<image id="{n}" name="{n}.png" subset="{"Test" if n == 1 else "Train"}">{inner}</image>'
        for n, inner in enumerate(faces)
    ))  # fmt: skip
    samples, skipped = read(tmp_path / "annotations.xml" if as_file else tmp_path)
    facts = {
        key.removeprefix("images/"): (s.label, s.split, s.image.shape[0], s.image[0, 0])
        for key, s in samples.items()
    }
    assert facts == {
        "0.png#0": ("angry", "train", 10, 20),
        "0.png#1": ("fear", "train", 10, 90),
        "1.png": ("happy", "test", 20, 0),
        "2.png": ("sad", "train", 10, 50),
    }
    assert samples["images/0.png#1"].extras == {"age": "old"}
    assert list(skipped.values()) == [
        "It has several boxes, and its tag does not say which is meant.",
        "It has several tags: happy, sad.",
        "It has no label.",
    ]


def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
        voc(tmp_path / f"{name}.xml", f"{name}.png", face("happy" if name == "a" else "sad"))
    bomb = '<!DOCTYPE a [<!ENTITY h "happy">]><annotation><filename>c.png</filename></annotation>'
    (tmp_path / "c.xml").write_bytes(bomb.encode("utf-16"))
    samples, skipped = read(tmp_path)
    assert {key: item.label for key, item in samples.items()} == {"a.png": "happy", "b.png": "sad"}
    assert "c.xml is not read: it has a document type" in skipped["c.png"]
    with pytest.raises(DataError, match="Remove <!DOCTYPE"):
        open_dataset(str(tmp_path / "c.xml"))


def test_other_xml_does_not_matter(tmp_path: Path) -> None:
    for name in ("happy/a.png", "sad/b.png"):
        picture(tmp_path / name)
    (tmp_path / "happy/a.xml").write_text("<!DOCTYPE plist><plist/>")
    assert {key: item.label for key, item in read(tmp_path)[0].items()} == {
        "happy/a.png": "happy",
        "sad/b.png": "sad",
    }
