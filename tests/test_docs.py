"""The docs agree with the project: links, paths, commands and numbers."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
import typer.main

from dashboard import pages
from fer_core.artifacts import ArtifactStore
from fer_core.config import recipe_names
from fer_core.evaluation.framing_shifts import read_framing, summarise_framing
from fer_core.evaluation.robustness import read_robustness, summarise
from fer_core.records import shown_titles
from training.__main__ import app
from training.options import RECIPES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"(?:python -m training|-m training|ferscope) (?=[a-z])([^`#\n]+)")


def blocks(page: Path) -> list[str]:
    """Returns the code blocks of a page, with continued lines joined."""
    return re.findall(r"```bash\n(.*?)```", page.read_text().replace("\\\n", " "), re.DOTALL)


def training_commands(page: Path) -> list[list[str]]:
    """Returns the arguments of every training command in the code blocks of a page."""
    result = COMMAND.findall("\n".join(blocks(page)))
    return [shlex.split(line.rstrip("&' ") if line.count("'") % 2 else line) for line in result]


def slug(heading: str) -> str:
    """Returns GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_point_to_existing_targets(page):
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            broken.append(link)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            broken += [link] * (anchor not in {slug(heading) for heading in headings})
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_parse(page):
    group = typer.main.get_command(app)
    for line in training_commands(page):
        arguments = [word for word in line if word not in ("&", "...")]
        command = group.get_command(None, arguments[0])
        assert command is not None, line
        context = click.Context(command, info_name=arguments[0])
        command.make_parser(context).parse_args(args=arguments[1:])  # raises on unknown options


def test_the_docs_contain_training_commands():
    assert ["recipes"] in training_commands(ROOT / "README.md")
    assert len(training_commands(ROOT / "README.md")) >= 15


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_paths_that_a_page_names_exist(page):
    text = (ROOT / "docs" / page).read_text()
    names = re.findall(r"`((?:fer_core|training|dashboard|tests|benchmarks|docs)/[\w/.]*)`", text)
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_readme_is_short_and_starts_with_the_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 200
    assert max(index for index, line in enumerate(lines) if line.startswith("make ")) < 15


def published(benchmark: str) -> dict[str, tuple[str, str]]:
    """Returns accuracy with interval and macro-recall of the shipped runs, as text, by title."""
    numbers = {}
    runs = ArtifactStore(ROOT / "artifacts").benchmark(benchmark).runs()
    titles = shown_titles({run.run_id: run.info().title for run in runs})
    for run in runs:
        test = json.loads(run.report_path.read_text())["test"]
        share = test["accuracy"]
        low, high = 100 * share["low"], 100 * share["high"]
        accuracy = f"{share['value']:.1%} ({low:.1f} to {high:.1f})"
        numbers[titles[run.run_id]] = (accuracy, f"{test['macro_recall']['value']:.1%}")
    return numbers


def results_in(part: str) -> dict[str, tuple[str, str]]:
    """Returns the rows of a page's table of models in the form of `published`."""
    rows = re.findall(r"^\| ([^|]+) \| (\d[^|]+%[^|]*) \| ([\d.]+%) \|", part, re.MULTILINE)
    return {title: (accuracy, recall) for title, accuracy, recall in rows}


def test_the_results_are_those_of_the_reports():
    ferplus, three_classes = text("docs/results.md").split("## `artifacts/ferplus3`")
    assert results_in(ferplus) == results_in(text("README.md")) == published("ferplus")
    assert results_in(three_classes) == published("ferplus3")


def test_the_readme_names_the_recommended_run():
    (verdict,) = re.findall(r"\*\*Verdict:\*\* ship ([^,]+), run `([^`]+)`", text("README.md"))
    cards = {
        run.run_id: (run.root / "README.md").read_text()
        for run in ArtifactStore(ROOT / "artifacts").benchmark("ferplus").runs()
    }
    recommended = [name for name, card in cards.items() if "is the recommended one" in card]
    assert recommended == [verdict[1]]
    assert f"**Ship {verdict[0]}:" in cards[verdict[1]]


def test_the_table_of_robustness_is_that_of_the_measurements():
    measured = {}
    for run in ArtifactStore(ROOT / "artifacts").benchmark("ferplus").runs():
        if run.framing_path.is_file():
            whole = summarise(read_robustness(run.robustness_path))
            test, validation = (
                summarise_framing(read_framing(run.framing_path), split)
                for split in ("test", "validation")
            )
            shares = (whole.clean, whole.corrupted, test.shifted)
            drops = (-(test.drop or 0), -(validation.drop or 0))
            measured[run.run_id] = [
                *(f"{100 * share:.1f}" for share in shares),
                *(f"{100 * drop:+.1f}" for drop in drops),
            ]
    number = r"\| ([-+\d.]+) "
    rows = re.findall(rf"^\| `([\w-]+)` {5 * number}\|$", text("docs/results.md"), re.MULTILINE)
    assert {run: numbers for run, *numbers in rows} == measured


def text(page: str) -> str:
    return (ROOT / page).read_text()


def first_column(page: str, header: str) -> list[str]:
    """Returns the first cells of the table whose first column has this header."""
    _, _, rest = text(page).partition(f"\n| {header} |")
    assert rest, f"{page} has no table {header!r}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [line.strip("|").split("|")[0].strip() for line in lines]


@pytest.mark.parametrize("page", ["README.md", "docs/dashboard.md"])
def test_the_tables_of_pages_have_every_page(page):
    listed = first_column(page, "page")
    assert sorted(listed) == sorted(spec.title for spec in pages.PAGES)


def test_the_table_of_recipes_has_every_recipe():
    names = re.findall(r"`(\w+)`", " ".join(first_column("docs/training.md", "recipe")))
    assert sorted(names) == recipe_names(RECIPES)
