"""Does the documented loop run: plan, deploy, measure, validate, calibrate, plan again?"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.setup import setup_of
from jaxsim.view.deploy.measured import causes, stated_of
from tests.view.deploy.made import order
from tests.view.written import checked

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Every command of the document, in order, with its status and what it printed."""
    folder = tmp_path_factory.mktemp("loop")
    shutil.copytree(DOCS / "recorded", folder / "recorded")
    text = (DOCS / "measured_loop.md").read_text(encoding="utf-8")
    commands = [shlex.split(block)[1:] for block in re.findall(r"```sh\n(.*?)```", text, re.S)]
    known = {"PYTHONPATH": str(DOCS.parent), "PATH": os.environ["PATH"], "HOME": str(folder)}
    result = []
    for words in commands:
        made = subprocess.run(
            [sys.executable, "-m", "jaxsim", *words],
            cwd=folder,
            env=known,
            capture_output=True,
            text=True,
        )
        assert made.returncode in (0, 1), made.stderr
        result.append((words[0], made.returncode, made.stdout))
    return folder, result


@pytest.mark.slow
def test_the_loop_runs(ran):
    """Only the measured TTL misses its target, which status 1 says."""
    folder, result = ran
    verbs = [verb for verb, _, _ in result]
    assert verbs == ["plan", "deploy", "validate", "calibrate", "plan"]
    assert [status for _, status, _ in result] == [0, 0, 1, 0, 0]
    assert "does not hold" in result[2][2]
    stamp = checked("deployment", folder / "deployed" / "deploy.json")
    assert stamp["engine"] == "vllm"


@pytest.mark.slow
def test_an_engine_of_ones_own_is_nearer_to_its_runs(ran):
    """Errors fall, numbers stay within bounds of the prior, and the file is an engine."""
    folder, result = ran
    lines = re.findall(r"^(\w+): ([\d.]+)% before, ([\d.]+)% after", result[3][2], re.M)
    assert {name for name, _, _ in lines} >= {"tpot", "ttft"}
    squares = [np.sum(np.square([float(line[k]) for line in lines])) for k in (1, 2)]
    assert squares[1] < squares[0]
    own = load_engine(str(folder / "own.toml"))
    assert own.name == "own"
    raw = tomllib.loads((folder / "own.toml").read_text())
    for name, entry in {**raw["values"], **raw["serving"]}.items():
        if entry["from"] == "runs" and "note" in entry:
            low, high = map(float, re.findall(r"80 %: (\S+) to ([^;]+);", entry["note"])[0])
            assert low <= entry["value"] <= high, name


def test_a_constant_that_alone_explains_a_difference():
    """Times its factor, the part makes the whole time what was measured."""
    plan = order("dense")
    pool = plan.pool("decode")
    setup = setup_of(plan.model, "h200", plan.precision, "trtllm")
    total = sum(pool.parts_s.values())
    result = causes(pool, setup, 1.2)
    assert result[0].deviations == min((c.deviations for c in result), key=abs)
    for cause in result:
        assert (1.0 - cause.share) + cause.share * cause.factor == pytest.approx(1.2)
    attention = next(cause for cause in result if cause.name == "h200 decode")
    assert attention.share == pytest.approx(pool.parts_s["attention"] / total)
    # A part cannot explain more than it takes.
    assert all(c.share > 0.5 for c in causes(pool, setup, 0.5))


def test_a_plan_says_what_a_result_file_leaves_out():
    stated = stated_of(order("moe"))
    assert (stated.tp, stated.ep, stated.instances) == (1.0, 16.0, 1.0)
    assert (stated.prefill_pp, stated.prefill_instances) == (4.0, 8.0)
    assert (stated.hardware, stated.engine) == ("gb200-nvl72", "trtllm")
    colocated = stated_of(order("moe", "colocated"), "sglang")
    assert colocated.prefill_tp is None
    assert (colocated.ep, colocated.engine) == (64.0, "sglang")
