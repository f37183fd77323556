"""Do two processes find together what one finds alone?"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxsim.space.grid.best import stream_best
from jaxsim.space.grid.frontier import stream_frontier
from tests.space.grids import Point, grid, precision, step

ASKED = {"group_axes": ("isl", "osl"), "step_points": 64, "block_points": 256}

CHILD = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
address, count, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.distributed.initialize(address, count, number)
from tests.space.grid.test_processes import answers
print("FOUND", json.dumps(answers()))
"""


def answers():
    """The best design of every workload and the frontiers, as plain lists."""
    best = stream_best(step, Point(), grid(4, 5), objective="rate", valid="valid", **ASKED)
    front = stream_frontier(
        step, Point(), grid(4, 5), x="ttl_s", y="per_gpu", valid="valid", **ASKED
    )
    pick = [best.value, *best.index.values(), front.x, front.y, front.starts]
    return [np.asarray(x).tolist() for x in (*pick, *front.index.values())]


def _free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
def test_two_processes_find_the_same():
    with precision(32):
        alone = json.loads(json.dumps(answers()))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    env.pop("JAX_ENABLE_X64", None)
    address = f"127.0.0.1:{_free_port()}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, address, "2", str(i)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for i in range(2)
    ]
    for child in children:
        out, err = child.communicate(timeout=300)
        assert child.returncode == 0, err[-2000:]
        line = next(line for line in out.splitlines() if line.startswith("FOUND"))
        assert json.loads(line.removeprefix("FOUND ")) == alone
