"""The verdict as a PDF of two pages, with vector charts (ReportLab)."""

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Circle, Drawing, Group, Line, Rect, String
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    KeepInFrame,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

from fer_core import __version__
from fer_core.evaluation import verdict_text
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.verdict import Verdict
from fer_core.files import atomic_path

_MARGIN = 18 * mm
_PADDING = 6  # of ReportLab's frames, on each side
_WIDTH: float = A4[0] - 2 * _MARGIN - 2 * _PADDING
_HEIGHT: float = A4[1] - 2 * _MARGIN - 2 * _PADDING
_GREEN, _GREY, _INK = HexColor("#0b7a5c"), HexColor("#8C8C8C"), HexColor("#23211d")
_LINE = HexColor("#dfdbd1")

_PAGES = 2
_HEADER = ("", "model", "accuracy", "macro-recall", "latency", "size", "licence", "")
_COLUMN_WIDTHS = (16, 96, 54, 54, 46, 46, 62)  # the last column has the rest
_SCALES = tuple(1 + step / 20 for step in range(21))

_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=9, leading=12, textColor=_INK)
_SMALL = ParagraphStyle("small", parent=_BODY, fontSize=7.5, leading=9.5)
_CELL = ParagraphStyle("cell", parent=_BODY, fontSize=8, leading=10)
_BULLET = ParagraphStyle("bullet", parent=_BODY, leftIndent=10, bulletIndent=0, spaceAfter=2)
_HEADING = ParagraphStyle(
    "heading", parent=_BODY, fontName="Helvetica-Bold", fontSize=12, leading=15, spaceBefore=8,
    spaceAfter=3,
)  # fmt: skip
_TITLE = ParagraphStyle("title", parent=_HEADING, fontSize=10, textColor=_GREY)
_VERDICT = ParagraphStyle("verdict", parent=_HEADING, fontSize=15, leading=19, spaceAfter=6)


def write_pdf(path: Path, verdict: Verdict, point: OperatingPoint | None = None) -> None:
    """Writes the PDF atomically; see `render_pdf`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(render_pdf(verdict, point))


def render_pdf(verdict: Verdict, point: OperatingPoint | None = None) -> bytes:
    """Returns a verdict as a PDF of two A4 pages, with the same sentences as the start page.

    Characters that Helvetica lacks become question marks.

    Args:
        verdict: The verdict.
        point: Operating point of the recommended run; None leaves it out.
    """
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=_latin(f"{verdict.benchmark.title}: verdict"),
        author="FERscope",
        invariant=1,
    )
    fitted = [
        _fitted(lambda width: _first_page(verdict, point, width)),
        _fitted(lambda width: _second_page(verdict, point, width)),
    ]
    footer = partial(_footer, _made(verdict))
    document.build([fitted[0], PageBreak(), fitted[1]], onFirstPage=footer, onLaterPages=footer)
    return buffer.getvalue()


def _made(verdict: Verdict) -> str:
    """Returns the version and the date of the results; not today's, so equal verdicts are equal."""
    newest = f", newest run of {verdict.newest}" if verdict.newest else ""
    return f"FERscope {__version__}{newest}"


