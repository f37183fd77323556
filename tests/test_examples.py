"""Every example runs, uses the public interface alone, and draws something."""

import ast
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
def test_an_example_uses_the_public_interface_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("jaxsim"), ast.unparse(node)
        if isinstance(node, ast.Import):
            assert all(not alias.name.startswith("jaxsim.") for alias in node.names)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "jaxsim":
            assert node.attr in jaxsim.__all__
