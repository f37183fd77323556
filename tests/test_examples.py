"""Every example runs, uses the public interface alone, and draws something."""

import ast
import json
import os
import runpy
import sys
from pathlib import Path

import pytest

import jaxsim

os.environ.setdefault("MPLBACKEND", "Agg")

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
DRAWN_BYTES = 8_000  # an empty panel of these sizes has less


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_there_are_examples():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_draws_its_figure(path, tmp_path, monkeypatch):
    picture = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", [str(path), str(picture)])
    monkeypatch.setenv("MPLBACKEND", "Agg")
    runpy.run_path(str(path), run_name="__main__")
    assert picture.stat().st_size > DRAWN_BYTES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_uses_the_public_interface_alone(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("jaxsim"), ast.unparse(node)
        if isinstance(node, ast.Import):
            assert all(not alias.name.startswith("jaxsim.") for alias in node.names)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "jaxsim":
            assert node.attr in jaxsim.__all__


NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws_one_figure(path):
    import matplotlib.pyplot as plt

    result = json.loads(path.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in result["cells"] if cell["cell_type"] == "code"]
    assert sum(len(cell.splitlines()) for cell in cells) < 60
    assert not any(cell.get("outputs") for cell in result["cells"]), "clear its outputs"
    names = {}
    for cell in cells:
        exec(compile(cell, path.name, "exec"), names)
    (number,) = plt.get_fignums()
    (axes,) = plt.figure(number).axes
    assert axes.get_xlabel()
    assert axes.get_title()
    assert axes.has_data()
