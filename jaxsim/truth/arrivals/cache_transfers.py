"""How long would a measured transfer of a prompt's cache take?"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.ranks import ranks_of
from jaxsim.traffic.simulate.links import links_between
from jaxsim.truth.arrivals.table import ArrivalRun
from jaxsim.truth.read.names import names_of

GOAL = 0.15  # median error of the times of transfers


@dataclass(frozen=True)
class Move:
    """One measured transfer: the run, tokens of the prompt, seconds measured and predicted."""

    id: str
    tokens: float
    measured_s: float
    predicted_s: float


def moves_of(runs: Iterable[ArrivalRun]) -> list[Move]:
    """What the model says of every stated transfer between pools of one width."""
    moves = []
    for run in runs:
        layout = run.row.decode
        if run.transfer_s is None or run.row.excluded or layout is None:
            continue
        try:
            named = names_of(run.row)
            setup = setup_of(run.row.model, named.hardware.name, named.precision, named.engine)
        except InputError:
            continue
        ranks = ranks_of(Deployment(layout.tp, 1.0, layout.pp, 1.0, 2048.0))
        line = run.line_bytes_per_s
        links = links_between(
            setup.scenario(Workload(isl=run.row.isl, osl=2.0)), ranks, ranks,
            bytes_per_s=None if line is None else line / layout.gpus * layout.workers,
        )  # fmt: skip
        segments = np.ceil(run.row.isl / links.segment_tokens)
        seconds = links.setup_s + run.row.isl * links.token_s + segments * links.segment_s
        moves.append(Move(run.row.id, run.row.isl, run.transfer_s, float(seconds)))
    return moves
