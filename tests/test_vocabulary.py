"""Names and labels use the words of docs/glossary.md: its tables of retired words are read here."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fer_core", "training", "dashboard", "benchmarks")
INTERFACE = ("dashboard", "fer_core/figures", "training/commands", "training/terminal")
COLUMNS = "fer_core/evaluation/leaderboard_columns.py"


def table(header: str) -> list[list[str]]:
    """Returns the rows of the glossary's table whose first column has this header."""
    text = (ROOT / "docs" / "glossary.md").read_text()
    _, _, rest = text.partition(f"\n| {header} |")
    assert rest, f"docs/glossary.md has no table {header!r}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


NAME_ROWS = [row for row in table("retired") if len(row) == 3]
ANYWHERE = {code(word)[0]: set(code(allowed)) for word, _, allowed in NAME_ROWS}
WHOLE = {code(word)[0] for word, _ in table("retired as a whole name")}
LABELS = [word for word, _ in table("retired in labels")]


def words(name: str) -> list[str]:
    """Splits snake_case and CamelCase into lower-case words."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def names(path: Path, tree: ast.Module) -> Iterator[str]:
    """Yields the names that a module defines for others: its own, classes, fields, functions,
    parameters."""
    yield from path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line.target.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
            arguments = node.args
            for parameter in arguments.posonlyargs + arguments.args + arguments.kwonlyargs:
                yield parameter.arg


def retired(name: str) -> list[str]:
    """Returns the retired words in a name."""
    plain = "_".join(words(name))
    inside = [
        word
        for word, allowed in ANYWHERE.items()
        if f"_{word}_" in f"_{plain}_" and plain not in allowed
    ]
    return inside + [plain] * (plain in WHOLE)


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        place = ROOT / folder
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            yield path, ast.parse(path.read_text())


def shown(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields the texts of a module that are no docstrings, with their lines."""
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            docstrings.add(getattr(node.body[0], "value", None))
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("panel", ["panel"]),
        ("PanelView", ["panel"]),
        ("_select_panel", ["panel"]),
        ("panels", []),
        ("_found", ["found"]),
        ("Found", ["found"]),
        ("found_faces", []),
        ("prior_strength", []),
        ("corruption_strength", ["strength"]),
    ],
)
def test_a_retired_word_is_seen_in_every_spelling(name, expected):
    assert retired(name) == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_names_use_no_retired_word(package):
    uses = {
        f"{path.relative_to(ROOT)}: {name} ({', '.join(result)})"
        for path, tree in modules(package)
        for name in names(path, tree)
        if (result := retired(name))
    }
    assert sorted(uses) == []


def test_labels_use_no_retired_words():
    uses = [
        f"{path.relative_to(ROOT)}:{line}: {text!r} ({label})"
        for path, tree in modules(*INTERFACE, COLUMNS)
        for line, text in shown(tree)
        for label in LABELS
        if re.search(rf"\b{re.escape(label)}(?!\w)", text, re.IGNORECASE)
    ]
    assert uses == []


def test_class_names_are_unique():
    classes = Counter(
        node.name
        for path, tree in modules("fer_core", "training", "dashboard")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []
