"""How does the cost of a search grow with axes, models and hardware?"""

from collections.abc import Iterator

import jax
import numpy as np

from benchmarks.speed.cases import phase, size
from benchmarks.speed.forms import GROUPS, Timing, timed
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.grid.best import stream_best

CHIPS = ("gb200-nvl72", "b200", "h200", "h100")
MODELS = ("deepseek-r1", "kimi-k2")
# Decode designs for some hundred workloads: a search of a tenth of a second.
POINTS = 1e7


def _search(case, axes, groups) -> tuple[float, float]:
    given = (case.fn, case.point, axes, groups)
    return timed(lambda: stream_best(*given, objective=case.objective, valid=case.valid))


def growth_forms() -> Iterator[Timing]:
    """The best decode design of every workload, for more and more axes, chips and models."""
    case = phase("decode")
    axes = case.grid(POINTS)
    for count in range(2, len(axes) + 1):
        some = axes[len(axes) - count :]
        groups = tuple(name for name, _, _ in some if name in GROUPS)
        seconds, compiled = _search(case, some, groups)
        yield Timing("growth", f"{count} axes", size(some), seconds, compiled)
    pairs = [(MODELS[0], chip) for chip in CHIPS]
    for count in (1, 2, 4):
        yield _together(case, axes, pairs[:count], f"{count} chips as one more axis")
    pairs = [(model, chip) for model in MODELS for chip in CHIPS]
    yield _together(case, axes, pairs, f"{len(MODELS)} models x {len(CHIPS)} chips")


def _together(case, axes, pairs, form: str) -> Timing:
    one = Workload(isl=16384.0, osl=2048.0)
    scenarios = [setup_of(model, chip).scenario(one) for model, chip in pairs]
    stacked = jax.tree.map(lambda *x: np.stack([np.asarray(v, np.float32) for v in x]), *scenarios)
    given = [("setup", lambda scenario: scenario, stacked), *axes]
    seconds, compiled = _search(case, given, ("setup", *GROUPS))
    return Timing("growth", form, len(pairs) * size(axes), seconds, compiled)
