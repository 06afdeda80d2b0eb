"""The notebook of `examples/` runs from start to end, on few faces."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "examples" / "choose_a_model.ipynb"


def printed(notebook) -> str:
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in outputs if out.output_type == "error"]
    return "\n".join(out.text for out in outputs if out.get("name") == "stdout")


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, 4)


def test_the_committed_notebook_has_its_outputs_and_no_local_path(committed):
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert re.search(r"Decision: \S+, accuracy \d+\.\d%", printed(committed))
    assert not re.search(r"/(home|tmp|work|root|Users)/", NOTEBOOK.read_text())


def test_the_notebook_reaches_a_decision_on_few_faces(committed, monkeypatch):
    monkeypatch.setenv("EXAMPLE_FACES", "35")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("FERSCOPE_ARTIFACTS", raising=False)
    resources = {"metadata": {"path": str(ROOT)}}
    client = NotebookClient(committed, timeout=300, kernel_name="python3", resources=resources)
    text = printed(client.execute())
    assert "35 pictures in 7 classes" in text
    assert re.search(r"Decision: \S+, accuracy", text)
