"""Which numbers have engines whose runs are few, and alike in part?

The numbers of an engine on one generation of GPUs for one architecture of models are a sum of
effects, each normal around 0: of the engine, of the generation, of both, of engine and
architecture, and of all three; what no engine decides is one number for all. So runs of one system
teach what they share with others, and what no run touches stays at its prior. All effects are found
at once: the mode of a robust posterior, by Gauss and Newton's steps.

Number formats share all numbers. What a format changes is measured in its kernels, so a narrower
one is never slower for the engine's sake: a pass takes at most the larger of 1 and the kernels' own
ratio times what it takes in the wider format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.truth.engines.fit import CENTRE, FREE, SPREAD, Data, outputs, slopes

Leaf = tuple[str, str, str]  # engine, generation, architecture
Effect = tuple[str, ...]

# Which part of a number's prior variance each effect has. An engine's own habits come first; what
# its code for one generation and one architecture has of its own, last.
SHARES = {
    "all": 0.0,
    "engine": 0.4,
    "generation": 0.15,
    "engine, generation": 0.2,
    "engine, architecture": 0.1,
    "engine, generation, architecture": 0.15,
}
# A host does not know what a kernel computes: these are an engine's alone.
HOST = ("request_s", "prompt_token_s", "disaggregated_s", "steps_waited", "start_runs")
# How far the prompts of a round drift apart is the arithmetic of a closed loop, not of an engine.
COMMON = ("round_jitter",)
MOST_STEPS = 40
STILL = 1e-4  # relative fall of the cost in a step at which the fit ends
FEWEST_ROWS = 15


def _shares() -> dict[str, np.ndarray]:
    """The part of each number's prior variance that each kind of effect has [number]."""
    alone = {name: "engine" for name in HOST} | {name: "all" for name in COMMON}
    return {
        kind: np.asarray([float(alone[f.name] == kind) if f.name in alone else share for f in FREE])
        for kind, share in SHARES.items()
    }


# Roots of the parts, times the prior deviation: what one unit of an effect moves a number by.
SCALES = {kind: np.sqrt(share) * SPREAD for kind, share in _shares().items()}


def effects_of(leaf: Leaf) -> dict[str, Effect]:
    """The effects that add up to the numbers of a leaf, by the kind of effect."""
    engine, generation, architecture = leaf
    return {
        "all": (),
        "engine": (engine,),
        "generation": ("", generation),
        "engine, generation": (engine, generation),
        "engine, architecture": (engine, "", architecture),
        "engine, generation, architecture": leaf,
    }


@dataclass(frozen=True)
class Hierarchy:
    """Effects in units of their prior deviations, and the covariance that runs leave of them."""

    place: Mapping[tuple[str, Effect], int]
    units: np.ndarray  # [effect, number]
    covariance: np.ndarray  # of `units`, flat
    rows: Mapping[Leaf, int]

    def logs(self, leaf: Leaf) -> np.ndarray:
        """Logs of the numbers of a leaf; effects of which no run tells are at 0.

        A generation or architecture that is empty stands for those that are not known.
        """
        logs = CENTRE.copy()
        for kind, effect in effects_of(leaf).items():
            index = self.place.get((kind, effect))
            if index is not None:
                logs = logs + SCALES[kind] * self.units[index]
        return logs

    def deviations(self, leaf: Leaf) -> np.ndarray:
        """How unsure the logs of a leaf's numbers are: runs' covariance, and effects unseen."""
        size = len(FREE)
        weight = np.zeros((size, len(self.units) * size))
        unseen = np.zeros(size)
        for kind, effect in effects_of(leaf).items():
            scale = SCALES[kind]
            index = self.place.get((kind, effect))
            if index is None:
                unseen += scale**2
            else:
                weight[:, index * size : (index + 1) * size] += np.diag(scale)
        return np.sqrt(np.einsum("ij,jk,ik->i", weight, self.covariance, weight) + unseen)


def _cost(residuals: np.ndarray, units: np.ndarray) -> float:
    return float(np.sum(2.0 * (np.sqrt(1.0 + residuals**2) - 1.0)) + np.sum(units**2))


def fit(data: Data, leaves: Sequence[Leaf], start: Hierarchy | None = None) -> Hierarchy:
    """The hierarchy of all rows; `leaves` says to which leaf each belongs.

    Minimises the sum of ρ(weight · log error) over rows and measures, ρ(r) = 2(√(1 + r²) - 1), and
    of squares of effects over their prior deviations. Refuses too few rows, and numbers that are
    not finite.
    """
    if len(data) < FEWEST_ROWS:
        raise InputError(
            f"{len(data)} rows are too few to fit engines; it takes {FEWEST_ROWS}. "
            "Use the engines of the catalogue, or collect more."
        )
    known = sorted(set(leaves))
    keys = sorted({(kind, e) for leaf in known for kind, e in effects_of(leaf).items()})
    place = {key: index for index, key in enumerate(keys)}
    units = np.zeros((len(keys), len(FREE)))
    if start is not None:
        for key, index in place.items():
            if key in start.place:
                units[index] = start.units[start.place[key]]
    of = {leaf: np.asarray([i for i, own in enumerate(leaves) if own == leaf]) for leaf in known}

    def residuals(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tree = Hierarchy(place, at, np.zeros((0, 0)), {})
        table = {leaf: tree.logs(leaf) for leaf in known}
        logs = np.stack([table[leaf] for leaf in leaves])
        return (outputs(logs, data) - data.logs) * data.weights, logs

    now, logs = residuals(units)
    cost, damping = _cost(now, units), 1e-3
    normal = np.eye(units.size)
    for _ in range(MOST_STEPS):
        if not np.isfinite(cost):
            raise InputError("The fit of engines met numbers that are not finite.")
        normal, gradient = _normal(data, now, logs, of, place, units)
        fell = 0.0
        while damping < 1e6:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
            tried = units + step.reshape(units.shape)
            then, other = residuals(tried)
            new = _cost(then, tried)
            if np.isfinite(new) and new < cost:
                fell = (cost - new) / cost
                units, now, logs, cost = tried, then, other, new
                damping = max(damping / 10.0, 1e-6)
                break
            damping *= 10.0
        if fell < STILL:
            break
    return Hierarchy(place, units, np.linalg.inv(normal), {leaf: len(of[leaf]) for leaf in known})


def _normal(
    data: Data,
    now: np.ndarray,
    logs: np.ndarray,
    of: Mapping[Leaf, np.ndarray],
    place: Mapping[tuple[str, Effect], int],
    units: np.ndarray,
):
    """The matrix and right side of one Gauss-Newton step in units of prior deviations."""
    size = len(FREE)
    by_number = slopes(logs, data) * data.weights[:, :, None]
    robust = 1.0 / np.sqrt(1.0 + now**2)
    normal = np.eye(units.size)
    gradient = units.ravel().copy()
    for leaf, rows in of.items():
        own = by_number[rows].reshape(-1, size)
        weighted = own * robust[rows].reshape(-1, 1)
        square, side = weighted.T @ own, weighted.T @ now[rows].ravel()
        scales = [(SCALES[kind], place[kind, effect]) for kind, effect in effects_of(leaf).items()]
        for a, i in scales:
            first = slice(i * size, (i + 1) * size)
            gradient[first] += a * side
            for b, j in scales:
                normal[first, j * size : (j + 1) * size] += a[:, None] * square * b
    return normal, gradient
