"""Is what the documents show what the code does?"""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from docs.architecture import PICTURE, svg

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def test_the_picture_of_rooms_is_up_to_date():
    assert PICTURE.read_text(encoding="utf-8") == svg(), "run `python -m docs.architecture`"


def named() -> list[str]:
    """The paths of modules that the page names, with the name of a function where it has one."""
    text = PAGE.read_text(encoding="utf-8")
    return sorted(
        set(re.findall(r"`((?:catalog|point|space|truth|traffic|api|view)/[\w/.]+)`", text))
    )


@pytest.mark.parametrize("name", named())
def test_the_page_names_what_exists(name):
    folder, _, last = name.rpartition("/")
    module, _, attribute = last.partition(".")
    path = ROOT / "jaxsim" / folder / module
    if not path.with_suffix(".py").exists():
        assert path.is_dir(), name
        return
    if attribute and attribute != "py":
        text = path.with_suffix(".py").read_text(encoding="utf-8")
        assert re.search(
            rf"^(?:def|class) {attribute.split('.')[0]}\b|^{attribute} =", text, re.M
        ), name


def with_examples() -> list[str]:
    """The modules of the package whose docstrings hold an example."""
    sources = sorted((ROOT / "jaxsim").rglob("*.py"))
    held = [path for path in sources if "    >>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in held]


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0
