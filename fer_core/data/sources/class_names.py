"""Meaning of a dataset's class names and numbers; ambiguous ones are an error, never a guess."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fer_core.data.sources.emotion_words import translated
from fer_core.errors import DataError, listed
from fer_core.labels import (
    AFFECTNET_CODES,
    FER2013_CODES,
    FERPLUS_COLUMNS,
    RAFDB_CODES,
    SEVEN_EMOTIONS,
    canonical_name,
)

CONTEMPT = "contempt"
MOST_SHOWN = 12
"""Maximum number of classes in a message; there may be hundreds of persons."""

PERSONS = 10
"""Number of numbered classes from which they are treated as persons, not emotions."""

Codes = Literal["fer2013", "affectnet", "rafdb", "ferplus", "ckplus", "alphabetical"]

CODE_TABLES: Mapping[str, Mapping[int, str]] = {
    "fer2013": {**FER2013_CODES, 7: CONTEMPT},
    "affectnet": AFFECTNET_CODES,
    "rafdb": RAFDB_CODES,
    "ferplus": dict(enumerate(FERPLUS_COLUMNS.values())),
    "ckplus": dict(
        enumerate(("neutral", "angry", CONTEMPT, "disgust", "fear", "happy", "sad", "surprise"))
    ),
    "alphabetical": dict(enumerate(SEVEN_EMOTIONS.names)),
}
"""Numbers of the classes, by dataset. `fer2013` is ExpW's order, too; its 7 is what copies of CK+
in the same layout use. `ckplus`: Lucey et al. 2010. `alphabetical`: what `ImageFolder` of
torchvision and `flow_from_directory` of Keras give to folders named by emotion."""

FORMAT_CODES = ("fer2013", "affectnet", "rafdb")
"""Code tables that are a `--format` of class folders as well."""

NO_EMOTION = frozenset({CONTEMPT, "none", "uncertain", "not_a_face", "unknown"})
"""Further classes of published datasets; readers of these datasets leave them out unless they are
mapped."""

CODE_WORDS = NO_EMOTION | {"other", "others", "calm", "compound"}
"""Classes that are no emotions of this project, in lists of class names."""

_FILLERS = frozenset(
    {"face", "faces", "facial", "image", "images", "img", "imgs", "picture", "pictures", "photo"}
    | {"photos", "emotion", "emotions", "expression", "expressions", "people", "person", "class"}
    | {"label", "set", "data", "dataset"}
)
_TFEID = re.compile(r"dfh_([a-z]+)_x")
"""Class folders of the Taiwanese Facial Expression Image Database: `dfh_anger_x`."""

_SPELLINGS = {
    "mad": "angry",
    "disguest": "disgust",  # TFEID's
    "disgusting": "disgust",
    "scared": "fear",
    "scare": "fear",
    "feared": "fear",
    "fearfull": "fear",
    "happily": "happy",
    "happines": "happy",
    "smile": "happy",
    "smiling": "happy",
    "natural": "neutral",
    "calm": "calm",
    "surprised": "surprise",
    "suprise": "surprise",
    "suprised": "surprise",
    "surprized": "surprise",
    "surprising": "surprise",
    "joyful": "happy",
    "ang": "angry",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happy",
    "neu": "neutral",
    "sur": "surprise",
    "contemptuous": CONTEMPT,
    "contempted": CONTEMPT,
}


_EMOJI = {
    "angry": "\U0001f620\U0001f621\U0001f624\U0001f92c",
    "disgust": "\U0001f922\U0001f92e",
    "fear": "\U0001f628\U0001f627",
    "happy": "\U0001f600\U0001f603\U0001f604\U0001f601\U0001f60a\U0001f642",
    "neutral": "\U0001f610\U0001f611",
    "sad": "\U0001f622\U0001f62d\U0001f641\U0001f61e\U0001f614\u2639",
    "surprise": "\U0001f62e\U0001f62f\U0001f632",
}
"""Faces of Unicode whose name or picture is the emotion."""


def emotion_of(name: str) -> str | None:
    """Returns the emotion (or contempt) that a class name means; None if it means none.

    `0_angry`, `01-angry`, `Angry faces`, `ANGER` and `Wut` are angry; `happily surprised` is not a
    single emotion, and `bored` is unknown.
    """
    tfeid = _TFEID.fullmatch(name.lower())
    words = re.split(r"[^a-z]+", tfeid[1] if tfeid else name.lower())
    words = [word for word in words if word and word not in _FILLERS]
    if not words:
        drawn = {label for label, faces in _EMOJI.items() if set(faces) & set(name)}
        return drawn.pop() if len(drawn) == 1 else translated(name)
    if len(words) != 1:
        return translated(name)
    known = canonical_name(_SPELLINGS.get(words[0], words[0]))
    return str(known) if known in (*SEVEN_EMOTIONS.names, CONTEMPT) else translated(name)


def code_of(name: str) -> int | None:
    """Returns the number in a class name (`3`, `03`, `3.0`); None if it is not a number."""
    match = re.fullmatch(r"\s*(\d{1,9})(?:\.0+)?\s*", name)
    return int(match.group(1)) if match else None


@dataclass(frozen=True)
class ClassReading:
    """Meaning of the class names of a dataset.

    Attributes:
        labels: Class by the dataset's name; empty if the class is left out.
        notes: Assumptions, as sentences for the user.
    """

    labels: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def left_out(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Returns the number of images that are left out, by reason."""
        reasons: dict[str, int] = {}
        for name, count in counts.items():
            if not self.labels[name]:
                reason = f"the class {self.shown(name)} is left out"
                reasons[reason] = reasons.get(reason, 0) + count
        return reasons

    def shown(self, name: str) -> str:
        """Returns the name of a left-out class for messages."""
        return self.meanings.get(name, name)

    def named_votes(self, votes: Mapping[str, int]) -> dict[str, int]:
        """Returns votes by class name, of which some are by numbers of classes."""
        named: dict[str, int] = {}
        for name, count in votes.items():
            label = self.labels.get(name) or self.shown(name)
            named[label] = named.get(label, 0) + count
        return named

    meanings: Mapping[str, str] = field(default_factory=dict)


