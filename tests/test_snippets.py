"""Does every snippet of the documentation run?  Page by page, in one folder a page."""

import re
import shlex
from pathlib import Path

import pytest

from jaxsim.view.cli.main import main

DOCS = Path(__file__).parents[1] / "docs"
# `measured_loop.md` runs in tests/view/deploy/test_loop.py.
PAGES = ("tutorial", "howto", "report", "limits", "model", "peers")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def snippets(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [(kind, body) for kind, body in FENCE.findall(text) if kind in ("sh", "python")]


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)])
def test_snippets_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {}
    for kind, body in snippets(page):
        if kind == "python":
            exec(compile(body, f"{page}.md", "exec"), names)
            continue
        for line in body.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line)
            assert program == "jaxsim", line
            assert main(arguments) == 0, f"{line}\n{capsys.readouterr().err}"


def test_every_page_is_in_the_table_of_contents():
    listed = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert pages <= set(listed)


def test_every_fence_says_what_it_holds():
    for page in PAGES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        assert all(kind for kind, _ in FENCE.findall(text)), page
