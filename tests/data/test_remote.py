"""Datasets at a URL: copied whole, resumed, brought up to date, and refused with the reason."""

import functools
import http.server
import os
import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from fer_core.data import remote
from fer_core.data.remote import is_url, local_copy, shown_url
from fer_core.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of three files at two levels."""
    folder = tmp_path / "faces"
    for name, content in {"a.png": b"A", "happy/b.png": b"BB", "happy/c.png": b"CCC"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def url_of(path: Path) -> str:
    return f"file://{path}"


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Fetches:
    """Counts the files that are copied; fails from the given one on."""

    def __init__(self, monkeypatch, fail_at: int | None = None) -> None:
        self.names: list[str] = []
        self.fail_at = fail_at
        get = LocalFileSystem.get

        def counted(fs, paths, targets, **options):
            if self.fail_at is not None and len(self.names) >= self.fail_at:
                raise ConnectionResetError("connection reset by peer")
            self.names += [Path(path).name for path in paths]
            return get(fs, paths, targets, **options)

        monkeypatch.setattr(LocalFileSystem, "get", counted)


def test_a_folder_is_copied_and_read_like_a_local_one(source, tmp_path):
    copy = local_copy(url_of(source), tmp_path / "cache")
    assert copy.name == "faces"
    assert content(copy) == content(source)


def test_a_second_copy_reads_only_what_changed(source, tmp_path, monkeypatch):
    local_copy(url_of(source), tmp_path / "cache")
    (source / "a.png").write_bytes(b"other")
    os.utime(source / "a.png", (1, 1))
    (source / "happy" / "b.png").unlink()
    (source / "d.png").write_bytes(b"D")
    fetches = Fetches(monkeypatch)
    copy = local_copy(url_of(source), tmp_path / "cache")
    assert sorted(fetches.names) == ["a.png", "d.png"]
    assert content(copy) == content(source)


def test_a_broken_copy_goes_on_where_it_stopped(source, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_BATCH", 1)
    fetches = Fetches(monkeypatch, fail_at=2)
    with pytest.raises(DataError, match=r"connection reset by peer.*continues where it stopped"):
        local_copy(url_of(source), tmp_path / "cache")
    assert len(fetches.names) == 2
    fetches.fail_at = None
    copy = local_copy(url_of(source), tmp_path / "cache")
    assert sorted(fetches.names) == ["a.png", "b.png", "c.png"]
    assert content(copy) == content(source)


def test_a_large_file_goes_on_after_its_last_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_PIECE", 4)
    (tmp_path / "faces.zip").write_bytes(b"0123456789")
    starts = []
    read = LocalFileSystem.cat_file

    def piece(fs, path, start, end, **options):
        starts.append(start)
        if len(starts) == 2:
            raise ConnectionResetError("connection reset by peer")
        return read(fs, path, start, end, **options)

    monkeypatch.setattr(LocalFileSystem, "cat_file", piece)
    with pytest.raises(DataError, match="reset by peer"):
        local_copy(url_of(tmp_path / "faces.zip"), tmp_path / "cache")
    copy = local_copy(url_of(tmp_path / "faces.zip"), tmp_path / "cache")
    assert copy.name == "faces.zip"
    assert copy.read_bytes() == b"0123456789"
    assert starts == [0, 4, 4, 8]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/faces.zip", "cannot be read. Use an address that starts with one of s3://"),
        (
            "simplecache::s3://bucket/faces",
            "cannot be read. Use an address that starts with one of s3://",
        ),
        ("file:///no/such/folder", "There is nothing at file:///no/such/folder"),
    ],
)
def test_what_cannot_be_read_is_named(url, message, tmp_path):
    with pytest.raises(DataError, match=message):
        local_copy(url, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="There is no file below"):
        local_copy(url_of(tmp_path / "empty"), tmp_path / "cache")


def test_files_that_do_not_fit_on_the_disk_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_SPARE", 2**60)
    with pytest.raises(DataError, match=r"3 files .* do not fit.*FERSCOPE_DATA"):
        local_copy(url_of(source), tmp_path / "cache")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    def lacking(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacking)
    with pytest.raises(DataError, match=r"needs the package s3fs\. .* 'ferscope\[remote\]'"):
        local_copy("s3://bucket/faces", tmp_path / "cache")


def test_secrets_of_a_url_are_not_shown(tmp_path):
    url = "https://user:secret@127.0.0.1:9/faces.zip?signature=secret"
    assert shown_url(url) == "https://127.0.0.1:9/faces.zip"
    assert is_url(url)
    assert not is_url("C:\\faces")


def test_a_file_is_read_from_a_web_server(source, tmp_path):
    pytest.importorskip("aiohttp", reason="fsspec needs aiohttp for https://")
    handler = functools.partial(_Quiet, directory=str(source))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/happy/c.png"
        assert local_copy(url, tmp_path / "cache").read_bytes() == b"CCC"
        with pytest.raises(DataError, match="There is nothing at"):
            local_copy(url.replace("c.png", "none.png"), tmp_path / "cache")
        server.shutdown()


def test_a_bucket_is_copied_and_goes_on(source, tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="fsspec needs s3fs for s3://")
    server = pytest.importorskip("moto.server", reason="moto stands in for S3")
    threaded = server.ThreadedMotoServer("127.0.0.1", 0)
    threaded.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*threaded.get_host_and_port()))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(remote, "_PIECE", 2)
    try:
        bucket = fsspec.filesystem("s3")
        bucket.mkdir("pictures")
        bucket.put(str(source), "pictures/faces", recursive=True)
        copy = local_copy("s3://pictures/faces", tmp_path / "cache")
        assert content(copy) == content(source)
        bucket.pipe("pictures/faces/a.png", b"new")
        bucket.rm("pictures/faces/happy/b.png")
        local_copy("s3://pictures/faces", tmp_path / "cache")
        assert content(copy) == {"a.png": b"new", "happy/c.png": b"CCC"}
        with pytest.raises(DataError, match="There is nothing at s3://pictures/none"):
            local_copy("s3://pictures/none", tmp_path / "cache")
    finally:
        threaded.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
