"""The verdict at the head of the HTML report."""

from collections.abc import Iterable, Iterator
from html import escape

from fer_core.evaluation import verdict_text
from fer_core.evaluation.verdict import Verdict


def verdict_section(verdict: Verdict) -> Iterator[str]:
    """Yields the verdict as HTML, with the same sentences as the start page."""
    recommendation = verdict.recommendation
    yield "<h2>Verdict</h2>"
    yield f'<p class="verdict">{escape(verdict_text.headline(verdict))}</p>'
    yield from _paragraphs(verdict_text.contradictions(verdict))
    doubt = verdict_text.licence_warning(verdict)
    yield from _paragraphs([f"Warning: {doubt}"] if doubt else [])
    yield _list(map(str, verdict_text.next_steps(verdict)))
    yield from (f'<p class="note">{escape(note)}</p>' for note in verdict_text.notes(verdict))
    yield f'<p class="note">{escape(verdict_text.constraints_text(recommendation))}</p>'
    yield f'<p class="note">{escape(verdict_text.RULE)}</p>'
    yield "<h3>Why not the others</h3>"
    rows = [
        f"{item.title}: {verdict_text.reason(item, recommendation)}"
        for item in recommendation.others
    ]
    rows += [f"{title}: {reason}" for title, reason in verdict_text.not_compared(verdict)]
    yield _list(rows)
    if verdict.weaknesses is not None:
        yield "<h3>Where it fails</h3>"
        yield _list(item.statement for item in verdict.weaknesses.slices)
        yield _list(map(verdict_text.confusion_text, verdict.weaknesses.confusions))
        if verdict.weaknesses.drawn_faces:
            yield f'<p class="note">{escape(verdict.weaknesses.drawn_faces)}</p>'
    yield "<h3>What the data cannot tell</h3>"
    yield _list(verdict_text.limits(verdict))


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    return (f"<p>{escape(text)}</p>" for text in texts)


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""