def _footer(text: str, canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setFont("Helvetica", 7)
    canvas.setFillColor(_GREY)
    canvas.drawString(_MARGIN + _PADDING, _MARGIN / 2, _latin(text))
    canvas.drawRightString(
        A4[0] - _MARGIN - _PADDING, _MARGIN / 2, f"page {document.page} of {_PAGES}"
    )


def _fitted(page: Callable[[float], list[Flowable]]) -> KeepInFrame:
    """Returns a page whose content is laid out wide enough to fill the paper once it is shrunk."""
    scale = next((scale for scale in _SCALES if _fits(page(_WIDTH * scale), scale)), _SCALES[-1])
    return KeepInFrame(_WIDTH, _HEIGHT, page(_WIDTH * scale), mode="shrink")


def _fits(content: Sequence[Flowable], scale: float) -> bool:
    width, height = _WIDTH * scale, _HEIGHT * scale
    heights = (
        item.wrap(width, height)[1] + item.getSpaceBefore() + item.getSpaceAfter()
        for item in content
    )
    return bool(sum(heights) <= height)


def _first_page(verdict: Verdict, point: OperatingPoint | None, width: float) -> list[Flowable]:
    recommendation, info = verdict.recommendation, verdict.benchmark
    story = [
        _text(f"Verdict on {info.title}", _TITLE),
        _text(verdict_text.headline(verdict), _VERDICT),
        *(_text(text, _BODY) for text in verdict_text.contradictions(verdict)),
        *_licence_warning(verdict),
        *(_bullet(str(item)) for item in verdict_text.next_steps(verdict)),
        *(_text(text, _BODY) for text in verdict_text.notes(verdict)),
        _text(verdict_text.constraints_text(recommendation), _BODY),
        *_limits(point),
        _text(
            f"Benchmark {info.name}, split {info.split_hash}. {verdict_text.RULE}",
            _SMALL,
        ),
    ]
    timed = [item for item in recommendation.assessments if item.milliseconds is not None]
    if len(timed) > 1:
        story += [_text("Accuracy and latency", _HEADING), _latency_chart(verdict, width)]
        story.append(
            _text(
                "Test accuracy with 95% intervals by median latency per cropped face, without face "
                "detection. Numbers are those of the table; green: recommended.",
                _SMALL,
            )
        )
    story += [_text("All models", _HEADING), _models(verdict, width)]
    return story


def _second_page(verdict: Verdict, point: OperatingPoint | None, width: float) -> list[Flowable]:
    story: list[Flowable] = []
    if verdict.weaknesses is not None:
        story.append(_text("Where it fails", _HEADING))
        story += [_bullet(item.statement) for item in verdict.weaknesses.slices]
        story += [
            _bullet(verdict_text.confusion_text(item)) for item in verdict.weaknesses.confusions
        ]
        if verdict.weaknesses.drawn_faces:
            story.append(_bullet(verdict.weaknesses.drawn_faces))
    if verdict.test_metrics is not None:
        story += [_text("Recall by class", _HEADING), _recall_chart(verdict, width)]
        story.append(_text("On test, with 95% Wilson intervals and numbers of images.", _SMALL))
    if point is not None:
        story += [_text("Operating point", _HEADING), _text(point.statement, _BODY)]
        story += [_bullet(text) for text in point.class_texts]
    story.append(_text("What the data cannot tell", _HEADING))
    story += [_bullet(text) for text in verdict_text.limits(verdict)]
    return story


def _licence_warning(verdict: Verdict) -> list[Flowable]:
    text = verdict_text.licence_warning(verdict)
    return [_text(f"Warning: {text}", _BODY)] if text else []


def _limits(point: OperatingPoint | None) -> list[Flowable]:
    """Returns the limits of an operating point, beside the constraints of the model."""
    if point is None or point.limits is None or not point.scope:
        return []
    return [_text(f"{point.limits.text} {point.scope}", _BODY)]


def _models(verdict: Verdict, width: float) -> Table:
    recommendation = verdict.recommendation
    rows: list[list[object]] = [list(_HEADER)]
    for number, item in enumerate(recommendation.assessments, start=1):
        why = (
            "recommended"
            if item is recommendation.recommended
            else verdict_text.reason(item, recommendation)
        )
        rows.append(
            [
                str(number),
                _text(item.title, _CELL),
                _estimate(item.accuracy),
                _estimate(item.macro_recall),
                _text(verdict_text.ms_text(item.milliseconds), _CELL),
                _text(verdict_text.mb_text(item.megabytes), _CELL),
                _text(verdict_text.licence_text(item), _CELL),
                _text(why, _CELL),
            ]
        )
    table = Table(rows, colWidths=[*_COLUMN_WIDTHS, width - sum(_COLUMN_WIDTHS)])
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 8),
                ("TEXTCOLOR", (0, 0), (-1, 0), _GREY),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _latency_chart(verdict: Verdict, width: float) -> Drawing:
    """Draws accuracy against latency; each dot has its number in the table."""
    recommendation = verdict.recommendation
    dots = [
        (number, item, math.log10(item.milliseconds))
        for number, item in enumerate(recommendation.assessments, start=1)
        if item.milliseconds is not None and item.milliseconds > 0
    ]
    height, left, bottom = 160.0, 44.0, 28.0
    low = math.floor(20 * min(item.accuracy.low for _, item, _ in dots)) / 20
    high = math.ceil(20 * max(item.accuracy.high for _, item, _ in dots)) / 20
    positions = [position for _, _, position in dots]
    first, last = min(positions) - 0.1, max(positions) + 0.1
    drawing = Drawing(width, height)

    def across(x: float) -> float:
        return left + (x - first) / (last - first) * (width - left - 10)

    def up(y: float) -> float:
        return bottom + (y - low) / max(high - low, 0.01) * (height - bottom - 8)

    for step in range(round(20 * low), round(20 * high) + 1):
        _grid_line(drawing, left, up(step / 20), f"{5 * step}%")
    for value in _ticks(10**first, 10**last):
        x = across(math.log10(value))
        drawing.add(String(x, 16, f"{value:g}", fontSize=7, textAnchor="middle", fillColor=_GREY))
    _axis_titles(drawing, (left + width) / 2, (bottom + height) / 2)
    for number, item, position in reversed(dots):  # the recommended run lies on top
        pick = item is recommendation.recommended
        _dot(drawing, (across(position), up(item.accuracy.value)),
             (up(item.accuracy.low), up(item.accuracy.high)), str(number),
             _GREEN if pick else _GREY)  # fmt: skip
    return drawing


