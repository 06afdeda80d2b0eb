"""Structure: imports between packages, sizes of functions and weights, and places of tests."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A package imports from packages of a lower level only, or from itself.
LEVELS = {
    "fer_core.errors": -1,
    "fer_core.extras": 0,
    "fer_core.files": 0,
    "fer_core.migrations": 0,
    "fer_core.csv_text": 0,
    "fer_core.project": 0,
    "fer_core.provenance": 0,
    "fer_core.luma": 0,
    "fer_core.arrays": 0.5,
    "fer_core.tables": 0.5,
    "fer_core.result_cache": 0.5,
    "fer_core.labels": 1,
    "fer_core.config": 1,
    "fer_core.records": 1,
    "fer_core.artifacts": 1,
    "fer_core.abilities": 1.5,
    "fer_core.reviews": 1.5,
    "fer_core.run_commit": 1.5,
    "fer_core.synthetic": 1.5,
    "fer_core.data": 2,
    "fer_core.models": 2,
    "fer_core.evaluation": 2,
    "fer_core.engine": 3,
    "fer_core.explain": 3,
    "fer_core.figures": 3,
    "fer_core.predictor": 4,
    "fer_core.api": 4.5,
    "fer_core.serving": 5,
    "training": 5,
    "dashboard": 5,
}
TORCH_FREE = (
    "fer_core.evaluation",
    "fer_core.figures",
    "fer_core.records",
    "fer_core.artifacts",
    "fer_core.config",
)
OWN_ORDER = {"fer_core.labels", "fer_core.config", "fer_core.records", "fer_core.artifacts"}


def package_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] in ("training", "dashboard"):
        return parts[0]
    name = ".".join(parts[:2])
    return name if name in LEVELS else None


def imports(path: Path) -> set[str]:
    result = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            result |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return result


def modules():
    for top in ("fer_core", "training", "dashboard"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def test_every_module_is_in_a_known_package():
    unknown = [name for name, _ in modules() if name != "fer_core" and package_of(name) is None]
    assert not unknown


def test_imports_point_to_lower_levels():
    breaches = []
    for name, path in modules():
        package = package_of(name)
        if package is None:
            continue
        for target in imports(path):
            target_package = package_of(target)
            if (
                target_package is None
                or target_package == package
                or {package, target_package} <= OWN_ORDER
            ):
                continue
            if LEVELS[target_package] >= LEVELS[package]:
                breaches.append(f"{name} imports {target}")
    assert not breaches


def test_results_need_no_torch_and_figures_no_streamlit():
    for name, path in modules():
        if name.startswith(TORCH_FREE):
            tops = {target.split(".")[0] for target in imports(path)}
            assert not tops & {"torch", "timm", "accelerate"}, name
            assert "streamlit" not in tops, name


def test_only_the_cache_package_caches():
    for name, path in modules():
        if name.startswith("dashboard") and not name.startswith("dashboard.cache."):
            assert "st.cache_" not in path.read_text(), name


def test_only_one_component_makes_download_buttons():
    """Others would rerun the page at each click, which can lose the file."""
    makers = [
        name
        for name, path in modules()
        if name.startswith("dashboard") and ".download_button(" in path.read_text()
    ]
    assert makers == ["dashboard.components.download"]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns the number of lines of a function's body without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_body_of_a_function_is_counted_without_signature_and_docstring():
    (function,) = ast.parse('def f(\n    x,\n):\n    """Text."""\n    y = x\n\n    return y').body
    assert body_lines(function) == 3


@pytest.mark.parametrize("package", ["fer_core", "training", "dashboard", "benchmarks"])
def test_no_function_exceeds_40_lines(package):
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {body_lines(node)} lines"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 40
    ]
    assert long == []


OVERLAYS = {"heat_overlay", "signed_overlay"}
DRAW_MAPS = {
    "dashboard.components.saliency_map",  # every page
    "fer_core.predictor.export",  # png and html of one face
    "fer_core.serving.service",  # the HTTP service
}
"""Modules that draw maps, each beside its evidence; their tests require it."""


def test_every_map_is_drawn_where_its_evidence_is_shown():
    draws = set()
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            named = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
            if named in OVERLAYS and name != "fer_core.figures.overlay":
                draws.add(name)
    assert draws == DRAW_MAPS


def test_shipped_weights_stay_below_the_size_limits():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "artifacts"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    sizes = {
        name: (ROOT / name).stat().st_size
        for name in listed.stdout.split("\0")
        if (ROOT / name).is_file()
    }
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    assert {name for name, size in sizes.items() if size >= 50e6} == set()
    assert sum(weights.values()) <= 220e6


def test_tests_share_code_through_support_alone():
    breaches = [
        f"{path.relative_to(ROOT)} imports {target}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for target in imports(path)
        if target.startswith("tests.") and not target.startswith("tests.support")
    ]
    assert not breaches


def mirrored() -> set[str]:
    """Returns the test file of each module and package, relative to `tests`."""
    paths = set()
    for _, path in modules():
        package = path.relative_to(ROOT).parent
        folder = package.relative_to("fer_core") if package.parts[0] == "fer_core" else package
        if path.name == "__init__.py":  # a package tested by one file beside its folder
            paths.add((folder.parent / f"test_{folder.name}.py").as_posix())
        else:
            paths.add((folder / f"test_{path.name}").as_posix())
    return paths


def test_a_test_file_mirrors_a_module_or_is_listed():
    files = {
        path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")
    }
    table = re.findall(r"^\| `([\w/]+\.py)` \|", (ROOT / "tests/README.md").read_text(), re.M)
    assert sorted(files - mirrored() - set(table)) == []
    assert sorted(set(table) - (files - mirrored())) == []  # each row is needed
