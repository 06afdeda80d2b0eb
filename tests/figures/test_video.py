"""The timeline of a video's predictions."""

from fer_core.figures.palette import class_colour
from fer_core.figures.video import NO_FACE, SELECTION, timeline_chart

LABELS = ("happy", "sad")


def test_a_click_selects_a_frame():
    (click,) = timeline_chart(LABELS)["params"]
    assert click["name"] == SELECTION
    assert click["select"]["fields"] == ["frame"]


def test_every_class_and_a_frame_without_a_face_have_a_colour():
    scale = timeline_chart(LABELS)["encoding"]["color"]["scale"]
    assert scale["domain"] == [*LABELS, NO_FACE]
    assert scale["range"][:2] == [class_colour(label, LABELS) for label in LABELS]
    assert len(set(scale["range"])) == 3
