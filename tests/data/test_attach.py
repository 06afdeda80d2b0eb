"""Attaching pictures by content: csv, shuffled folders, re-encoded copies, paths that lead out."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data.attach import attach, match_pictures, path_below, read_attached, tree_pictures
from fer_core.data.plan import PrepareOptions
from fer_core.data.prepare import prepare, prepare_sources, publish_facts
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Sample
from fer_core.data.sources.tree import uploaded_trees
from fer_core.errors import ArtifactError, DataError
from tests.support.helpers import ListSource, noise

SIDE = 48
COUNT = 210


def smooth_images(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Smooth pictures with some texture, as faces have it."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(20, 236, (6, 6), dtype=np.uint8))
        base = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
        pictures.append((base + random.normal(0, 4, base.shape)).clip(0, 255).astype(np.uint8))
    return np.stack(pictures)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return smooth_images()


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory, images: np.ndarray) -> BenchmarkDir:
    """A benchmark without pictures; sample 5 is a copy of sample 4."""
    root = tmp_path_factory.mktemp("attach")
    splits = ("train", "validation", "test")
    items = [
        Sample(f"{n:04d}", images[4] if n == 5 else image, ("happy", "sad")[n % 2], splits[n % 3])
        for n, image in enumerate(images)
    ]
    dataset = prepare(ListSource(items), root / "elsewhere" / "toy", name="toy", side=SIDE)
    paths = ArtifactStore(root / "artifacts").benchmark("toy")
    publish_facts(dataset, paths)
    return paths


def expected_of(images: np.ndarray) -> dict[str, np.ndarray]:
    return {f"list/{n:04d}": images[4 if n == 5 else n] for n in range(len(images))}


def write_csv(path: Path, images: np.ndarray, order: np.ndarray) -> Path:
    pixels = [" ".join(map(str, images[n].ravel())) for n in order]
    pd.DataFrame({"emotion": 3, "pixels": pixels, "Usage": "Training"}).to_csv(path, index=False)
    return path


def write_folder(root: Path, images: np.ndarray, suffix: str, **options: int) -> Path:
    """Pictures in a random order, under names and in folders that say nothing."""
    order = np.random.default_rng(1).permutation(len(images))
    for place, n in enumerate(order):
        folder = root / f"part{place % 4}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[n]).save(folder / f"{place:05d}{suffix}", **options)
    return root


def test_a_csv_is_matched_bit_for_bit(tmp_path, benchmark, images):
    path = write_csv(tmp_path / "any.csv", images, np.random.default_rng(2).permutation(COUNT))
    before = benchmark.samples_path.read_bytes(), benchmark.info_path.read_bytes()
    attached = attach(benchmark, tmp_path / "data" / "toy", path)
    assert (attached.exact, attached.near, attached.samples) == (COUNT, 0, COUNT)
    assert attached.summary == f"{COUNT} of {COUNT} pictures are attached."
    stored = read_attached(tmp_path / "data" / "toy", benchmark.samples())
    for name, image in expected_of(images).items():
        assert np.array_equal(stored.images[stored.rows[name]], image), name
    assert before == (benchmark.samples_path.read_bytes(), benchmark.info_path.read_bytes())


def test_a_shuffled_folder_of_png_is_matched_bit_for_bit(tmp_path, benchmark, images):
    folder = write_folder(tmp_path / "pictures", images, ".png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    attached = attach(benchmark, tmp_path / "toy", folder)
    assert (attached.exact, attached.near, attached.unreadable) == (COUNT, 0, 1)


def test_jpeg_copies_are_matched_and_none_is_wrong(tmp_path, benchmark, images):
    folder = write_folder(tmp_path / "pictures", images, ".jpg", quality=90)
    attached = attach(benchmark, tmp_path / "toy", folder)
    assert attached.exact == 0
    assert attached.near >= 0.99 * COUNT
    wrong = [
        name
        for name, row in attached.rows.items()
        if np.abs(attached.images[row].astype(int) - expected_of(images)[name]).mean() > 6
    ]
    assert wrong == []
    assert f"{attached.near:,} re-encoded copies" in attached.summary


def test_exact_pictures_replace_copies_and_stay(tmp_path, benchmark, images):
    folder = tmp_path / "toy"
    attach(benchmark, folder, write_folder(tmp_path / "jpg", images, ".jpg", quality=90))
    half = write_csv(tmp_path / "half.csv", images, np.arange(100))
    attached = attach(benchmark, folder, half)
    assert attached.exact == 100
    again = attach(benchmark, folder, tmp_path / "jpg")
    assert (again.exact, again.near) == (attached.exact, attached.near)
    assert np.array_equal(again.images[again.rows["list/0007"]], images[7])


def test_pictures_of_something_else_are_refused_and_change_nothing(tmp_path, benchmark):
    folder = write_folder(tmp_path / "other", noise(20, seed=9), ".png")
    with pytest.raises(DataError, match="None of the 20 pictures in other is one of toy's 210"):
        attach(benchmark, tmp_path / "toy", folder)
    assert not (tmp_path / "toy" / "attached").exists()
    with pytest.raises(ArtifactError):
        read_attached(tmp_path / "toy", benchmark.samples())


def test_a_slightly_different_picture_is_no_copy(benchmark, images):
    """Two nearly equal images of the benchmark: a copy of one fits the other nearly as well."""
    twins = images.copy()
    twins[1] = (twins[0].astype(int) + np.eye(SIDE, dtype=int)).clip(0, 255)
    samples = benchmark.samples()
    from fer_core.data import quality

    for n in (0, 1):
        row = samples.index[samples["id"] == f"list/{n:04d}"][0]
        samples.loc[row, "sha1"] = quality.digest(twins[n])
        for name, value in quality.statistics(twins[n]).items():
            samples.loc[row, name] = value
        thumbnail = quality.thumbnail(twins[n])[None]
        samples.loc[row, "phash"] = quality.perceptual_hashes(thumbnail)[0]
    buffer = io.BytesIO()
    Image.fromarray(twins[0]).save(buffer, "JPEG", quality=90)
    copy = np.asarray(Image.open(buffer))
    assert match_pictures(benchmark.info(), samples, [copy]).rows == {}
    assert set(match_pictures(benchmark.info(), samples, [twins[0]]).rows) == {"list/0000"}


def test_uploads_are_matched_in_memory(benchmark, images):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(10):
            png = io.BytesIO()
            Image.fromarray(images[n]).save(png, "PNG")
            archive.writestr(f"a/{n}.png", png.getvalue())
        archive.writestr("../../etc/passwd.png", b"x")
    single = io.BytesIO()
    Image.fromarray(images[20]).save(single, "PNG")
    uploads = [("x.zip", buffer.getvalue()), ("../y.png", single.getvalue())]
    pictures = tree_pictures(uploaded_trees(uploads))
    attached = match_pictures(benchmark.info(), benchmark.samples(), pictures)
    assert set(attached.rows) == {*(f"list/{n:04d}" for n in range(10)), "list/0020"}
    with pytest.raises(DataError, match="no zip file that can be read"):
        uploaded_trees([("z.zip", b"PK\x03\x04 broken")])


def test_an_attached_folder_does_not_stop_a_preparation(tmp_path, benchmark, images):
    data = tmp_path / "toy"
    attach(benchmark, data, write_csv(tmp_path / "all.csv", images, np.arange(COUNT)))
    items = [
        Sample(f"{n:04d}", image, ("happy", "sad")[n % 2], ("train", "validation", "test")[n % 3])
        for n, image in enumerate(images[:30])
    ]
    options = PrepareOptions(side=SIDE)
    prepare_sources([SelectedSource(ListSource(items))], options, data, name="toy")
    assert (data / "images.npy").is_file()
    assert not (data / "attached").exists()


@pytest.mark.parametrize("text", ["..", "../outside", "/etc/passwd", "link", "a\0b", "missing", ""])
def test_no_path_leads_out_of_the_root(tmp_path, text):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    if text == "":
        assert path_below(root, text) == root.resolve()
        return
    with pytest.raises(DataError, match="no such file or folder below the folder of pictures"):
        path_below(root, text)


def test_a_path_below_the_root_is_taken(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert path_below(tmp_path, "a/b") == (tmp_path / "a" / "b").resolve()
    assert path_below(tmp_path, str(tmp_path / "a")) == (tmp_path / "a").resolve()


def test_links_out_of_the_folder_are_not_followed(tmp_path, benchmark, images):
    outside = write_folder(tmp_path / "outside", images[:5], ".png")
    folder = write_folder(tmp_path / "inside", images[10:12], ".png")
    (folder / "link").symlink_to(outside)
    (folder / "file.png").symlink_to(next(outside.rglob("*.png")))
    attached = attach(benchmark, tmp_path / "toy", folder)
    assert set(attached.rows) == {"list/0010", "list/0011"}
