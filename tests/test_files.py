import errno
import os
from pathlib import Path

import pytest

from fer_core.errors import ArtifactError
from fer_core.files import atomic_path, read_json, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["file.txt"]


def test_file_permissions_follow_the_umask(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "weights") as temporary:
        temporary.touch(mode=0o600)  # as safetensors does
    (tmp_path / "usual").touch()
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_that_is_not_written_is_an_error_and_the_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ArtifactError, match=r"file\.txt could not be saved"), atomic_path(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_remedy_and_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "file.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(ArtifactError, match=r"disk is full.*file\.txt.*Free some space"),
        atomic_path(path) as temporary,
    ):
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_other_os_errors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    with (
        pytest.raises(ArtifactError, match=r"file\.txt could not be saved \(Permission denied\)"),
        atomic_path(tmp_path / "file.txt") as temporary,
    ):
        temporary.write_text("new")
    assert names(tmp_path) == []


def test_of_two_concurrent_writers_the_last_wins(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    first, second = atomic_path(path), atomic_path(path)
    one, two = first.__enter__(), second.__enter__()
    one.write_text("first " * 3)
    two.write_text("second")
    second.__exit__(None, None, None)
    assert path.read_text() == "second"
    first.__exit__(None, None, None)
    assert path.read_text() == "first " * 3
    assert names(tmp_path) == ["file.txt"]


def test_json_round_trip_keeps_text_readable(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"title": "Gefühle", "counts": [1, 2.5, None]})
    assert read_json(path) == {"title": "Gefühle", "counts": [1, 2.5, None]}
    assert "Gefühle" in path.read_text(encoding="utf-8")


def test_nan_is_refused_and_the_old_json_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"loss": 1.0})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == {"loss": 1.0}
    assert names(tmp_path) == ["file.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": 1', "is corrupt"), (b"\xff\xfe", "is corrupt"), (b"[1]", "is not a JSON")],
)
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"file\.json.*{message}"):
        read_json(path)


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"file\.json is missing"):
        read_json(tmp_path / "file.json")
