"""A small share of `python -m benchmarks.fuzz`, and every seed that once failed."""

import json
import math
import os
import random
from pathlib import Path

import pytest

import jaxsim
from benchmarks.fuzz import lines, worker
from benchmarks.fuzz.documents import READERS, Document, document_of
from benchmarks.fuzz.judge import judged_line
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of

# What failed when it was found: encodings, control characters, types and numbers of files, options
# without a value, numbers of 310 digits in Python.
FAILED = json.loads((Path(__file__).parent / "fuzz_failed.json").read_text())


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Cases write where they are run."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", [c for c in FAILED if "argv" in c], ids=lambda c: c["argv"][0])
def test_command_lines_that_once_failed(case, tmp_path):
    assert judged_line(case["argv"], tmp_path, case["encoding"]).faults == []


@pytest.mark.parametrize("case", [c for c in FAILED if "name" in c], ids=lambda c: c["kind"])
def test_files_that_once_failed(case, tmp_path):
    content, read = case["content"].encode("latin-1"), READERS[case["kind"]]
    document = Document(case["kind"], case["name"], content, read)
    assert worker.judged_file(document, tmp_path).faults == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -1, 2.5, 1e30, 10**310])
def test_python_refuses_the_numbers_that_the_command_line_refuses(number):
    work, setup = jaxsim.Workload(isl=1024, osl=128), setup_of("llama-3.1-8b", "h100", None, None)
    wrong = {"hit_frac": number, "imbalance": number if number != 2.5 else 0.5}
    calls = [
        lambda: jaxsim.Space(batch=(number,)),
        lambda: jaxsim.PlanRequest(work, ftl_s=2.0, ttl_s=0.05, tolerance=number),
        lambda: jaxsim.EstimateRequest(work, "decode", tp=number),
        lambda: setup.scenario(jaxsim.Workload(isl=1024, osl=128, **wrong)),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


def test_malformed_files_are_refused_or_read(tmp_path):
    for seed in range(10**6, 10**6 + 250):
        document = document_of(random.Random(f"file {seed}"))
        result = worker.judged_file(document, tmp_path)
        assert result.faults == [], (seed, result.detail)


def test_malformed_command_lines_are_refused_or_answered(tmp_path):
    """Those that evaluate something take long: here all have a value that is none."""
    for seed in range(10**6, 10**6 + 150):
        chosen = random.Random(f"line {seed}")
        argv = [*lines.line_of(chosen, worker.flags()), "--no-such-option"]
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
