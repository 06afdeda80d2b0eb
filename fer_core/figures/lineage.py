"""Lineage graphs as Graphviz source."""

from collections.abc import Mapping

from fer_core.evaluation.lineage import VANISHED, Ancestor, Lineage, Link, Status

_EDGES: Mapping[Link, str] = {
    Link.INIT: 'style=solid, color="#0072B2"',
    Link.TEACHER: 'style=dashed, color="#D55E00"',
    Link.MEMBER: 'style=solid, color="#8C8C8C"',
}
_FILLS: Mapping[Status, str] = {Status.PRESENT: "#E8F3EF", Status.START: "#E6EEF7"}
_VANISHED_FILL = "#FBE3DC"


def lineage_graph(lineage: Lineage, titles: Mapping[str, str]) -> str:
    """Returns a lineage in Graphviz's DOT language; ancestors are to the right.

    Args:
        lineage: The lineage of a run.
        titles: Display names by run id; other runs are shown by their ids.

    Returns:
        DOT source in which all names are quoted.
    """
    numbers = {key: index for index, key in enumerate(lineage.ancestors)}
    lines = [
        "digraph lineage {",
        'rankdir=LR; bgcolor="transparent"; nodesep=0.15; ranksep=0.6;',
        'node [shape=box, style="rounded,filled", color="#8C8C8C", fontcolor="#1A1A1A", '
        'fontname="sans-serif", fontsize=11, margin="0.12,0.06"];',
        'edge [fontname="sans-serif", arrowsize=0.6];',
    ]
    lines += [
        f"n{numbers[key]} [{_look(node, titles)}];" for key, node in lineage.ancestors.items()
    ]
    lines += [
        f"n{numbers[edge.child]} -> n{numbers[edge.parent]} [{_EDGES[edge.link]}];"
        for edge in lineage.edges
    ]
    return "\n".join([*lines, "}"])


def _look(node: Ancestor, titles: Mapping[str, str]) -> str:
    text = titles.get(node.name, node.name) if node.run else node.name
    if node.status in VANISHED:
        when = node.created[:16].replace("T", " ") or "date unknown"
        reason = "belongs to no run" if node.status is Status.FILE else f"{node.status}, {when}"
        lines = f"{_quoted(text)}\\n{_quoted(reason)}"
        return f'label="{lines}", fillcolor="{_VANISHED_FILL}", style="rounded,filled,dashed"'
    return f'label="{_quoted(text)}", fillcolor="{_FILLS[node.status]}"'


def _quoted(text: str) -> str:
    """Escapes text for a quoted DOT string; backslashes would be escape sequences."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
