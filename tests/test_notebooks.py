"""The notebooks run from top to bottom, and what is stored in them is small and free of errors."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST_BYTES = 100_000


def test_the_list_of_notebooks_is_whole() -> None:
    listed = re.findall(r"\]\((\w+\.ipynb)\)", (ROOT / "notebooks" / "README.md").read_text())
    assert sorted(listed) == [path.name for path in NOTEBOOKS]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"notebooks/(\w+\.ipynb)", readme)) == set(listed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs(path: Path) -> None:
    assert path.stat().st_size < LARGEST_BYTES
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs, "the notebook is stored without outputs; run it and save it"
    assert not [output for output in outputs if output.output_type == "error"]
    assert any(kind.startswith("image/") for one in outputs for kind in one.get("data", ()))
    assert not [one for one in outputs if one.get("name") == "stderr"]
    assert cells[0].source == first_cell()
    assert not cells[0].outputs


def first_cell() -> str:
    """What installs tfgreen in Colab, the same everywhere."""
    notebook = nbformat.read(ROOT / "notebooks" / "which_width.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert 'if "google.colab" in sys.modules:' in source
    return source


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    last = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    assert "verified: passed" in last
