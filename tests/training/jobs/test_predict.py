"""`predict` on folders, pictures and videos."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_core.data.faces import DetectedFace, jittered, picture_faces
from fer_core.data.imaging import open_picture
from fer_core.data.temporal_smoothing import smoothed
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.few_labels.set_adjustment import Fitted, SetAdjustment
from fer_core.evaluation.operating_points import calibrated_splits, operating_point
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Estimate
from fer_core.predictor import Predictor, calibrated
from fer_core.predictor.table import NO_FACE, TAKEN_AS_CROP, TOO_SMALL, Sighting, face_numbers
from tests.support.uploads import QuarterDetector, png
from tests.support.video import write_video
from training import __main__ as cli
from training.jobs.predict import PredictOptions, find_files, predict_part
from training.terminal.predictions import timeline
from training.terminal.progress import console

NETWORK = "efficientnet_lite0-cpu-s0"
RUNS = ["efficientnet_lite0-cpu-s0", "efficientnet_lite0-cpu-s1", "pair-cpu", "resnet34-cpu-s0"]


def plain(items, length, title):
    return iter(items)


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor(toy.benchmark)


@pytest.fixture
def folder(tmp_path):
    """Two pictures, one of them in a folder, a damaged one, a video, and something else."""
    place = tmp_path / "mine"
    (place / "deep").mkdir(parents=True)
    (place / "a.png").write_bytes(png(0, 3))
    (place / "deep" / "b.PNG").write_bytes(png(1))
    (place / "bad.jpg").write_bytes(b"\xff\xd8nothing")
    (place / "notes.txt").write_text("no picture")
    frame = np.asarray(Image.open(place / "deep" / "b.PNG").convert("RGB"))
    dark = np.full_like(frame, 30)
    write_video(place / "c.avi", [frame, frame, dark, frame, frame[::-1]])
    (place / "d.mp4").write_bytes(b"no video")
    return place


@pytest.fixture
def run(toy, monkeypatch):
    monkeypatch.setattr(console, "width", 200)

    def run(*arguments):
        common = ("--benchmark", "toy", "--artifacts", str(toy.artifacts), "--device", "cpu")
        words = ["predict", *map(str, arguments), *common]
        result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_one_row_per_face_and_run(folder, predictor):
    tally = predict_part(find_files(folder), predictor, RUNS, QuarterDetector(), plain)
    assert (tally.pictures, tally.frames, tally.faceless_frames) == (2, 5, 1)
    assert set(tally.skipped) == {"bad.jpg", "d.mp4"}
    table = tally.table
    assert list(table["run"][:4]) == RUNS
    assert table.groupby("file")["run"].count().to_dict() == {
        "a.png": 8, "bad.jpg": 4, "c.avi": 20, "d.mp4": 4, "deep/b.PNG": 4
    }  # fmt: skip
    unread = table[table["file"].isin(tally.skipped)]
    assert dict(zip(unread["file"], unread["note"], strict=True)) == tally.skipped
    assert (
        unread[["frame", "seconds", "face", "left", "answer", "confidence"]].isna().all(axis=None)
    )
    table = table.drop(unread.index)
    empty = table[table["face"].isna()]
    assert list(empty["frame"]) == [2] * 4
    assert list(empty["run"]) == RUNS
    assert (empty["note"] == NO_FACE).all()
    assert empty[["left", "score", "answer", "confidence", "p_happy"]].isna().all(axis=None)
    table = table[table["face"].notna()].reset_index(drop=True)
    shares = table[[f"p_{name}" for name in predictor.labels.names]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    best = shares.idxmax(axis=1).str.removeprefix("p_")
    assert (best == table["answer"]).all()
    picture = table[table["file"] == "a.png"]
    assert list(picture["face"]) == [0] * 4 + [1] * 4
    crops = [c.crop for c in picture_faces(open_picture(png(0, 3)), QuarterDetector()).crops]
    expected = predictor.predict(crops, [NETWORK])[0].calibrated
    np.testing.assert_allclose(
        shares[(table["file"] == "a.png") & (table["run"] == NETWORK)], expected, atol=1e-6
    )


def test_frames_times_and_persons_of_a_video(folder, predictor):
    tally = predict_part(
        find_files(folder / "c.avi"), predictor, [NETWORK], QuarterDetector(), plain,
        PredictOptions(smooth=0.2),
    )  # fmt: skip
    assert list(tally.table["frame"]) == [0, 1, 2, 3, 4]
    assert tally.table["smoothed_answer"].isna().tolist() == [False, False, True, False, False]
    table = tally.table[tally.table["face"].notna()]
    assert list(table["frame"]) == [0, 1, 3, 4]
    np.testing.assert_allclose(table["seconds"].astype(float), [0, 0.1, 0.3, 0.4], atol=1e-3)
    assert list(table["face"]) == [0, 0, 0, 1]  # the last frame shows somebody at another place
    raw = table[[f"p_{name}" for name in predictor.labels.names]].to_numpy()
    steady = table[[f"smoothed_{name}" for name in predictor.labels.names]].to_numpy()
    seconds = table["seconds"].to_numpy(dtype=float)
    np.testing.assert_allclose(steady[:3], smoothed(seconds[:3], raw[:3], 0.2))
    np.testing.assert_allclose(steady[3], raw[3])
    assert table["smoothed_answer"].notna().all()


def test_a_face_that_returns_late_gets_a_new_number():
    face = DetectedFace(0, 0, 10, 10, 1.0)
    seen = [Sighting("v", frame, float(frame), 0, face) for frame in (0, 1, 3, 9)]
    assert face_numbers(seen, {"v": range(10)}) == [0, 0, 0, 1]
    assert face_numbers(seen, {"v": [0, 1, 3, 9]}) == [
        0,
        0,
        0,
        0,
    ]  # the next frame that was looked at


def test_the_command_writes_both_kinds_of_table(folder, run, tmp_path):
    output = run(folder, "--cropped", "--out", tmp_path / "a.parquet", "--smooth", "1")
    assert "skipped bad.jpg" in output
    assert "skipped d.mp4: d.mp4 cannot be read as a video" in output
    assert "c.avi, 1 face" in output
    assert "2 images and 5 video frames" in output
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert len(table) == (7 + 2) * 4  # two files could not be read
    assert list(table["run"].unique()) == RUNS
    assert table.loc[table["file"] == "a.png", ["frame", "seconds"]].isna().all(axis=None)
    assert table.loc[table["file"] == "a.png", "smoothed_answer"].isna().all()
    run(folder, "--cropped", "--run", NETWORK, "--out", tmp_path / "a.csv", "--fps", "5")
    again = pd.read_csv(tmp_path / "a.csv")
    assert list(again["file"]) == ["a.png", "deep/b.PNG", *["c.avi"] * 3, "bad.jpg", "d.mp4"]
    first = table[(table["file"] == "a.png") & (table["run"] == NETWORK)]
    assert again["p_happy"][0] == pytest.approx(first["p_happy"].iloc[0], rel=1e-4)


def test_a_folder_at_a_url_is_predicted_like_a_local_one(folder, run, tmp_path):
    options = ["--cropped", "--run", NETWORK, "--data", tmp_path / "data", "--out"]
    run(folder, *options, tmp_path / "a.parquet")
    run(f"file://{folder}", *options, tmp_path / "b.parquet")
    table = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "b.parquet"), table)


def test_unsure_predictions_are_empty_and_counted(folder, run, tmp_path):
    out = tmp_path / "a.parquet"
    output = run(folder / "a.png", "--cropped", "--out", out, "--unsure-below", "1")
    assert pd.read_parquet(out)["answer"].isna().all()
    assert "unsure" in output


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (["missing"], DataError, "There is no file or folder"),
        (["empty"], DataError, "has no image"),
        (["mine/d.mp4"], DataError, "cannot be read as a video"),
        (["mine/notes.txt"], DataError, "is not a picture"),
        (["mine", "--run", "../x"], ArtifactError, "has no run '../x'"),
        (["mine", "--out", "a.xls"], DataError, r"must end in \.parquet"),
        (["mine", "--fps", "1", "--every", "1"], DataError, "not both"),
    ],
)
def test_errors_name_the_remedy(folder, run, tmp_path, options, error, says):
    (tmp_path / "empty").mkdir()
    out = [] if "--out" in options else ["--out", str(tmp_path / "a.csv")]
    with pytest.raises(error, match=says):
        run(str(tmp_path / options[0]), *options[1:], *out)
    assert not (tmp_path / "a.csv").exists()


def test_pictures_without_a_face_have_a_row(folder, predictor):
    """Every picture is accounted for, whatever came of it."""
    blank = Image.new("RGB", (300, 200), (90, 90, 90))
    blank.save(folder / "blank.jfif", "JPEG")
    blank.save(folder / "blank.avif")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (folder / "raw.cr2").write_bytes(b"II*\0")
    tally = predict_part(find_files(folder), predictor, [NETWORK], QuarterDetector(), plain)
    assert tally.faceless == {"blank.avif": NO_FACE, "blank.jfif": NO_FACE}
    rows = tally.table.set_index("file").loc[["blank.avif", "blank.jfif"]]
    assert len(rows) == 2
    assert rows[["face", "left", "answer", "p_sad"]].isna().all(axis=None)
    assert (rows["note"] == NO_FACE).all()
    assert set(tally.skipped) == {"bad.jpg", "d.mp4", "phone.heic", "raw.cr2"}
    assert "pip install pillow-heif" in tally.skipped["phone.heic"]
    assert tally.skipped["raw.cr2"] == (
        "raw.cr2 is a camera's raw file. Export it as a JPEG or PNG file."
    )


def test_a_video_without_a_face_gives_a_table(tmp_path, predictor):
    path = write_video(tmp_path / "a.avi", [np.full((96, 96, 3), 30, np.uint8)] * 3)
    tally = predict_part(find_files(path), predictor, [NETWORK], QuarterDetector(), plain)
    assert list(tally.table["frame"]) == [0, 1, 2]
    assert tally.table["face"].isna().all()
    assert tally.faceless_frames == 3
    assert list(timeline(tally.table, 3)[NETWORK]) == ["no face"] * 3


def test_small_square_images_are_treated_as_cropped_and_small_faces_reported(tmp_path, predictor):
    class Small(QuarterDetector):
        def detect(self, image):
            return (DetectedFace(0, 0, 20, 20, 1.0),) if image.width == 120 else ()

    noise = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "crop.png")
    Image.fromarray(noise).resize((120, 120)).save(tmp_path / "group.png")
    Image.new("L", (48, 48), 128).save(tmp_path / "flat.png")
    tally = predict_part(find_files(tmp_path), predictor, [NETWORK], Small(), plain)
    table = tally.table.set_index("file")
    assert table["note"].to_dict() == {
        "crop.png": TAKEN_AS_CROP, "flat.png": NO_FACE, "group.png": TOO_SMALL
    }  # fmt: skip
    assert table["answer"].notna().to_dict() == {
        "crop.png": True, "flat.png": False, "group.png": False
    }  # fmt: skip
    assert table.loc["group.png", ["left", "right", "face"]].tolist() == [0, 20, 0]
    assert tally.cropped == ["crop.png"]
    expected = predictor.predict([Image.fromarray(noise)], [NETWORK])[0].calibrated[0]
    shown = table.loc["crop.png", [f"p_{name}" for name in predictor.labels.names]]
    np.testing.assert_allclose(shown.to_numpy(float), expected, atol=1e-6)


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {})])
def test_all_frames_of_an_animation_on_request(tmp_path, predictor, kind, options):
    bright = Image.open(io.BytesIO(png(1))).convert("RGB")
    dark = Image.new("RGB", bright.size, (30, 30, 30))
    path = tmp_path / f"a.{kind.lower()}"
    bright.save(path, kind, save_all=True, append_images=[dark, bright], duration=200, **options)
    files = find_files(path)
    first = predict_part(files, predictor, [NETWORK], QuarterDetector(), plain).table
    assert first[["frame", "seconds"]].isna().all(axis=None)
    assert len(first) == 1
    every = predict_part(
        files, predictor, [NETWORK], QuarterDetector(), plain, PredictOptions(all_frames=True)
    ).table
    assert list(every["frame"]) == [0, 1, 2]
    np.testing.assert_allclose(every["seconds"].astype(float), [0, 0.2, 0.4])
    assert every["face"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_cut_animation_keeps_the_frames_before_the_cut(tmp_path, predictor, kept):
    random = np.random.default_rng(0)
    frames = [
        Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)) for _ in range(4)
    ]
    path = tmp_path / "cut.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=200)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    tally = predict_part(
        find_files(path), predictor, [NETWORK], None, plain, PredictOptions(all_frames=True)
    )
    assert tally.pictures == 1
    assert list(tally.skipped) == ["cut.gif"]
    assert "is damaged or cut off" in tally.skipped["cut.gif"]
    whole = int(kept * 4)
    assert list(tally.table["frame"][:whole]) == list(range(whole))
    assert tally.table["answer"].notna().tolist() == [True] * whole + [False]
    assert list(tally.table["note"]) == [""] * whole + [tally.skipped["cut.gif"]]


def test_the_command_writes_the_frames_before_the_cut(tmp_path, run):
    random = np.random.default_rng(0)
    first, *others = (
        Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)) for _ in range(4)
    )
    path, out = tmp_path / "cut.gif", tmp_path / "a.csv"
    first.save(path, save_all=True, append_images=others)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4 - 100])
    output = run(path, "--all-frames", "--cropped", "--run", NETWORK, "--out", out)
    assert "skipped cut.gif: cut.gif is damaged or cut off" in output
    table = pd.read_csv(out)
    assert table["frame"].tolist()[:2] == [0, 1]
    assert table["answer"].notna().tolist() == [True, True, False]


def test_jitter_averages_five_crops_of_each_face(folder, predictor):
    files = find_files(folder / "a.png")
    table = predict_part(
        files, predictor, [NETWORK], QuarterDetector(), plain, PredictOptions(jitter=True)
    ).table
    picture = open_picture(png(0, 3))
    crops = picture_faces(picture, QuarterDetector()).crops
    for row, crop in zip(table.to_dict("records"), crops, strict=True):
        five = predictor.predict(jittered(picture, crop.frame), [NETWORK])[0]
        mean = calibrated(five.probabilities.mean(axis=0), five.temperature)
        assert row["p_happy"] == pytest.approx(mean[list(predictor.labels.names).index("happy")])


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_name_that_is_not_utf8_is_written_in_printable_form(tmp_path, run, ending):
    place = tmp_path / "unpacked"
    place.mkdir()
    (place / "good.png").write_bytes(png(0))
    (place / os.fsdecode(b"bad\xff.png")).write_bytes(png(1))
    (place / os.fsdecode(b"none\xff.png")).write_bytes(b"nothing")
    (place / os.fsdecode(b"raw\xff.cr2")).write_bytes(b"II*\0")
    (place / os.fsdecode(b"film\xff.avi")).write_bytes(b"no video")
    out = tmp_path / f"out{ending}"
    output = run(place, "--run", NETWORK, "--cropped", "--out", out)
    table = pd.read_csv(out) if ending == ".csv" else pd.read_parquet(out)
    table = table.set_index("file")
    skipped = [r"film\udcff.avi", r"none\udcff.png", r"raw\udcff.cr2"]
    assert sorted(table.index) == [r"bad\udcff.png", *skipped[:1], "good.png", *skipped[1:]]
    assert table["confidence"].notna().sum() == 2
    assert [note[:4] for note in table.loc[skipped, "note"]] == ["film", "none", "raw\\"]
    assert r"skipped none\udcff.png" in output
    assert not (tmp_path / f"out{ending}.parts").exists()


def test_pictures_without_a_suffix_are_predicted(tmp_path, predictor):
    (tmp_path / "noext").write_bytes(png(0))
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png(1))).save(buffer, "BMP")
    (tmp_path / "bitmap").write_bytes(buffer.getvalue())
    (tmp_path / "README").write_text("BMW and Audi: no picture")
    files = find_files(tmp_path)
    assert [path.name for path in files.pictures] == ["bitmap", "noext"]
    assert predict_part(files, predictor, [NETWORK], None, plain).pictures == 2


def test_the_timeline_is_summarised():
    table = pd.DataFrame(
        {
            "seconds": [0.0, 1.0, 2.0, 3.0, 4.0, 10.0],
            "run": "a",
            "answer": ["happy", "happy", "sad", None, "sad", "fear"],
        }
    )
    lines = timeline(table, 5)
    assert list(lines["a"]) == [
        "happy 100%", "sad 50%", "sad 100%", "no face", "fear 100%"
    ]  # fmt: skip
    assert list(lines["start"]) == [0, 2, 4, 6, 8]


def test_an_operating_point_is_obeyed(folder, run, toy, tmp_path):
    path = tmp_path / "operating_point.json"
    for threshold, unsure in ((0.0, False), (1.0, True)):
        _point(toy, threshold).write(path)
        out = tmp_path / "a.parquet"
        run(folder / "a.png", "--cropped", "--out", out, "--operating-point", path)
        table = pd.read_parquet(out)
        assert list(table["run"]) == [NETWORK]
        assert table["answer"].isna().all() == unsure


def test_an_operating_point_of_another_run_is_refused(folder, run, toy, tmp_path):
    path = tmp_path / "operating_point.json"
    _point(toy, 0.5).write(path)
    with pytest.raises(ArtifactError, match="was chosen for toy/efficientnet_lite0-cpu-s0"):
        run(folder / "a.png", "--operating-point", path, "--run", "pair-cpu")
    with pytest.raises(DataError, match="not both"):
        run(folder / "a.png", "--operating-point", path, "--unsure-below", ".5")
    with pytest.raises(DataError, match="There is no file"):
        run(folder / "a.png", "--operating-point", tmp_path / "none.json")


def test_temperature_and_priors_of_labels_are_obeyed(folder, run, toy, tmp_path):
    path, out = tmp_path / "operating_point.json", tmp_path / "a.parquet"
    plain = _point(toy, 0.0)
    shift = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5)
    one = Estimate(value=1.0, low=0.5, high=2.0)
    adjustment = SetAdjustment(
        set_name="mine", labels=60, fitted=Fitted.PRIORS, temperature=one, shares=(one,) * 7,
        logit_shift=shift, gain=Estimate(value=0.1, low=0.05, high=0.15),
    )  # fmt: skip
    changed = plain.model_copy(update={"temperature": 2.0, "adjustment": adjustment})
    rows = []
    for point in (plain, changed):
        point.write(path)
        run(folder / "a.png", "--cropped", "--out", out, "--operating-point", path)
        rows.append(pd.read_parquet(out).iloc[0])
    names = [f"p_{name}" for name in toy.dataset.labels.names]
    before, after = (row[names].to_numpy(dtype=float) for row in rows)
    assert rows[1]["temperature"] == 2.0
    expected = before ** (plain.temperature / 2.0) * np.exp(shift)
    assert after == pytest.approx(expected / expected.sum(), abs=1e-6)


def _point(toy, threshold):
    directory = toy.benchmark.run(NETWORK)
    read = Predictions.read(directory.predictions_path, toy.dataset.labels)
    splits = calibrated_splits(read.split("validation"), read.split("test"))
    thresholds = dict.fromkeys(toy.dataset.labels.names, threshold)
    return operating_point("toy", directory.info(), splits, thresholds)
