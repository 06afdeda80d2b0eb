"""Reading in parts: a stopped preparation continues, and gives the bytes of an undisturbed one."""

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_core.data import quality, reading_parts
from fer_core.data.atomic_dir import locked_dir
from fer_core.data.plan import PreparePlan, parse_plan
from fer_core.data.prepare import prepare, prepare_plan
from fer_core.data.progress import silent
from fer_core.data.reading import read
from fer_core.data.reading_parts import PartCounts, ReadingParts, open_parts
from fer_core.data.selection import SelectedSource, open_sources
from fer_core.data.sources.base import Sample, Skipped, items_of
from fer_core.data.storage import encode
from fer_core.errors import ArtifactError, DataError
from tests.support.helpers import (
    ListSource,
    fer2013_table,
    noise,
    samples,
    votes_table,
    write_fer2013,
    write_images,
)

PARTS = 5  # items in a part


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_parts, "PART_ITEMS", PARTS)
    monkeypatch.setattr("os.fsync", lambda handle: None)  # slow, for hundreds of small parts


def folder(root: Path) -> Path:
    """48 pictures in three splits and two classes, and two damaged ones."""
    splits = itertools.product(("train", "val", "test"), ("happy", "sad"))
    layout = {"/".join(at): noise(8, seed=n, side=20) for n, at in enumerate(splits)}
    write_images(root, layout)
    (root / "train/happy/003b.png").write_bytes(b"x")
    (root / "val/sad/zz.jpg").write_bytes(b"x")
    return root


def archive(root: Path) -> Path:
    return Path(shutil.make_archive(str(root), "zip", folder(root)))


def table(root: Path) -> Path:
    """42 rows of FER2013 with votes."""
    rows = fer2013_table(42)
    root.mkdir()
    return write_fer2013(root, rows, votes_table(rows))


def listed(root: Path) -> Path:
    """36 pictures with a person, a number that is missing at times, and a late text column."""
    write_images(root, {"pictures": noise(36, seed=9, side=20)})
    lines = ["path,emotion,who,age,gender"]
    for number in range(36):
        age, gender = "" if number % 5 else 20.5 + number, "mf"[number % 2] * (number > 20)
        label = ("happy", "sad", "anger")[number % 3]
        lines.append(f"pictures/{number:03d}.png,{label},p{number // 2},{age},{gender}")
    (root / "list.csv").write_text("\n".join(lines))
    return root


def parquet(root: Path) -> Path:
    """40 rows in two files with small row groups; a class that is left out, a damaged image."""
    root.mkdir()
    labels = ["happy", "contempt", "sad", "sad", None]
    images = [encode(image) for image in noise(40, seed=5, side=20)]
    images[7] = b"x"
    rows = pa.table({"image": images, "label": [labels[n % 5] for n in range(40)]})
    pq.write_table(rows.slice(0, 23), root / "part-0.parquet", row_group_size=4)
    pq.write_table(rows.slice(23), root / "part-1.parquet", row_group_size=7)
    return root


def plan_content(sources: list[dict], **options) -> dict:
    split = {"transformed_copies": "off"} | options.pop("split", {})
    return {"sources": sources, "side": 16, "split": split, **options}


def plan_of(sources: list[dict], **options) -> PreparePlan:
    return parse_plan(plan_content(sources, **options), "test")


def simple(make: Callable[[Path], Path], **options) -> Callable[[Path], PreparePlan]:
    source = options.pop("source", {})
    return lambda root: plan_of([{"path": str(make(root / "set")), **source}], **options)


def several(root: Path) -> PreparePlan:
    return plan_of(
        [
            {"path": str(table(root / "fer")), "limit": 30, "mapping": {"disgust": ""}},
            {"path": str(folder(root / "set")), "name": "f", "classes": ["happy"], "limit": 17},
            {"path": str(listed(root / "list")), "mapping": {"anger": "angry"}, "group": "who"},
            {"path": "synthetic", "count": 37, "side": 48, "faults": True},
        ],
        split={"by": "random", "min_class": 3},
    )


PLANS: dict[str, Callable[[Path], PreparePlan]] = {
    "folder": simple(folder),
    "archive": simple(archive, ship_pictures=True),
    "csv": simple(table),
    "list": simple(listed, source={"group": "who"}, split={"by": "random"}),
    "parquet": simple(parquet, split={"by": "random"}),
    "several": several,
}


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> PreparePlan:
    return PLANS[request.param](tmp_path)


