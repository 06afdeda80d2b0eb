"""Metadata in file names of published datasets: person, expression, conditions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NamedFile:
    """Metadata in a file's name.

    Attributes:
        group: The person; None if the name does not contain it.
        label: The expression; None if the name does not contain it.
        split: The name of a split, if the name contains one.
        extras: The conditions, which become slices.
    """

    group: str | None = None
    label: str | None = None
    split: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Naming:
    """A way to name files.

    Attributes:
        form: An example and its parts, for messages.
        pattern: Regular expression with the groups `person`, `label` and `split`; other groups are
            conditions.
        words: Meaning of the codes of a group, in lower case.
    """

    form: str
    pattern: re.Pattern[str]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def read(self, stem: str) -> NamedFile | None:
        """Returns the metadata in a name; None if the name is another one.

        Further words after the name, such as `_crop` or the number of a frame, are allowed.
        """
        match = self.pattern.match(stem)
        if match is None or stem[match.end() : match.end() + 1].isalnum():
            return None
        return named_file(match, self.words)


def named_file(
    match: re.Match[str], words: Mapping[str, Mapping[str, str]] | None = None
) -> NamedFile:
    """Returns the metadata in the named groups of a match."""
    parts = {
        name: (words or {}).get(name, {}).get(text.lower(), text)
        for name, text in match.groupdict().items()
        if text
    }
    extras = {name: parts[name] for name in parts if name not in ("person", "label", "split")}
    person = parts.get("person")
    return NamedFile(
        person.upper() if person else None, parts.get("label"), parts.get("split"), extras
    )


def _naming(form: str, pattern: str, **words: Mapping[str, str]) -> Naming:
    return Naming(form, re.compile(pattern, re.IGNORECASE), words)


_GENDERS = {"f": "female", "m": "male"}

NAMINGS: Mapping[str, Naming] = {
    "KDEF": _naming(
        "AF01ANS.JPG (session, gender, person, expression, angle)",
        r"(?P<session>[AB])(?P<person>(?P<gender>[FM])\d\d)"
        r"(?P<label>AF|AN|DI|HA|NE|SA|SU)(?P<angle>FL|HL|S|HR|FR)",
        label={"af": "fear", "an": "angry", "di": "disgust", "ha": "happy", "ne": "neutral",
               "sa": "sad", "su": "surprise"},
        angle={"fl": "full left profile", "hl": "half left profile", "s": "straight",
               "hr": "half right profile", "fr": "full right profile"},
        gender=_GENDERS,
        session={"a": "A", "b": "B"},
    ),
    "JAFFE": _naming(
        "KA.AN1.39.tiff (person, expression, number)",
        r"(?P<person>[A-Z]{2})[.-](?P<label>AN|DI|FE|HA|NE|SA|SU)\d?[.-]\d+",
        label={"an": "angry", "di": "disgust", "fe": "fear", "ha": "happy", "ne": "neutral",
               "sa": "sad", "su": "surprise"},
    ),
    "CK+": _naming(
        "S010_004_00000017.png (person, sequence, frame)", r"(?P<person>S\d{3})_\d{3}_\d{8}"
    ),
    "RaFD": _naming(
        "Rafd090_01_Caucasian_female_happy_frontal.jpg (angle, person, ethnicity, gender, "
        "expression, gaze)",
        r"Rafd(?P<angle>\d{3})_(?P<person>\d\d)_(?P<ethnicity>[A-Z]+)_(?P<gender>male|female)_"
        r"(?P<label>angry|contemptuous|disgusted|fearful|happy|neutral|sad|surprised)_"
        r"(?P<gaze>[A-Z]+)",
    ),
    "CREMA-D": _naming(
        "1001_DFA_ANG_XX.jpg (person, sentence, expression, intensity)",
        r"(?P<person>1\d{3})_[A-Z]{3}_(?P<label>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<intensity>[A-Z]{1,2})",
        label={"fea": "fear", "sad": "sad"},
    ),
    "RAVDESS": _naming(
        "01-01-03-02-01-01-12.png (expression third, person last)",
        r"\d\d-\d\d-(?P<label>0[1-8])-(?P<intensity>\d\d)-\d\d-\d\d-(?P<person>\d\d)",
        label=dict(zip(
            ("01", "02", "03", "04", "05", "06", "07", "08"),
            ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"),
            strict=True,
        )),
        intensity={"01": "normal", "02": "strong"},
    ),
    "FACES": _naming(
        "004_o_m_a_b.jpg (person, age group, gender, expression, set)",
        r"(?P<person>\d{3})_(?P<age_group>[OMY])_(?P<gender>[FM])_(?P<label>[ADFHNS])_[AB]",
        label={"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral",
               "s": "sad"},
        age_group={"o": "older", "m": "middle-aged", "y": "younger"},
        gender=_GENDERS,
    ),
    "NimStim": _naming(
        "01F_AN_C.BMP (person, gender, expression, mouth)",
        r"(?P<person>\d\d(?P<gender>[FM]))_(?P<label>AN|CA|DI|FE|HA|NE|SA|SP|SU)_(?P<mouth>[OCX])",
        label={"an": "angry", "ca": "calm", "di": "disgust", "fe": "fear", "ha": "happy",
               "ne": "neutral", "sa": "sad", "sp": "surprise", "su": "surprise"},
        gender=_GENDERS,
    ),
}  # fmt: skip
"""Lundqvist et al. 1998, Lyons et al. 1998, Lucey et al. 2010, Langner et al. 2010, Cao et al.
2014, Livingstone & Russo 2018, Ebner et al. 2010, Tottenham et al. 2009."""

_SAMPLE = 1000


def namings_in(stems: Iterable[str]) -> list[str]:
    """Returns the namings that some of the names follow, judged by about a thousand of them."""
    stems = list(stems)
    sample = stems[:: max(1, len(stems) // _SAMPLE)]
    return [name for name, naming in NAMINGS.items() if any(map(naming.read, sample))]


def naming_of(stems: list[str], least: float = 0.9) -> str | None:
    """Returns the dataset whose naming at least the given share of files follow, if any."""
    for name, naming in NAMINGS.items():
        named = sum(naming.read(stem) is not None for stem in stems)
        if stems and named >= least * len(stems):
            return name
    return None
