"""Does every snippet of the documentation run?  Page by page, in one folder a page.

A page is found, not listed: a new one is run too. Commands that a test has no files for, and those
in the middle of a sentence, are held against the command line's parsers.
"""

import re
import shlex
from pathlib import Path

import pytest

from jaxsim.view.cli.config import parser_of
from jaxsim.view.cli.main import build_parser, main, verbs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
# `measured_loop.md` runs in tests/view/deploy/test_loop.py, the README in tests/test_package.py;
# `adding-a-model.md` is about files of the reader's.
ELSEWHERE, PARSED = ("measured_loop",), ("adding-a-model",)
WRITTEN = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.M | re.S)
KINDS = {"sh", "python", "text", "toml", "yaml", "json", "{toctree}"}


def snippets(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [(kind, body) for kind, body in FENCE.findall(text) if kind in ("sh", "python")]


def commands(body):
    """The arguments of each call of jaxsim in a block; nothing else may stand there."""
    for line in body.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "jaxsim", line
        yield arguments


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in (*ELSEWHERE, *PARSED) and snippets(page)]
)
def test_snippets_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {}
    for kind, body in snippets(page):
        if kind == "python":
            exec(compile(body, f"{page}.md", "exec"), names)
            continue
        for arguments in commands(body):
            assert main(arguments) == 0, f"{arguments}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", PARSED)
def test_snippets_parse(page):
    found = [arguments for _, body in snippets(page) for arguments in commands(body)]
    assert found
    for arguments in found:
        build_parser().parse_args(arguments)


def test_commands_in_sentences_have_the_options_that_they_name():
    parser, known, checked = build_parser(), set(verbs()), 0
    for path in WRITTEN:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for called in re.findall(r"`jaxsim ([^`]+)`", text):
            verb, *words = called.split()
            assert verb in known or verb.startswith("-"), f"{path.name}: jaxsim {called}"
            options = {word.split("=")[0].strip("[]") for word in words if word.startswith("--")}
            if verb in known:
                own = {name for a in parser_of(parser, verb)._actions for name in a.option_strings}
                assert options <= own, f"{path.name}: jaxsim {called}"
                checked += 1
    assert checked > 20


def test_every_page_is_in_the_table_of_contents():
    listed = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    assert set(PAGES) - {"index"} <= set(listed)


def test_every_fence_says_what_it_holds():
    for path in WRITTEN:
        kinds = {kind for kind, _ in FENCE.findall(path.read_text(encoding="utf-8"))}
        assert kinds <= KINDS, path.name
