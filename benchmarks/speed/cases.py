"""What is evaluated, on which grids?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.speed import synthetic

# The axes for whose every combination an answer is wanted.
GROUPS = ("isl", "osl")


@dataclass(frozen=True)
class Case:
    """A point function, the axes it is swept over, and what is compared."""

    name: str
    fn: Callable[[Any], Any]
    point: Any
    axes: Callable[[int], list]
    objective: str
    latency: str
    valid: str
    outputs: tuple[str, ...]
    largest: float = math.inf

    def grid(self, points: float) -> list:
        """Axes of about so many points: more workloads, up to a limit, for more points."""
        return self.axes(max(round((points / size(self.axes(1))) ** 0.5), 1))


def size(axes) -> int:
    """Points of a grid."""
    return int(np.prod([len(values) for _, _, values in axes], dtype=np.int64))


def _workloads(count: int) -> tuple[np.ndarray, np.ndarray]:
    isl = np.round(np.geomspace(1024, 65536, count)) if count > 1 else np.array([16384.0])
    osl = np.round(np.geomspace(128, 8192, count)) if count > 1 else np.array([2048.0])
    return isl, osl


def _model() -> tuple[Any, dict[str, tuple[float, ...]]]:
    from jaxsim.catalog.setup import setup_of
    from jaxsim.catalog.workload import Workload

    setup = setup_of("deepseek-r1", "gb200-nvl72")
    powers = {n: tuple(2.0**i for i in range(n)) for n in (5, 7)}
    values = {
        "tp": powers[7],
        "ep": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
        "pp": powers[5],
        "chunk": tuple(float(c) for c in 256 * 2 ** np.arange(7)),
        "batch": tuple(np.unique(np.round(np.geomspace(1, 4096, 89)))[-64:].tolist()),
    }
    return setup.scenario(Workload(isl=16384.0, osl=2048.0)), values


def phase(name: str) -> Case:
    """A phase of DeepSeek-R1 on GB200: ISL x OSL x TP x EP x PP x chunk x batch."""
    from jaxsim.space.axes import LEAF
    from jaxsim.space.designs import PHASES

    scenario, values = _model()

    def axes(workloads: int):
        isl, osl = _workloads(workloads)
        named = {"isl": isl, "osl": osl, **values}
        return [(axis, LEAF[axis], np.asarray(v)) for axis, v in named.items()]

    objective, latency, valid, outputs = {
        "prefill": ("requests_per_s", "ftl_s", "valid", ("compute_s", "chunks", "bubble_frac")),
        "decode": ("output_tokens_per_s_per_gpu", "ttl_s", "valid", ("ttl_end_s", "gpus")),
        "colocated": (
            "ifb.output_tokens_per_s_per_gpu",
            "ifb.ttl_s",
            "ifb.valid",
            ("ifb.ftl_s", "ifb.ttl_median_s", "ifb.prompt_share", "requests_per_s", "gpus"),
        ),
    }[name]
    return Case(
        name, PHASES[name], scenario, axes, objective, latency, valid,
        (objective, latency, *outputs), 3e8 if name == "colocated" else math.inf,
    )  # fmt: skip


def synthetic_case() -> Case:
    """The engine apart from the model: a function of the same structure."""
    outputs = (
        "attention_s", "moe_s", "layer_s", "ttl_s", "mixed_s", "tokens_per_s_per_gpu",
        "mixed_per_gpu", "users", "over", "used_bytes",
    )  # fmt: skip
    return Case(
        "synthetic",
        synthetic.step,
        synthetic.Point(),
        lambda workloads: synthetic.axes((workloads, workloads, 7, 9, 5, 7, 64)),
        "mixed_per_gpu",
        "mixed_s",
        "valid",
        outputs,
    )


def case(name: str) -> Case:
    """A case by name: a phase, or `synthetic`."""
    return synthetic_case() if name == "synthetic" else phase(name)
