"""WebDataset: pictures with their label in a file of the same name, in shards or not."""

import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_dataset
from fer_core.data.sources.shards import with_shards
from fer_core.data.sources.tree import open_tree
from fer_core.errors import DataError
from tests.support.layouts import Pictures, tarred


def shard(root: Path, name: str, samples: dict[str, dict[str, str]]) -> Path:
    for key, texts in samples.items():
        Pictures().save(root / f"{name}/{key}.jpg")
        for suffix, text in texts.items():
            (root / f"{name}/{key}.{suffix}").write_text(text)
    (root / "x").mkdir(exist_ok=True)
    tarred(root / name, root / f"x/{name}.tar")
    return root / f"x/{name}.tar"


def compressed(tar: Path, suffix: str) -> None:
    """Replaces a tar by a compressed one."""
    opened = {"gz": gzip.open, "tgz": gzip.open, "xz": lzma.open}.get(suffix)
    new = tar.with_suffix(".tgz") if suffix == "tgz" else Path(f"{tar}.{suffix}")
    if opened:
        with opened(new, "wb") as file:
            file.write(tar.read_bytes())
    else:
        with pa.output_stream(str(new), compression="zstd") as file:
            file.write(tar.read_bytes())
    tar.unlink()


def facts(path: Path, **options: object) -> dict[str, object]:
    return {
        Path(item.key).name: (item.label, item.split) if isinstance(item, Sample) else item.reason
        for item in open_dataset(str(path), options=options).reader
    }


def test_numbers_in_shards_are_those_of_the_list_of_classes(tmp_path: Path) -> None:
    tars = [shard(tmp_path, "train-000000", {"a": {"cls": "0"}, "b": {"cls": "1"}}),
            shard(tmp_path, "test-000000", {"c": {"cls": "1\n"}})]  # fmt: skip
    with pytest.raises(DataError, match=r"nothing says what they mean(.|\n)*--map-class 0=happy"):
        open_dataset(str(tmp_path / "x"))
    stats = with_shards(open_tree(tmp_path / "x")).stats()
    assert {stat.size for stat in stats} == {tar.stat().st_size for tar in tars}
    (tmp_path / "x/classes.txt").write_text("sad\nhappy\n")
    expected = {"a.jpg": ("sad", "train"), "b.jpg": ("happy", "train"), "c.jpg": ("happy", "test")}
    assert facts(tmp_path / "x") == expected


@pytest.mark.parametrize("suffix", ["gz", "tgz", "xz", "zst"])
def test_shards_may_be_compressed(tmp_path: Path, suffix: str) -> None:
    shard(tmp_path, "train-000000", {"a": {"cls": "sad"}, "b": {"cls": "happy"}})
    compressed(shard(tmp_path, "test-000000", {"c": {"cls": "happy"}}), suffix)
    expected = {"a.jpg": ("sad", "train"), "b.jpg": ("happy", "train"), "c.jpg": ("happy", "test")}
    assert facts(tmp_path / "x") == expected
    (tmp_path / "x/train-000000.tar").unlink()
    (single,) = (tmp_path / "x").iterdir()
    assert facts(single) == {"c.jpg": ("happy", None)}
    assert open_tree(single).title == "test-000000"
    single.write_bytes(single.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{single.name} cannot be read as an archive"):
        open_dataset(str(single))


def test_keys_end_at_the_first_dot_if_no_label_has_the_longer_name(tmp_path: Path) -> None:
    for name, mood in (("1.face", "happy"), ("2.face", "sad")):
        Pictures().save(tmp_path / f"faces/{name}.jpg")
        (tmp_path / f"faces/{name[0]}.cls").write_text(mood)
    tarred(tmp_path / "faces", tmp_path / "faces.tar")
    expected = {"1.face.jpg": ("happy", None), "2.face.jpg": ("sad", None)}
    assert facts(tmp_path / "faces.tar") == expected


def test_fields_of_json_are_columns(tmp_path: Path) -> None:
    for key, mood in (("a", "happy"), ("b", "sad")):
        text = json.dumps({"expression": mood, "note": key})
        path = shard(tmp_path, "faces", {key: {"json": text, "txt": "sad"}, "d": {"json": "{"}})
    read = facts(path)
    assert "d.json is damaged" in str(read.pop("d.jpg"))
    assert read == {"a.jpg": ("happy", None), "b.jpg": ("sad", None)}


def test_a_field_of_another_name_is_asked_for(tmp_path: Path) -> None:
    path = shard(tmp_path, "faces", {key: {"json": f'{{"note": "n{key}"}}'} for key in "xy"})
    with pytest.raises(DataError, match=r"its columns are note, file.*--label"):
        open_dataset(str(path))
    read = facts(path, label="note", any_classes=True)
    assert read == {"x.jpg": ("nx", None), "y.jpg": ("ny", None)}


def test_texts_are_labels_unless_they_are_captions_or_boxes(tmp_path: Path) -> None:
    for number, text in enumerate(("Happy\n", "sad")):  # unpacked
        Pictures().save(tmp_path / f"a.{number}.jpg")
        (tmp_path / f"a.{number}.txt").write_text(text)
    assert facts(tmp_path) == {"a.0.jpg": ("happy", None), "a.1.jpg": ("sad", None)}
    for number in (0, 1):
        (tmp_path / f"a.{number}.txt").write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(DataError):
        open_dataset(str(tmp_path))
