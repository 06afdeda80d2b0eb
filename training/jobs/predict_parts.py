"""Predicting many files in parts, so that a stopped prediction continues where it stopped."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from fer_core.data.progress import Progress
from fer_core.errors import ArtifactError, DataError
from fer_core.files import read_json, write_json
from fer_core.predictor import Predictor
from fer_core.tables import write_table
from training.jobs.predict import Files, PredictOptions, Tally, check_any_read, moments_in

PICTURES = 500
"""Largest number of images in a part; each video is a part of its own."""

_COUNTS = tuple(item.name for item in fields(Tally) if item.name != "table")


@dataclass(frozen=True)
class PartsFolder:
    """The predictions of the parts that are done.

    Attributes:
        path: Folder; it is removed when the prediction is finished.
        key: Hash of files, runs and options; parts of another key are not used.
    """

    path: Path
    key: str

    def start(self) -> None:
        """Makes the folder; parts of another prediction are removed."""
        if not self._belongs():
            shutil.rmtree(self.path, ignore_errors=True)
            write_json(self.path / "key.json", {"key": self.key})

    def read(self, number: int) -> Tally | None:
        """Returns a part's predictions; None if it is not done or damaged."""
        try:
            counts = read_json(self._counts(number))
            table = pd.read_parquet(self._table(number))
            return Tally(table, **{name: counts[name] for name in _COUNTS})
        except (ArtifactError, OSError, ValueError, KeyError):
            return None

    def write(self, number: int, tally: Tally) -> None:
        """Writes a part's predictions; a part without its counts is not done."""
        write_table(self._table(number), tally.table)
        write_json(self._counts(number), {name: getattr(tally, name) for name in _COUNTS})

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _belongs(self) -> bool:
        try:
            return read_json(self.path / "key.json").get("key") == self.key
        except ArtifactError:
            return False

    def _table(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"

    def _counts(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.json"


def predict_in_parts(
    files: Files,
    predict: Callable[[Files, Progress], Tally],
    folder: PartsFolder,
    progress: Progress,
    every: float | None = None,
) -> Tally:
    """Predicts files part by part; parts that are done already are read.

    Args:
        files: Images and videos.
        predict: Predicts the files of a part.
        folder: Keeps the finished parts; the caller removes it once the result is saved.
        progress: Shows progress over images and frames.
        every: Seconds between the frames of a video; None for all frames.

    Returns:
        The same as predicting all files at once.

    Raises:
        DataError: If no file could be read.
        ArtifactError: If a run is damaged or a part cannot be written.
        WeightsError: If a run's weights are missing or damaged.
    """
    parts = split_files(files)
    folder.start()
    ticks = _Ticks(progress, [moments_in(part, every) for part in parts])
    tallies = []
    for number, part in enumerate(parts):
        tally = folder.read(number)
        if tally is None:
            tally = predict(part, ticks.of_part)
            folder.write(number, tally)
        ticks.finish(number)
        tallies.append(tally)
    joined = join(tallies)
    try:
        check_any_read(joined)
    except DataError:
        folder.remove()
        raise
    return joined


def split_files(files: Files) -> list[Files]:
    """Splits files into parts: images by the hundreds, videos one by one."""
    starts = range(0, len(files.pictures), PICTURES)
    parts = [Files(files.root, files.pictures[start : start + PICTURES], ()) for start in starts]
    parts += [Files(files.root, (), (video,)) for video in files.videos]
    return [Files(files.root, (), (), files.unreadable), *parts] if files.unreadable else parts


def join(tallies: Sequence[Tally]) -> Tally:
    """Joins the results of parts; rows of skipped files come last, as without parts."""
    joined = Tally()
    for tally in tallies:
        for name in _COUNTS:
            setattr(joined, name, _sum(getattr(joined, name), getattr(tally, name)))
    tables = [tally.table for tally in tallies if len(tally.table)]
    if tables:
        table = pd.concat(tables, ignore_index=True)
        texts = table.columns.intersection(["answer", "smoothed_answer"])
        table[texts] = table[texts].astype("str")  # a part without predictions has no text type
        skipped = table["note"].eq(table["file"].map(joined.skipped))
        joined.table = pd.concat([table[~skipped], table[skipped]], ignore_index=True)
    return joined


def prediction_key(
    files: Files,
    predictor: Predictor,
    run_ids: Sequence[str],
    options: PredictOptions,
    *,
    cropped: bool,
) -> str:
    """Returns a hash of all that a prediction depends on: files, networks and options."""
    paths = [*files.pictures, *files.videos]
    stats = [path.stat() for path in paths]
    content = [
        [
            (str(path), stat.st_size, stat.st_mtime_ns)
            for path, stat in zip(paths, stats, strict=True)
        ],
        [(info.run_id, str(info.created)) for info in predictor.runs()],
        [(run_id, predictor.calibration(run_id)) for run_id in run_ids],
        repr(options),
        cropped,
        sorted(map(str, files.unreadable)),  # they are the first part, if there are any
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _sum(first: Any, second: Any) -> Any:  # noqa: ANN401 (numbers, lists or dictionaries)
    return first | second if isinstance(first, dict) else first + second


class _Ticks:
    """One progress bar over the images and frames of all parts."""

    def __init__(self, progress: Progress, lengths: Sequence[int]) -> None:
        self._ticks = iter(progress(range(sum(lengths)), sum(lengths), "predicting faces"))
        self._lengths = lengths
        self._done = 0

    def of_part(self, items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
        """Passes a part's items on and counts them."""
        for item in items:
            yield item
            self._tick()

    def finish(self, number: int) -> None:
        """Counts what is left of the parts up to this one: it was done before, or skipped."""
        while self._done < sum(self._lengths[: number + 1]):
            self._tick()

    def _tick(self) -> None:
        next(self._ticks, None)
        self._done += 1
