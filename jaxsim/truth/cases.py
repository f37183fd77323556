"""What do the steps of every measured row take?  Its catalogue entries, timed together."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np

from jaxsim._progress import Counted, tell
from jaxsim._record import replace_leaf
from jaxsim.catalog.calibration import of_engine
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import DenseFFN
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.routing import popularity_variance
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.steps import MOST_SLOTS, Steps, stack, timed
from jaxsim.truth.limits import reserve_frac
from jaxsim.truth.read.names import Named
from jaxsim.truth.read.rows import ServingRow


@dataclass(frozen=True)
class Case:
    """One row with the names that it means."""

    row: ServingRow
    named: Named


def spread(layout: Layout, dense: bool) -> Layout:
    """A layout as the model can have it: ranks of a dense model share nothing, so are instances."""
    if not dense or layout.ep <= 1:
        return layout
    copies = layout.width / layout.tp
    return Layout(layout.tp, 1.0, layout.pp, layout.workers * copies, layout.note)


def is_dense(named: Named) -> bool:
    """Whether no layer has experts."""
    return all(isinstance(group.ffn, DenseFFN) for group in named.model.model.groups)


def layouts(case: Case) -> tuple[Layout, Layout]:
    """The pools that decode and that prefill; the same one where co-located."""
    dense = is_dense(case.named)
    if case.row.decode is None:
        raise InputError("layout not stated")
    decode = spread(case.row.decode, dense)
    prefill = decode if case.row.prefill is None else spread(case.row.prefill, dense)
    return decode, prefill


@cache
def _base(model: str, hardware: str, precision: Precision, engine: str) -> Scenario:
    """Everything of a scenario that rows share: the engine's kernels, nothing of it but routing."""
    setup = setup_of(model, hardware, precision, "ideal")
    setup = dataclasses.replace(setup, calibration=of_engine(setup.calibration, engine))
    scenario = setup.scenario(Workload(isl=1.0, osl=1.0))
    popularity = float(popularity_variance())
    return replace_leaf(lambda s: s.engine.popularity_variance, scenario, popularity)


def _scenarios(case: Case, chunk: float) -> tuple[Scenario, Scenario, float]:
    named, row = case.named, case.row
    base = _base(row.model, named.hardware.name, named.precision, named.engine)
    workload = Workload(
        isl=row.isl,
        osl=row.osl,
        hit_frac=row.hit_frac,
        draft_tokens=row.draft_tokens,
        accept_frac=row.accept_frac,
    )

    kept = reserve_frac(row, named)
    if kept is not None:
        base = replace_leaf(lambda s: s.engine.reserve_frac, base, kept)

    def scenario(layout: Layout) -> Scenario:
        design = Deployment(layout.tp, layout.ep, layout.pp, 1.0, chunk)
        return dataclasses.replace(base, workload=workload, design=design)

    decode, prefill = layouts(case)
    largest = (row.concurrency or MOST_SLOTS) / decode.workers
    return scenario(decode), scenario(prefill), largest


def time_steps(cases: list[Case], pass_tokens: Sequence[float]) -> Steps:
    """The timed steps of all rows, in their order; rows of one model structure run together.

    A pass of a row holds so many prompt tokens at most.
    """
    scenarios = []
    for case, chunk in zip(cases, pass_tokens, strict=True):
        tell(Counted("reading set-ups", len(scenarios), len(cases), "runs"))
        scenarios.append(_scenarios(case, chunk))
    groups: dict[object, list[int]] = {}
    for index, (decode, _, _) in enumerate(scenarios):
        groups.setdefault(jax.tree.structure(decode), []).append(index)
    steps: list[Steps | None] = [None] * len(cases)
    timed_rows = 0
    for indices in groups.values():
        tell(Counted("timing steps", timed_rows, len(cases), "runs"))
        timed_rows += len(indices)
        # Padded to a power of two, so that files of like size share a compiled program.
        padded = indices + [indices[0]] * (_size(len(indices)) - len(indices))
        decode = stack([scenarios[i][0] for i in padded])
        prefill = stack([scenarios[i][1] for i in padded])
        most = np.asarray([min(scenarios[i][2], MOST_SLOTS) for i in padded], np.float32)
        own = jax.tree.map(np.asarray, timed(decode, prefill, most))
        for place, index in enumerate(indices):
            steps[index] = jax.tree.map(lambda leaf, place=place: leaf[place], own)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *steps)


def _size(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()