def _recall_chart(verdict: Verdict, width: float) -> Drawing:
    """Draws the recall of each class as a bar with its interval."""
    metrics = verdict.test_metrics
    rows = metrics.classes if metrics is not None else ()
    step, left = 15.0, 120.0
    height = step * len(rows) + 16
    drawing = Drawing(width, height)
    scale = width - left - 40
    for tick in (0, 25, 50, 75, 100):
        x = left + tick / 100 * scale
        drawing.add(Line(x, 14, x, height, strokeColor=_LINE, strokeWidth=0.5))
        label = String(x, 3, f"{tick}%", fontSize=7, textAnchor="middle", fillColor=_GREY)
        drawing.add(label)
    for index, row in enumerate(rows):
        y = height - step * (index + 1) + 3
        name = _latin(f"{row.label} ({row.samples:,})")
        drawing.add(String(left - 6, y + 1, name, fontSize=8, textAnchor="end", fillColor=_INK))
        if row.recall is None:
            continue
        drawing.add(Rect(left, y, row.recall.value * scale, 8, fillColor=_GREEN, strokeColor=None))
        ends = [left + end * scale for end in (row.recall.low, row.recall.high)]
        drawing.add(Line(ends[0], y + 4, ends[1], y + 4, strokeColor=_INK, strokeWidth=1))
        value = f"{row.recall.value:.1%}"
        drawing.add(String(width - 34, y + 1, value, fontSize=8, fillColor=_INK))
    return drawing


def _axis_titles(drawing: Drawing, across: float, up: float) -> None:
    """Writes the titles of the axes of latency and accuracy, centred at a position each."""
    style = {"fontSize": 7, "textAnchor": "middle", "fillColor": _INK}
    drawing.add(String(across, 4, "latency per cropped face in ms, log scale", **style))
    turned = Group(String(0, 0, "test accuracy", **style))
    turned.translate(9, up)
    turned.rotate(90)
    drawing.add(turned)


def _grid_line(drawing: Drawing, left: float, y: float, label: str) -> None:
    drawing.add(Line(left, y, drawing.width, y, strokeColor=_LINE, strokeWidth=0.5))
    drawing.add(String(left - 4, y - 2, label, fontSize=7, textAnchor="end", fillColor=_GREY))


def _dot(
    drawing: Drawing,
    centre: tuple[float, float],
    ends: tuple[float, float],
    label: str,
    colour: Color,
) -> None:
    x, y = centre
    drawing.add(Line(x, ends[0], x, ends[1], strokeColor=colour, strokeWidth=1))
    drawing.add(Circle(x, y, 3.2, fillColor=colour, strokeColor=None))
    side, anchor = (-5, "end") if colour is _GREEN else (5, "start")
    text = String(x + side, y - 2, label, fontSize=7, textAnchor=anchor, fillColor=_INK)
    drawing.add(text)


def _ticks(low: float, high: float) -> Sequence[float]:
    """Returns 1, 2 and 5 times the powers of ten within two bounds."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (factor * 10.0**power for power in powers for factor in (1, 2, 5))
    return [value for value in values if low <= value <= high]


def _estimate(estimate: Estimate) -> Paragraph:
    """Returns a share above its interval."""
    return Paragraph("<br/>[".join(estimate.text.split(" [")), _CELL)


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(_latin(text)), style)


def _bullet(text: str) -> Paragraph:
    return Paragraph(escape(_latin(text)), _BULLET, bulletText="-")


def _latin(text: str) -> str:
    """Replaces characters that the standard fonts lack."""
    return text.encode("cp1252", "replace").decode("cp1252")
