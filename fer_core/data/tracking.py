"""Face tracking across video frames by the overlap of boxes."""

from collections.abc import Iterable, Sequence

from fer_core.data.faces import DetectedFace

LEAST_OVERLAP = 0.3
PATIENCE = 3
"""Frames for which an undetected face keeps its number."""

PATIENT_SECONDS = 0.5
"""The same in seconds; whichever is longer counts, because videos have 1 to 60 frames a second."""


def overlap(face: DetectedFace, other: DetectedFace) -> float:
    """Returns the intersection over union of two boxes, 0 to 1."""
    width = min(face.right, other.right) - max(face.left, other.left)
    height = min(face.bottom, other.bottom) - max(face.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (face.width * face.height + other.width * other.height - shared)


def track(
    frames: Iterable[Sequence[DetectedFace]],
    seconds: Sequence[float] | None = None,
    least: float = LEAST_OVERLAP,
    patience: int = PATIENCE,
) -> list[list[int]]:
    """Numbers faces so that a person keeps the same number.

    In each frame, known and new boxes are matched greedily, largest overlap first. A person who
    reappears elsewhere or after a longer absence gets a new number.

    Args:
        frames: The faces of each frame, in temporal order.
        seconds: Time of each frame; None if it is not known.
        least: Minimum overlap of two boxes of one person.
        patience: Number of frames for which an undetected face keeps its number; with `seconds`
            at least `PATIENT_SECONDS`.

    Returns:
        The number of each face, from 0 in order of appearance.
    """
    last: dict[int, tuple[int, DetectedFace]] = {}
    following = 0
    numbered = []
    for moment, faces in enumerate(frames):
        known = {
            number: face
            for number, (seen, face) in last.items()
            if moment - seen <= patience + 1
            or (seconds is not None and seconds[moment] - seconds[seen] <= PATIENT_SECONDS)
        }
        pairs = sorted(
            (
                (overlap(old, new), number, index)
                for number, old in known.items()
                for index, new in enumerate(faces)
            ),
            key=lambda pair: (-pair[0], pair[1], pair[2]),
        )
        assigned: dict[int, int] = {}
        for shared, number, index in pairs:
            if shared >= least and index not in assigned and number not in assigned.values():
                assigned[index] = number
        for index in range(len(faces)):
            if index not in assigned:
                assigned[index] = following
                following += 1
        last = {n: last[n] for n in known} | {assigned[p]: (moment, f) for p, f in enumerate(faces)}
        numbered.append([assigned[index] for index in range(len(faces))])
    return numbered
