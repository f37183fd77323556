"""Is what the documents show what the code does?"""

import doctest
import importlib
import inspect
import pathlib
import re
import tempfile
from pathlib import Path

import numpy
import pytest

import jaxsim
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


# Their examples run in tests/api/test_draws.py and tests/view/cli/test_{traffic,validate}.py,
# where what they compile is compiled already.
ELSEWHERE = (
    "jaxsim.api.draws", "jaxsim.api.simulate", "jaxsim.view.figures.timeline",
    "jaxsim.view.figures.measured",
)  # fmt: skip


def with_examples() -> list[str]:
    """The modules of the package whose docstrings hold an example."""
    sources = sorted((ROOT / "jaxsim").rglob("*.py"))
    held = [path for path in sources if "    >>> " in path.read_text(encoding="utf-8")]
    result = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in held]
    return [name for name in result if name not in ELSEWHERE]


class Remembered:
    """The package, with calls of one text made once: many examples begin with the same plan."""

    def __init__(self):
        self.calls = {}

    def __getattr__(self, name):
        value = getattr(jaxsim, name)
        if inspect.isclass(value) or name not in VERBS:
            return value

        def call(*args, **keywords):
            key = name, repr(args), repr(keywords)
            if key not in self.calls:
                self.calls[key] = value(*args, **keywords)
            return self.calls[key]

        return call


VERBS = ("plan", "sensitivity", "evaluate", "estimate", "serve")


@pytest.fixture(scope="module")
def names():
    return {"jaxsim": Remembered(), "np": numpy, "pathlib": pathlib, "tempfile": tempfile}


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_run(name, names):
    module = importlib.import_module(name.removesuffix(".__init__"))
    result = doctest.testmod(module, extraglobs=names)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_every_public_name_has_an_example():
    public = [name for name in jaxsim.__all__ if name != "__version__"]
    assert not [name for name in public if ">>>" not in (getattr(jaxsim, name).__doc__ or "")]
