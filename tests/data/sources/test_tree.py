"""Archives as folders: same files, nothing written, nothing outside touched."""

import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from fer_core.data.sources import tree as trees
from fer_core.data.sources.tree import is_archive, open_tree
from fer_core.errors import DataError, ImageError


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    kind = "gz" if path.suffix in (".gz", ".tgz") else ""
    with tarfile.open(path, f"w:{kind}") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_files_are_listed_and_read(tmp_path: Path, name: str) -> None:
    members = {"x/b.txt": b"two", "x/a.png": b"one", "./y/c.png": b"three", "x/.hidden": b"no"}
    members |= {"__MACOSX/x/a.png": b"no"}
    path = (zip_of if name.endswith("zip") else tar_of)(tmp_path / name, members)
    tree = open_tree(path)
    assert tree.files == ("x/a.png", "x/b.txt", "y/c.png")
    assert tree.folders == ("x", "y")
    assert tree.read_picture("y/c.png") == b"three"
    below = tree.below("x")
    assert (below.files, below.title) == (("a.png", "b.txt"), "x")
    assert below.text("b.txt") == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/out.png", "x/../../out.png", "..\\out.png", "C:\\out.png"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_outside_the_archive_is_skipped(tmp_path: Path, name: str, kind: str) -> None:
    pack = zip_of if kind == "zip" else tar_of
    tree = open_tree(pack(tmp_path / f"a.{kind}", {name: b"x", "happy/a.png": b"y"}))
    assert tree.files == ("happy/a.png",)
    assert [item.reason for item in tree.skipped] == ["Its path points outside the archive."]


def test_backslashes_in_names_become_slashes(tmp_path: Path) -> None:
    assert open_tree(zip_of(tmp_path / "a.zip", {"x\\a.png": b"1"})).files == ("x/a.png",)


def test_links_in_archives_are_skipped(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(link)
    for name in ("a.zip", "a.tar"):
        tree = open_tree(tmp_path / name)
        assert (tree.files, len(tree.skipped)) == ((), 1)


def test_encrypted_files_are_skipped_with_the_remedy(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.png": b"x"})
    data = bytearray(path.read_bytes())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):  # the flags of both headers
        data[data.index(mark) + (6 if mark[2] == 3 else 8)] |= 1
    path.write_bytes(data)
    (item,) = open_tree(path).skipped
    assert "encrypted" in item.reason
    assert "password" in item.reason


def test_archives_over_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "a.zip", {f"{n}.png": b"x" * 100 for n in range(5)})
    monkeypatch.setattr(trees, "MAX_UNPACKED", 400)
    with pytest.raises(DataError, match="Unpack it and give the folder"):
        open_tree(path)
    monkeypatch.setattr(trees, "MAX_FILES", 4)
    with pytest.raises(DataError, match="more than 4 files"):
        open_tree(path)
    monkeypatch.setattr(trees, "MAX_BYTES", 50)
    monkeypatch.undo()
    monkeypatch.setattr(trees, "MAX_BYTES", 50)
    with pytest.raises(ImageError, match="the limit is"):
        open_tree(path).read_picture("0.png")


def test_a_compressed_tar_over_the_memory_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tar_of(tmp_path / "a.tar.gz", {"a.png": b"x" * 100})
    monkeypatch.setattr(trees, "MAX_UNPACKED", 400)
    with pytest.raises(DataError, match="more room than there is"):
        open_tree(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"cannot be read as an archive"):
        open_tree(tmp_path / name)


@pytest.mark.parametrize("name", ["a.7z", "a.rar"])
def test_other_archives_must_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"zip and tar are read\. Unpack it"):
        is_archive(tmp_path / name)


def test_circular_links_are_listed_once(tmp_path: Path) -> None:
    (tmp_path / "set/happy").mkdir(parents=True)
    (tmp_path / "set/happy/a.png").write_bytes(b"x")
    (tmp_path / "set/happy/up").symlink_to(tmp_path / "set")
    assert open_tree(tmp_path / "set").files == ("happy/a.png",)


def test_damaged_lzma_is_named_or_skipped(tmp_path: Path) -> None:
    """`LZMAError` is no OSError."""
    whole = tmp_path / "a.tar.xz"
    with tarfile.open(whole, "w:xz") as file:
        info = tarfile.TarInfo("happy/a.png")
        info.size = 50_000
        file.addfile(info, io.BytesIO(random.Random(0).randbytes(50_000)))
    damaged = bytearray(whole.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    whole.write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.tar\.xz"):
        open_tree(whole)
    packed = tmp_path / "b.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("happy/a.png", random.Random(1).randbytes(5_000))
        archive.writestr("happy/b.png", b"sound")
    content = bytearray(packed.read_bytes())
    content[1_000] ^= 255
    packed.write_bytes(content)
    tree = open_tree(packed)
    assert tree.read_picture("happy/b.png") == b"sound"
    with pytest.raises(ImageError):
        tree.read_picture("happy/a.png")


def test_a_member_without_a_name_is_skipped(tmp_path: Path) -> None:
    tree = open_tree(zip_of(tmp_path / "a.zip", {".": b"", "happy/a.png": b"1"}))
    assert tree.files == ("happy/a.png",)
