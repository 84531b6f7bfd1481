"""Example notebooks: run them, keep what they show.

`python infra/site/notebooks.py` runs those of docs/notebooks that need no project, and writes what their cells show
into them, for the pages of the site.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
SHOWN = ("pictures", "folder")
"""Notebooks that make their own data; the others ask for a project that has been run."""


def executed(name: str, folder: Path, **replaced: str) -> nbformat.NotebookNode:
    """Run a notebook in a folder and return it with what its cells showed; words of its code may be replaced.

    Raises:
        CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        for old, new in replaced.items():
            cell.source = cell.source.replace(old.replace("_", "-"), new)
    client = NotebookClient(notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def _kept(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook without the second form of its pictures, and without words about who ran it."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)
    return notebook


def main() -> None:
    """Run the notebooks and write them."""
    with TemporaryDirectory() as folder:
        for name in SHOWN:
            nbformat.write(_kept(executed(name, Path(folder))), FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main()