def with_voted_codes(counts: Mapping[str, int], voted: Iterable[str]) -> dict[str, int]:
    """Returns counts of labels with the numbered classes that have votes, but no image."""
    codes = sorted(name for name in voted if code_of(name) is not None)
    return {**dict.fromkeys(codes, 0), **counts}


class Listed(Protocol):
    """A list of class names, such as `classes.txt`."""

    @property
    def file(self) -> str:
        """The list."""

    def meanings(self, codes: Iterable[int]) -> Mapping[int, str] | None:
        """Returns the name of each number; None if it is unclear."""


@dataclass(frozen=True)
class ClassNames:
    """Interpretation of class names.

    Attributes:
        mapping: Class names by the dataset's names, from the user; an empty one leaves the class
            out. Keys may be names of the dataset (`0`, `Anger`) or their meaning (`angry`).
        codes: Meaning of the numbers, a key of `CODE_TABLES`; None if it is unknown.
        left_out: Classes that are left out unless they are mapped.
        any_classes: Whether classes that are not emotions are accepted.
        formats: Whether messages suggest `--format` besides `--codes` (for class folders).
        listed: The dataset's list of class names, which gives numbers a meaning if `codes` is None.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    codes: str | None = None
    left_out: frozenset[str] = frozenset()
    any_classes: bool = False
    formats: bool = False
    listed: "Listed | None" = None

    def read(self, counts: Mapping[str, int], where: str) -> ClassReading:
        """Returns the meaning of class names.

        Args:
            counts: Number of images by the dataset's class names.
            where: Name of the dataset in messages.

        Raises:
            DataError: If numbers have no known meaning, no class is a known emotion, or the mapping
                names an unknown class; names the options that resolve it.
        """
        listed = self._listed(counts)
        mapping = self._checked_mapping(counts, listed, where)
        meanings = {
            name: listed.get(name) or self._meaning(name, where)
            for name in counts
            if name not in mapping
        }
        unknown = {name: counts[name] for name, meaning in meanings.items() if meaning is None}
        if unknown:
            raise DataError(self._question(unknown, where, partly=len(unknown) < len(counts)))
        known = {name: meaning for name, meaning in meanings.items() if meaning is not None}
        labels = {
            name: mapping[name] if name in mapping else self._kept(known[name]) for name in counts
        }
        reading = ClassReading(labels, tuple(self._notes(known, counts, listed)), known)
        emotions = {*SEVEN_EMOTIONS.names, CONTEMPT}
        if not mapping and not self.any_classes and not emotions & set(known.values()):
            raise DataError(_no_emotion(counts, where))
        return reading

    def _listed(self, counts: Mapping[str, int]) -> dict[str, str]:
        """Returns the meaning of numbers by the dataset's list of class names."""
        codes = {name: code for name in counts if (code := code_of(name)) is not None}
        if self.codes is not None or self.listed is None or not codes:
            return {}
        table = self.listed.meanings(codes.values())
        if table is None:
            return {}
        words = {name: table[code] for name, code in codes.items()}
        return {name: emotion_of(word) or word.strip().lower() for name, word in words.items()}

    def _kept(self, meaning: str) -> str:
        return "" if meaning in self.left_out else meaning

    def _meaning(self, name: str, where: str) -> str | None:
        """Returns the meaning of a name; None for a number of unknown meaning."""
        code = code_of(name)
        if code is None:
            return emotion_of(name) or name.strip().lower()
        if self.codes is None:
            return name.strip() if self.any_classes else None
        table = CODE_TABLES[self.codes]
        if code not in table:
            raise DataError(
                f"{where} has the class {name}, which is not a code of {self.codes} "
                f"({', '.join(f'{number} {label}' for number, label in table.items())}). Name "
                f"another meaning of the numbers with --codes, or map it: --map-class {name}=happy "
                f"(--map-class {name}= leaves it out)."
            )
        return str(table[code])

    def _checked_mapping(
        self, counts: Mapping[str, int], listed: Mapping[str, str], where: str
    ) -> dict[str, str]:
        """Returns the mapping by the dataset's names."""
        mapping: dict[str, str] = {}
        unused = dict(self.mapping)
        for name in counts:
            for key, label in self.mapping.items():
                if self._is_meant(key, name, listed.get(name)):
                    mapping[name] = str(canonical_name(label))
                    unused.pop(key, None)
        if unused:
            raise DataError(
                f"--map-class names {', '.join(map(repr, unused))}, but the classes of {where} are "
                f"{shown_names(counts)}. Correct the names."
            )
        return mapping

    def _is_meant(self, key: str, name: str, listed: str | None) -> bool:
        plain = key.strip().lower()
        if plain == name.strip().lower():
            return True
        code = code_of(name)
        if code is not None:
            by_number = code_of(key) == code
            meaning = CODE_TABLES[self.codes].get(code) if self.codes else listed
            return by_number or (meaning is not None and canonical_name(plain) == meaning)
        meaning = emotion_of(name) or name.strip().lower()
        return canonical_name(plain) == meaning or emotion_of(key) == meaning

    def _notes(
        self, meanings: Mapping[str, str], counts: Mapping[str, int], listed: Mapping[str, str]
    ) -> list[str]:
        notes = []
        if listed and self.listed is not None:
            coding = ", ".join(f"{name} {listed[name]}" for name in sorted(listed, key=_number))
            notes.append(f"Class numbers are those of {self.listed.file}: {coding}.")
        if self.codes and (codes := [name for name in meanings if code_of(name) is not None]):
            coding = ", ".join(f"{name} {meanings[name]}" for name in sorted(codes, key=_number))
            notes.append(f"Class numbers are those of {self.codes}: {coding}.")
        renamed = [
            f"{name} as {meaning}"
            for name, meaning in meanings.items()
            if code_of(name) is None and canonical_name(name) != meaning
        ]
        if renamed:
            notes.append(f"Read {', '.join(sorted(renamed)[:MOST_SHOWN])}.")
        emotions = {*SEVEN_EMOTIONS.names, CONTEMPT}
        if others := sorted({m for m in meanings.values() if m not in emotions | self.left_out}):
            notes.append(
                f"No known emotion, kept as classes of their own: {', '.join(others[:MOST_SHOWN])} "
                f"(--map-class {others[0]}=happy renames a class, --map-class {others[0]}= leaves "
                "it out)."
            )
        if CONTEMPT in meanings.values() and CONTEMPT in self.left_out:
            notes.append("Contempt is left out; --map-class contempt=contempt keeps it.")
        return notes

    def _question(self, numbers: Mapping[str, int], where: str, *, partly: bool) -> str:
        """Returns the question for the meaning of numbers, with the counts under each meaning."""
        total = sum(numbers.values())
        ordered = sorted(numbers, key=_number)
        maps = " ".join(f"--map-class {name}=happy" for name in ordered[:1])
        if len(numbers) >= PERSONS:
            return (
                f"{where} has {len(numbers)} classes that are numbers ({shown_names(numbers)}), "
                f"with {total:,} images: they look like persons or other categories, not emotions. "
                "Give the folder whose subfolders are the classes, or a list with path and label. "
                f"If they are classes, name each with {maps} ..., or take them as they are with "
                "--any-classes."
            )
        readings = [
            f"  {self._option(name):20} {_counts_under(table, numbers)}"
            for name, table in CODE_TABLES.items()
            if all(code_of(number) in table for number in numbers)
        ]
        some = "Some classes" if partly else "The classes"
        fits = (
            "They could mean:\n" + "\n".join(readings) + "\nChoose one with these options, or"
            if readings
            else "They fit no dataset that FERscope knows. Name their meaning:"
        )
        return (
            f"{some} of {where} are numbers ({', '.join(ordered)}), and nothing says what they "
            f"mean. {fits} name each class with {maps} ... (--map-class {ordered[0]}= leaves it "
            "out)."
        )

    def _option(self, table: str) -> str:
        return f"--{'format' if self.formats and table in FORMAT_CODES else 'codes'} {table}"


def _counts_under(table: Mapping[int, str], numbers: Mapping[str, int]) -> str:
    """Returns the class of each number under a meaning, and its number of images."""
    ordered = sorted(numbers, key=_number)
    return ", ".join(f"{n} {table[code_of(n) or 0]} ({numbers[n]:,})" for n in ordered)


def _number(name: str) -> tuple[int, str]:
    code = code_of(name)
    return (-1 if code is None else code, name)


def shown_names(names: Mapping[str, int]) -> str:
    """Returns names for a message; of many, the first ones and the number of the rest."""
    return listed(sorted(names, key=_number), MOST_SHOWN)


def _no_emotion(counts: Mapping[str, int], where: str) -> str:
    ordered = sorted(counts, key=_number)
    found = [f"{name} {counts[name]:,}" for name in ordered]
    return (
        f"None of the classes of {where} is a known emotion: "
        f"{listed(found, MOST_SHOWN)} images. If they are persons or splits, give "
        "the folder whose subfolders are the emotions, or a list with path and label; if the names "
        "of the files hold the classes, describe them with --pattern. If they are "
        f"the classes, map them (--map-class {ordered[0]}=happy), or take them as they are with "
        "--any-classes."
    )
