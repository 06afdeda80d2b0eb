"""Metadata in file names of published datasets: person, expression, conditions."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NamedFile:
    """Metadata in a file's name.

    Attributes:
        group: The person.
        label: The expression; None if the name does not contain it.
        extras: The conditions, which become slices.
    """

    group: str
    label: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)


_KDEF_LABELS = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad",
    "SU": "surprise",
}  # fmt: skip
_KDEF_ANGLES = {
    "FL": "full left profile", "HL": "half left profile", "S": "straight",
    "HR": "half right profile", "FR": "full right profile",
}  # fmt: skip
_KDEF = re.compile(r"([AB])([FM])(\d\d)(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)", re.IGNORECASE)
_JAFFE_LABELS = {
    "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad",
    "SU": "surprise",
}  # fmt: skip
_JAFFE = re.compile(r"([A-Z]{2})[.-](AN|DI|FE|HA|NE|SA|SU)\d?[.-]\d+", re.IGNORECASE)
_CKPLUS = re.compile(r"(S\d{3})_(\d{3})_(\d{8})", re.IGNORECASE)


def kdef(stem: str) -> NamedFile | None:
    """Reads a name of KDEF (Lundqvist et al. 1998): `AF01ANFL` is woman 01, angry, from the left.

    The first letter is the session: A and B show the same persons.
    """
    if (match := _KDEF.fullmatch(stem)) is None:
        return None
    session, gender, number, label, angle = (part.upper() for part in match.groups())
    return NamedFile(
        f"{gender}{number}",
        _KDEF_LABELS[label],
        {
            "gender": "female" if gender == "F" else "male",
            "angle": _KDEF_ANGLES[angle],
            "session": session,
        },
    )


def jaffe(stem: str) -> NamedFile | None:
    """Reads a name of JAFFE (Lyons et al. 1998): `KA.AN1.39` is person KA, angry."""
    if (match := _JAFFE.fullmatch(stem)) is None:
        return None
    return NamedFile(match.group(1).upper(), _JAFFE_LABELS[match.group(2).upper()])


def ckplus(stem: str) -> NamedFile | None:
    """Reads a name of CK+ (Lucey et al. 2010): `S010_004_00000017` is frame 17 of person S010."""
    match = _CKPLUS.fullmatch(stem)
    return NamedFile(match.group(1).upper()) if match else None


NAMINGS: Mapping[str, Callable[[str], NamedFile | None]] = {
    "KDEF": kdef, "JAFFE": jaffe, "CK+": ckplus
}  # fmt: skip


def naming_of(stems: list[str], least: float = 0.9) -> str | None:
    """Returns the dataset whose naming at least the given share of files follow, if any."""
    for name, parse in NAMINGS.items():
        named = sum(parse(stem) is not None for stem in stems)
        if stems and named >= least * len(stems):
            return name
    return None
