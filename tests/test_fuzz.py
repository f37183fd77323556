"""A small share of `python -m benchmarks.fuzz`, and every seed that once failed."""

import os
import random
from pathlib import Path

import pytest

from benchmarks.fuzz import worker
from benchmarks.fuzz.documents import document_of
from benchmarks.fuzz.judge import judged_line

# What failed when it was found: encodings, control characters, types and numbers of files, options
# without a value.
FAILED = {
    "line": (24, 27, 40, 198, 1112, 1864, 3058, 9082, 11426),
    "file": (441, 700, 809, 1251, 6109, 11194, 47281, 58127, 298119),
}


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Cases write where they are run."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("kind", "seed"), [(k, s) for k, seeds in FAILED.items() for s in seeds])
def test_what_once_failed(kind, seed, tmp_path):
    result = worker.run(kind, seed, tmp_path)
    assert result.faults == [], worker.case_text(kind, seed)[:500]


def test_malformed_files_are_refused_or_read(tmp_path):
    for seed in range(10**6, 10**6 + 250):
        document = document_of(random.Random(f"file {seed}"))
        result = worker.judged_file(document, tmp_path)
        assert result.faults == [], (seed, result.detail)


def test_malformed_command_lines_are_refused_or_answered(tmp_path):
    """Those that evaluate something take long: here all have a value that is none."""
    for seed in range(10**6, 10**6 + 150):
        chosen = random.Random(f"line {seed}")
        argv = [*worker.line_of(chosen, worker.flags()), "--no-such-option"]
        result = judged_line(argv, tmp_path, chosen.choice(("utf-8", "ascii")))
        assert result.faults == [], (seed, argv, result.detail)


def test_the_judge_finds_faults(tmp_path, monkeypatch):
    """A traceback, a NaN and an escape sequence are seen."""
    from jaxsim.view.cli import main as cli

    def answer(text, status=0):
        def run(*_):
            print(text)
            return status

        monkeypatch.setattr(cli, "execute", run)
        return judged_line(["plan"], tmp_path).faults

    assert answer("fine") == []
    assert "is shown as an answer" in answer("TTL nan ms")[0]
    assert "control character" in answer("\x1b[31m")[0]
    assert "nothing on standard error" in answer("fine", 3)
    monkeypatch.setattr(cli, "execute", lambda *_: 1 / 0)
    assert "status 70" in judged_line(["plan"], tmp_path).faults


def test_no_regular_expression_of_a_file_can_hang(tmp_path):
    from jaxsim.catalog.patterns import Patterns

    names = ("model.layers.0." + "a" * 200,)
    for pattern in ("re:(.+)+~$", "re:(a|a)*b", "*a" * 40 + "b", "re:" + "(" * 50 + ")" * 50):
        Patterns([pattern], "config.json").match(names)


def test_nothing_is_asked_of_a_network(tmp_path):
    """A plan with sockets denied."""
    import subprocess
    import sys

    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.create_connection = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "from jaxsim.view.cli.main import main\n"
        "sys.exit(main('plan llama-3.1-8b --hardware h100 --isl 1024 --osl 128 --ftl 2s --ttl 50ms "
        "--tp 1 --pp 1 --batch 8 --chunk 512 --prefill-batch 1 -o out'.split()))\n"
    )
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/plan.json").exists()