@pytest.fixture
def folder_plan(tmp_path: Path) -> PreparePlan:
    return PLANS["folder"](tmp_path)


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def prepared(plan: PreparePlan, place: Path) -> dict[str, bytes]:
    return contents(prepare_plan(plan, place, name="tiny").folder)


def parts_of(plan: PreparePlan, place: Path) -> ReadingParts:
    return open_parts(open_sources(plan), plan, place)


class StopError(BaseException):
    """Neither an error that is handled nor one that is explained, like KeyboardInterrupt."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Prepares until an image is to be stored, and returns how many items were read by then."""

    def stop(plan: PreparePlan, place: Path, image: int) -> int:
        digest, stored = quality.digest, itertools.count()

        def counted(pixels):
            if next(stored) == image:
                raise StopError
            return digest(pixels)

        with monkeypatch.context() as patch:
            patch.setattr("fer_core.data.reading.quality.digest", counted)
            with pytest.raises(StopError):
                prepare_plan(plan, place, name="tiny")
        return parts_of(plan, place).items_done()

    return stop


def test_part_sizes_do_not_change_a_byte(
    plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = prepared(plan, tmp_path / "small")
    monkeypatch.setattr(reading_parts, "PART_ITEMS", 4096)
    assert prepared(plan, tmp_path / "large") == small
    assert not list(tmp_path.glob(".*"))


def test_a_stopped_preparation_continues_with_the_same_bytes(
    plan: PreparePlan, tmp_path: Path, stop_at: Callable[..., int]
) -> None:
    expected = prepared(plan, tmp_path / "whole")
    before = stop_at(plan, tmp_path / "stopped", 12)  # in part 3 or later, if some are not stored
    assert before >= 2 * PARTS
    assert before % PARTS == 0 or len(plan.sources) > 1
    assert prepared(plan, tmp_path / "stopped") == expected
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_images_of_earlier_parts_are_not_decoded_again(
    folder_plan: PreparePlan,
    tmp_path: Path,
    stop_at: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stop_at(folder_plan, tmp_path / "set2", 32) == 6 * PARTS
    read_files: list[str] = []
    monkeypatch.setattr(
        "fer_core.data.sources.files.ImageFiles.colour", False
    )  # which decodes some images itself
    decode = sys.modules["fer_core.data.sources.files"].decode

    def noted(tree, name):
        read_files.append(name)
        return decode(tree, name)

    monkeypatch.setattr("fer_core.data.sources.files.decode", noted)
    shown: list[tuple[int, str]] = []

    def progress(items, length, title):
        for item in items:
            yield item
            shown.append((length, title))

    prepare_plan(folder_plan, tmp_path / "set2", name="tiny", progress=progress)
    assert len(read_files) == 50 - 6 * PARTS
    assert shown.count((50, "reading")) == 50  # the bar starts where reading was stopped


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(stops=st.lists(st.integers(0, 50), max_size=4))
def test_any_stops_give_the_reading_of_none(
    stops: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = _several_once(tmp_path_factory)
    sources = open_sources(plan)

    def reading(place: Path):
        parts = open_parts(sources, plan, place / "set")
        result = read(sources, plan, parts, place, silent)
        return result, parts.images_path.read_bytes()

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        for stop in stops:
            digest, stored = quality.digest, itertools.count()

            def counted(pixels, digest=digest, stored=stored, stop=stop):
                if next(stored) == stop:
                    raise StopError
                return digest(pixels)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("fer_core.data.reading.quality.digest", counted)
                try:
                    reading(Path(one))
                except StopError:
                    continue
        result, images = reading(Path(one))
        expected, whole = reading(Path(other))
    assert images == whole
    pd.testing.assert_frame_equal(result.samples, expected.samples)
    np.testing.assert_array_equal(result.thumbnails, expected.thumbnails)
    assert list(result.skipped.items()) == list(expected.skipped.items())
    assert result.left_out == expected.left_out


_SEVERAL: list[PreparePlan] = []


def _several_once(tmp_path_factory: pytest.TempPathFactory) -> PreparePlan:
    if not _SEVERAL:
        plan = several(tmp_path_factory.mktemp("several"))
        _SEVERAL.append(plan.model_copy(update={"sources": plan.sources[:3]}))  # none is drawn
    return _SEVERAL[0]


KILLED = """
import itertools, os, signal
from pathlib import Path
from fer_core.data import quality, reading, reading_parts
from fer_core.data.plan import parse_plan
from fer_core.data.prepare import prepare_plan
reading_parts.PART_ITEMS = {size}
stored, digest = itertools.count(), quality.digest
def counted(image):
    if next(stored) == {image}:
        os.kill(os.getpid(), signal.SIGKILL)
    return digest(image)
quality.digest = counted
prepare_plan(parse_plan({plan!r}, "test"), Path({place!r}), name="tiny")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_preparation_that_is_killed_twice_continues(tmp_path: Path) -> None:
    content = plan_content([{"path": str(folder(tmp_path / "set"))}])
    plan = parse_plan(content, "test")
    place = tmp_path / "killed"
    for image, done in ((13, 2 * PARTS), (24, 5 * PARTS)):  # the second one checks 10 images first
        code = KILLED.format(size=PARTS, image=image, place=str(place), plan=content)
        ended = subprocess.run([sys.executable, "-c", code], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert parts_of(plan, place).items_done() == done
        assert sorted(path.name for path in tmp_path.glob(".*")) == [
            ".killed.partial",
            ".killed.parts",
        ]
    assert prepared(plan, place) == prepared(plan, tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


@pytest.mark.parametrize("function", ["fer_core.data.reading_parts.atomic_path",
                                      "fer_core.data.reading_parts.write_json"])  # fmt: skip
def test_a_part_without_its_table_or_counts_is_read_again(
    folder_plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """Its images are in the file already."""
    module, _, name = function.rpartition(".")
    original = getattr(sys.modules[module], name)

    def stopped(path, *arguments):
        if path.name.startswith("part-000003"):
            raise StopError
        return original(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(function, stopped)
        with pytest.raises(StopError):
            prepare_plan(folder_plan, tmp_path / "stopped", name="tiny")
    assert parts_of(folder_plan, tmp_path / "stopped").items_done() == 3 * PARTS
    assert prepared(folder_plan, tmp_path / "stopped") == prepared(folder_plan, tmp_path / "whole")


def _truncate(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size - size if size < 0 else size)


def _flip(path: Path) -> None:
    """Changes one pixel of the fourth part."""
    data = bytearray(path.read_bytes())
    data[128 + 17 * 16 * 16] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], int]] = {
    "short table": (lambda place: _truncate(place / "part-000005.parquet", -50), 5),
    "empty table": (lambda place: _truncate(place / "part-000005.parquet", 0), 5),
    "no table": (lambda place: (place / "part-000004.parquet").unlink(), 4),
    "no counts": (lambda place: (place / "part-000005.json").unlink(), 5),
    "empty counts": (lambda place: _truncate(place / "part-000005.json", 0), 5),
    "other counts": (lambda place: (place / "part-000005.json").write_text("{}"), 5),
    "hole": (lambda place: (place / "part-000002.json").unlink(), 2),
    "no images": (lambda place: (place / "images.npy").unlink(), 0),
    "few images": (lambda place: _truncate(place / "images.npy", 128 + 11 * 256), 2),
    "part of an image": (lambda place: _truncate(place / "images.npy", 128 + 14 * 256 + 9), 2),
    "many images": (lambda place: os.truncate(place / "images.npy", 10**6), 6),
    "other pixel": (lambda place: _flip(place / "images.npy"), 3),
    "no key": (lambda place: (place / "key.json").unlink(), 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_parts_and_those_after_them_are_read_again(
    folder_plan: PreparePlan, tmp_path: Path, stop_at: Callable[..., int], damage: str
) -> None:
    assert stop_at(folder_plan, tmp_path / "stopped", 32) == 6 * PARTS
    change, kept = DAMAGES[damage]
    change(tmp_path / ".stopped.parts")
    titles: list[str] = []

    def progress(items, length, title):
        titles.append(title)
        return items

    parts = parts_of(folder_plan, tmp_path / "stopped")
    assert parts.start()[0] == kept
    prepare_plan(folder_plan, tmp_path / "stopped", name="tiny", progress=progress)
    assert "reading" in titles
    expected = prepared(folder_plan, tmp_path / "whole")
    assert contents(tmp_path / "stopped") == expected


def test_a_preparation_that_is_stopped_after_reading_reads_nothing_again(
    folder_plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.prepare.find_copies", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare_plan(folder_plan, tmp_path / "stopped", name="tiny")
    assert parts_of(folder_plan, tmp_path / "stopped").items_done() == 50
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.reading.RangeReader.read", lambda *_: 1 / 0)
        continued = prepared(folder_plan, tmp_path / "stopped")
    assert continued == prepared(folder_plan, tmp_path / "whole")


def _replace_image(root: Path) -> None:
    shutil.copyfile(root / "set/test/sad/000.png", root / "set/train/happy/000.png")


CHANGES: dict[str, Callable[[Path], object]] = {
    "other image": _replace_image,
    "same bytes, written later": lambda root: os.utime(root / "set/train/happy/000.png", (1, 1)),
    "new image": lambda root: shutil.copyfile(
        root / "set/test/sad/000.png", root / "set/train/happy/000a.png"
    ),
    "removed image": lambda root: (root / "set/train/happy/000.png").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_never_mixed_with_earlier_parts(
    folder_plan: PreparePlan, tmp_path: Path, stop_at: Callable[..., int], change: str
) -> None:
    assert stop_at(folder_plan, tmp_path / "stopped", 32) == 6 * PARTS
    CHANGES[change](tmp_path)
    assert parts_of(folder_plan, tmp_path / "stopped").items_done() == 0
    assert prepared(folder_plan, tmp_path / "stopped") == prepared(folder_plan, tmp_path / "whole")


def _touch(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("archive", "set.zip"),
        ("csv", "set/fer2013.csv"),
        ("csv", "set/fer2013new.csv"),
        ("list", "set/list.csv"),
        ("parquet", "set/part-1.parquet"),
        ("several", "list/pictures/004.png"),
    ],
)
def test_the_key_names_every_file_that_is_read(tmp_path: Path, name: str, touched: str) -> None:
    plan = PLANS[name](tmp_path)
    first = parts_of(plan, tmp_path / "x").key
    assert first is not None
    assert parts_of(plan, tmp_path / "x").key == first
    _touch(tmp_path / touched)
    assert parts_of(plan, tmp_path / "x").key != first


@pytest.mark.parametrize(
    "options",
    [
        {"side": 20},
        {"colour": "rgb"},
        {"clean": {"drop_flat": True}},
        {"ship_pictures": True},
        {"split": {"seed": 1}},
    ],
)
def test_the_key_names_the_options_and_another_one_empties_the_folder(
    folder_plan: PreparePlan, tmp_path: Path, stop_at: Callable[..., int], options: dict
) -> None:
    assert stop_at(folder_plan, tmp_path / "stopped", 32) == 6 * PARTS
    other = plan_of([{"path": str(tmp_path / "set")}], **options)
    assert parts_of(other, tmp_path / "stopped").items_done() == 0
    assert prepared(other, tmp_path / "stopped") == prepared(other, tmp_path / "whole")


def test_the_key_names_versions_and_readable_formats(
    folder_plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parts_of(folder_plan, tmp_path).key
    for name, value in (
        ("__version__", "9.9"),
        ("PIL.__version__", "9.9"),
        ("readable_formats", lambda: ()),
        ("PART_ITEMS", 6),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"fer_core.data.reading_parts.{name}", value)
            assert parts_of(folder_plan, tmp_path).key != first
    assert parts_of(folder_plan, tmp_path).key == first


def test_a_preparation_in_progress_keeps_its_parts_from_another_one(
    folder_plan: PreparePlan, tmp_path: Path, stop_at: Callable[..., int]
) -> None:
    assert stop_at(folder_plan, tmp_path / "stopped", 32) == 6 * PARTS
    before = contents(tmp_path / ".stopped.parts")
    other = folder_plan.model_copy(update={"side": 20})
    with locked_dir(tmp_path / "stopped"):
        for plan in (folder_plan, other):
            with pytest.raises(DataError, match="Another process is preparing"):
                prepare_plan(plan, tmp_path / "stopped", name="tiny")
    assert contents(tmp_path / ".stopped.parts") == before


def test_a_disk_that_fills_up_keeps_the_parts_and_says_how_to_continue(
    folder_plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, itertools.count()

    def full(handle: int) -> None:
        if next(calls) == 9:  # three for each part, and one for the key
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(ArtifactError, match="continues where it stopped"):
            prepare_plan(folder_plan, tmp_path / "stopped", name="tiny")
    assert parts_of(folder_plan, tmp_path / "stopped").items_done() == 2 * PARTS
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.storage.os.posix_fallocate", lambda *_: full(0))
        calls = itertools.repeat(9)
        with pytest.raises(ArtifactError, match=r"not enough space .*continues where it stopped"):
            prepare_plan(folder_plan, tmp_path / "stopped", name="tiny")
    assert parts_of(folder_plan, tmp_path / "stopped").items_done() == 2 * PARTS
    assert prepared(folder_plan, tmp_path / "stopped") == prepared(folder_plan, tmp_path / "whole")


def test_too_little_space_is_reported_before_reading_and_leaves_nothing(
    folder_plan: PreparePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fer_core.data.storage.os.posix_fallocate", full)
    monkeypatch.setattr("fer_core.data.reading.RangeReader.read", lambda *_: 1 / 0)
    with pytest.raises(ArtifactError, match=r"not enough space .* smaller --side\.$"):
        prepare_plan(folder_plan, tmp_path / "stopped", name="tiny")
    assert list(tmp_path.glob(".*")) == []


def test_a_class_without_readable_images_is_refused_in_continued_readings_too(
    tmp_path: Path, stop_at: Callable[..., int]
) -> None:
    root = folder(tmp_path / "set")
    for path in (root / "train/happy").iterdir():  # after test/, before train/sad and val/
        path.write_bytes(b"x")
    plan = plan_of([{"path": str(root)}])
    assert stop_at(plan, tmp_path / "stopped", 26) == 7 * PARTS
    for _ in range(2):  # also once all parts are done
        with pytest.raises(DataError, match="None of the images of the class 'happy' of the train"):
            prepare_plan(plan, tmp_path / "stopped", name="tiny")


def test_an_unknown_class_to_rename_is_refused_in_continued_readings_too(
    tmp_path: Path, stop_at: Callable[..., int]
) -> None:
    plan = plan_of([{"path": str(table(tmp_path / "fer")), "mapping": {"bored": "happy"}}])
    stop_at(plan, tmp_path / "stopped", 32)
    for _ in range(2):
        with pytest.raises(DataError, match="--map-class names bored"):
            prepare_plan(plan, tmp_path / "stopped", name="tiny")
    known = plan_of([{"path": str(table(tmp_path / "two")), "mapping": {"angry": "sad"}}])
    stop_at(known, tmp_path / "known", 40)  # the class was met in a part that is done
    prepare_plan(known, tmp_path / "known", name="tiny")


def test_items_from_a_position_are_those_of_the_whole_source(plan: PreparePlan) -> None:
    for selected in open_sources(plan):
        whole = list(selected.reader)
        for start in (0, 1, 7, 18, 19, 23, 30, 100):
            items = list(items_of(selected.reader, start))
            assert [_plain(item) for item in items] == [_plain(item) for item in whole[start:]]


def _plain(item: Sample | Skipped) -> object:
    """Returns an item's content as a value that can be compared."""
    return item if isinstance(item, Skipped) else vars(item) | {"image": item.image.tobytes()}


def test_a_saved_dataset_is_read_from_a_position_and_its_files_are_in_the_key(
    tmp_path: Path,
) -> None:
    datasets = pytest.importorskip("datasets")
    images = [{"bytes": encode(image), "path": None} for image in noise(12, seed=5, side=20)]
    columns = {"image": images, "label": ["happy", "sad"] * 6}
    features = datasets.Features(image=datasets.Image(), label=datasets.Value("string"))
    datasets.Dataset.from_dict(columns, features).save_to_disk(tmp_path / "saved")
    plan = plan_of([{"path": str(tmp_path / "saved")}], split={"by": "random"})
    (selected,) = open_sources(plan)
    whole = list(selected.reader)
    assert [item.key for item in items_of(selected.reader, 7)] == [item.key for item in whole[7:]]
    first = parts_of(plan, tmp_path / "x").key
    _touch(next((tmp_path / "saved").glob("*.arrow")))
    assert parts_of(plan, tmp_path / "x").key not in (None, first)


def test_images_left_out_are_counted_before_reading(plan: PreparePlan) -> None:
    """A reader that counted them while it is read would count those of the last parts only."""
    for selected in open_sources(plan):
        before = dict(getattr(selected.reader, "left_out", {}))
        list(selected.reader)
        assert dict(getattr(selected.reader, "left_out", {})) == before


def test_a_source_without_a_path_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListSource(samples(noise(60, side=20), ["happy", "sad"] * 30))
    assert SelectedSource(source).version is None
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.prepare.find_copies", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(source, tmp_path / "set", name="tiny", side=16)
    assert list(tmp_path.iterdir()) == []


def test_parts_of_large_images_are_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_parts, "PART_ITEMS", 4096)
    source = SelectedSource(ListSource([Skipped(str(n), "") for n in range(5000)], colour=True))
    sizes = {
        side: open_parts([source], plan_of([{"path": "x"}], side=side), tmp_path).ranges[0].stop
        for side in (48, 512)
    }
    assert sizes == {48: 4096, 512: 64 * 2**20 // (512 * 512 * 3)}


def test_counts_survive_the_disk() -> None:
    counts = PartCounts({"b": "x", "a": "y"}, {"z": 2}, {"sad", "happy"}, {(None, "sad")})
    content = counts.as_mapping()
    assert PartCounts.of(content) == counts
    assert list(PartCounts.of(content).skipped) == ["b", "a"]
