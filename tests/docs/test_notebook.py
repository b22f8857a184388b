"""docs/notebook.ipynb runs from its first cell to its last, as Jupyter runs it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from docs.tables import DOCS


@pytest.mark.process
@pytest.mark.filterwarnings("default")  # those of Jupyter's own code
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "outputs are not committed"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", ()))
    assert "Did you mean 'mixup'?" in said
    assert "| resnet_d" in said.replace("\\_", "_"), "the report's table"
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 4
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
