"""Every format by name, and which one a path holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_core.data.sources.affectnet import (
    AffectNetArraysSource,
    AffectNetCsvSource,
    AffectNetFolderSource,
    is_affectnet_csv,
)
from fer_core.data.sources.base import FORMATS, SYNTHETIC, Source
from fer_core.data.sources.fer2013 import Fer2013Source, Labels
from fer_core.data.sources.fer2013_folder import Fer2013FolderSource, is_fer2013_folder
from fer_core.data.sources.files import first_image, visible
from fer_core.data.sources.folder import SPLIT_NAMES, FolderSource
from fer_core.data.sources.huggingface import HuggingFaceSource, is_saved_dataset
from fer_core.data.sources.human_emotions import HumanEmotionsSource
from fer_core.data.sources.planted import PlantedSource
from fer_core.data.sources.rafdb import RafDbFolderSource, RafDbSource, find_list
from fer_core.data.sources.synthetic import SyntheticSource
from fer_core.errors import DataError


@dataclass(frozen=True)
class Options:
    """What a reader may be told beside the path; each reader takes what concerns it.

    Attributes:
        votes: FER2013: path of `fer2013new.csv`.
        labels: FER2013: which annotation is the label.
        mapping: Class names by the source's names; an empty one leaves the class out.
        image: Hugging Face: name of the image column.
        label: Hugging Face: name of the label column.
        count: Synthetic: number of images.
        side: Synthetic: side of the drawn images in pixels.
        seed: Synthetic: seed of the faces.
        faults: Synthetic: whether faults are planted and annotators simulated.
    """

    votes: Path | None = None
    labels: Labels | None = None
    mapping: Mapping[str, str] | None = None
    image: str | None = None
    label: str | None = None
    count: int = 1400
    side: int = 64
    seed: int = 0
    faults: bool = False


def open_source(path: str, form: str | None = None, options: Options | None = None) -> Source:
    """Returns the reader of a dataset.

    Args:
        path: A file or folder, `owner/name` on the Hugging Face hub, or `synthetic`.
        form: One of `FORMATS`; recognised from the path if not given.
        options: What the reader is told. The mapping reaches only the readers of class folders,
            which need not read what it leaves out; preparation applies it to the others.

    Raises:
        DataError: If the format is unknown or the path does not hold it.
    """
    chosen = form or recognise(path)
    options = options or Options()
    if form is None and chosen == "folder" and not options.mapping:
        _require_names(Path(path))
    if chosen not in FORMATS:
        raise DataError(f"The format {chosen!r} is unknown. Known: {', '.join(FORMATS)}.")
    return _OPENERS[chosen](path, options)


def recognise(path: str) -> str:
    """Returns the format that a path holds, `folder` if it is none of the known datasets.

    Raises:
        DataError: If the path does not exist.
    """
    place = Path(path)
    if path == SYNTHETIC:
        return SYNTHETIC
    if place.is_file():
        if place.suffix == ".parquet":
            return "huggingface"
        return "affectnet" if is_affectnet_csv(place) else "fer2013"
    if not place.exists():
        # Never taken for a dataset of the hub, which `owner/name` could be, too: a mistyped path
        # must not go to the network.
        raise DataError(
            f"{path} does not exist. Give a file, a folder, or `{SYNTHETIC}`; for a dataset of the "
            "Hugging Face hub, name the format huggingface as well."
        )
    if find_list(place) is not None:
        return "rafdb"
    if (place / "train_set" / "annotations").is_dir() or _affectnet_lists(place) is not None:
        return "affectnet"
    if is_saved_dataset(place) or next(place.rglob("*.parquet"), None) is not None:
        return "huggingface"
    if is_fer2013_folder(place):
        return "fer2013"
    return _of_codes(place) or "folder"


def _require_names(place: Path) -> None:
    """Refuses numbers that nobody has said the meaning of."""
    if names := _numbers(place):
        raise DataError(
            f"The class folders of {place} are numbers ({', '.join(sorted(names))}), and nothing "
            "says what they mean. Name the dataset with --format rafdb or --format affectnet, or "
            "each class with --map-class 1=happy."
        )


def _of_codes(place: Path) -> str | None:
    """Returns the dataset whose codes name a folder's class folders, if it can be told."""
    if not (codes := _numbers(place)):
        return None
    first = first_image(_class_parents(place)[0])
    if first is not None and first.stem.endswith("_aligned"):
        return "rafdb"
    return "affectnet" if "0" in codes and len(codes) >= 7 else None


def _numbers(place: Path) -> set[str]:
    """Returns the names of a folder's class folders if all are numbers."""
    parents = _class_parents(place)
    names = {path.name for folder in parents for path in visible(folder) if path.is_dir()}
    return names if all(name.isdecimal() for name in names) else set()


def _class_parents(place: Path) -> list[Path]:
    """Returns where class folders stand: in the split folders, if there are any."""
    splits = [path for path in visible(place) if path.name.lower() in SPLIT_NAMES]
    return [path for path in splits if path.is_dir()] or [place]


def _affectnet_lists(place: Path) -> Path | None:
    for folder in (place, place / "Manually_Annotated_file_lists"):
        if (folder / "training.csv").is_file() or (folder / "validation.csv").is_file():
            return folder
    return None


def _fer2013(path: str, options: Options) -> Source:
    if Path(path).is_dir():
        return Fer2013FolderSource(Path(path), mapping=options.mapping)
    return Fer2013Source(Path(path), options.votes, options.labels)


def _affectnet(path: str, options: Options) -> Source:
    place = Path(path)
    if place.is_file():
        return AffectNetCsvSource(place)
    if (place / "train_set" / "annotations").is_dir():
        return AffectNetArraysSource(place)
    if (lists := _affectnet_lists(place)) is not None:
        return AffectNetCsvSource(lists)
    return AffectNetFolderSource(place, mapping=options.mapping)


def _rafdb(path: str, options: Options) -> Source:
    place = Path(path)
    if find_list(place) is not None or not place.is_dir():
        return RafDbSource(place)
    return RafDbFolderSource(place, mapping=options.mapping)


_OPENERS: Mapping[str, Callable[[str, Options], Source]] = {
    "fer2013": _fer2013,
    "affectnet": _affectnet,
    "rafdb": _rafdb,
    "human-emotions": lambda path, options: HumanEmotionsSource(
        Path(path), mapping=options.mapping
    ),
    "folder": lambda path, options: FolderSource(Path(path), mapping=options.mapping),
    "huggingface": lambda path, options: HuggingFaceSource(
        path, image=options.image, label=options.label
    ),
    "synthetic": lambda _, options: (PlantedSource if options.faults else SyntheticSource)(
        options.count, options.seed, options.side
    ),
}
