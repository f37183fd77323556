"""Which factors and overheads of an engine make its measured runs come out?

Few numbers on a basis of physics, fitted by robust least squares of logarithms, each held near a
stated prior by as much as the data leave it free: first for a generation of GPUs, then, from there,
for each number format.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from jaxsim.catalog.engine import Engine, Serving
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.serving import Asked, predict
from jaxsim.traffic.steps import Steps

FEWEST_ROWS = 15
MOST_EVALUATIONS = 60
SMALLEST_SHAPE = 256  # rows are padded to powers of two from here, so that fits share a program

# What a residual is measured in, per measure: the log error at which a row begins to count less.
TOLERANCE = {"tpot": 0.1, "ttft": 0.25, "output_tokens_per_s_per_gpu": 0.15}
QUEUED_WEIGHT = 0.3  # of a TTFT that is mostly a queue's
# How freely the fit of a number format departs from that of its generation, against the prior's own
# freedom.
FORMAT_FREEDOM = 0.6


@dataclass(frozen=True)
class Free:
    """A fitted number: where its prior is centred and how far (in log) it goes at one deviation."""

    name: str
    centre: float
    spread: float


ENGINE = (
    Free("gemm_factor", 1.0, 0.3),
    Free("attention_factor", 1.0, 0.3),
    Free("experts_factor", 1.0, 0.3),
    Free("network_factor", 1.0, 0.3),
    Free("launch_factor", 0.5, 0.5),
    Free("decode_step_s", 1e-3, 1.0),
    Free("decode_layer_s", 5e-6, 1.0),
    Free("decode_sequence_s", 5e-6, 1.0),
    Free("prefill_factor", 1.0, 0.3),
    Free("prefill_experts_factor", 1.0, 0.3),
    Free("prefill_step_s", 3e-3, 0.7),
    Free("prefill_layer_s", 1e-4, 1.0),
    Free("request_s", 1e-2, 1.0),
)
SERVING = (
    Free("stall_frac", 1.0, 0.3),
    Free("prompt_token_s", 1e-6, 1.0),
    Free("variability", 0.5, 0.5),
    Free("evenness", 0.4, 0.3),
    Free("start_runs", 10.0, 0.7),
    Free("other_runs", 10.0, 1.0),
    Free("steps_waited", 1.0, 0.4),
    Free("slots_frac", 1.0, 0.1),
    Free("most_sequences", 2048.0, 0.7),
    Free("disaggregated_s", 2e-2, 1.0),
)
FREE = (*ENGINE, *SERVING)
HELD = {
    "host_launch_s": 0.0,
    "decode_graph_frac": 1.0,
    "prefill_graph_frac": 1.0,
    "reserve_frac": 0.1,
}
CENTRE = np.log([free.centre for free in FREE])
SPREAD = np.asarray([free.spread for free in FREE])


@dataclass(frozen=True)
class Data:
    """Rows to fit: timed steps, what was asked, logs of what was measured, and weights."""

    steps: Steps
    asked: Asked
    logs: np.ndarray  # [row, measure], 0 where not measured
    weights: np.ndarray  # [row, measure], 0 where not measured

    def __len__(self) -> int:
        return len(self.logs)

    def take(self, index: np.ndarray) -> "Data":
        """Some of the rows."""

        def chosen(leaf):
            return np.asarray(leaf)[index]

        return Data(
            jax.tree.map(chosen, self.steps),
            jax.tree.map(chosen, self.asked),
            self.logs[index],
            self.weights[index],
        )


def records(logs) -> tuple[Engine, Serving]:
    """The engine whose fitted numbers have these logarithms."""
    values = dict(zip((free.name for free in FREE), jnp.exp(jnp.asarray(logs)), strict=True))
    engine = {free.name: values[free.name] for free in ENGINE}
    return Engine(**engine, **HELD), Serving(**{free.name: values[free.name] for free in SERVING})


def _log_outputs(logs, steps: Steps, asked: Asked):
    engine, serving = records(logs)
    service = jax.vmap(predict, in_axes=(0, 0, None, None))(steps, asked, engine, serving)
    rate = service.requests_per_s * asked.osl / asked.gpus
    return jnp.log(jnp.stack([service.tpot_s, service.ttft_s, rate], axis=-1))


def _residuals(logs, steps, asked, measured, weights, centre, spread):
    errors = (_log_outputs(logs, steps, asked) - measured) * weights
    return jnp.concatenate([errors.ravel(), (logs - centre) / spread])


_evaluate = jax.jit(_residuals)
_jacobian = jax.jit(jax.jacfwd(_residuals))
_outputs = jax.jit(_log_outputs)


def _padded(data: Data) -> Data:
    """The rows, followed by copies of the first that weigh nothing."""
    size = max(SMALLEST_SHAPE, 1 << max(len(data) - 1, 0).bit_length())
    index = np.concatenate([np.arange(len(data)), np.zeros(size - len(data), int)])
    padded = data.take(index)
    padded.weights[len(data) :] = 0.0
    return padded


def fit(
    data: Data, centre: np.ndarray = CENTRE, spread: np.ndarray = SPREAD, label: str = "rows"
) -> np.ndarray:
    """Logs of the fitted numbers: the mode of a robust posterior.

    Minimises the sum of ρ(weight · log error) over rows and measures and of ρ(deviation from the
    prior), with ρ(r) = 2(√(1 + r²) - 1). Refuses too few rows, and a fit that does not converge.
    """
    if len(data) < FEWEST_ROWS:
        raise InputError(
            f"{label}: {len(data)} rows are too few to fit an engine; it takes {FEWEST_ROWS}. "
            "Use the fit of the generation, or collect more."
        )
    padded = _padded(data)
    fixed = (padded.steps, padded.asked, padded.logs, padded.weights, centre, spread)
    fixed = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), fixed)
    result = least_squares(
        lambda logs: np.asarray(_evaluate(jnp.asarray(logs, jnp.float32), *fixed), float),
        centre,
        jac=lambda logs: np.asarray(_jacobian(jnp.asarray(logs, jnp.float32), *fixed), float),  # type: ignore[arg-type]
        loss="soft_l1",
        x_scale=spread,
        ftol=1e-4,  # in single precision the cost is known to about 1e-6
        xtol=1e-4,
        max_nfev=MOST_EVALUATIONS,
    )
    if not (np.isfinite(result.x).all() and np.isfinite(result.cost)):
        raise InputError(f"{label}: the fit of an engine met numbers that are not finite.")
    if result.status == 0:
        raise InputError(
            f"{label}: the fit of an engine did not converge in {MOST_EVALUATIONS} evaluations; "
            "the rows may contradict one another. Look for mixed units or engines."
        )
    return result.x


def outputs(logs: np.ndarray, data: Data) -> np.ndarray:
    """Logs of the predicted measures [row, measure]."""
    padded = _padded(data)
    found = _outputs(jnp.asarray(logs, jnp.float32), padded.steps, padded.asked)
    return np.asarray(found, float)[: len(data)]


def fit_formats(
    data: Data, formats: Sequence[str], label: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The fit of a generation, and from there that of each number format with enough rows."""
    base = fit(data, label=label)
    names = np.asarray(formats)
    own = {}
    for name in sorted(set(formats)):
        index = np.flatnonzero(names == name)
        if len(index) >= FEWEST_ROWS:
            chosen = data.take(index)
            own[name] = fit(chosen, base, SPREAD * FORMAT_FREEDOM, f"{label}, {name}")
    return base, own
