"""Which factors and overheads may an engine have, and what do its runs come out as?

Few numbers on a basis of physics, each with a prior. A number is a lower limit that the form of the
model gives it (a kernel's factor is 1 or more) and a positive part, whose logarithm is fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxsim._scalar import Scalar
from jaxsim.catalog.engine import Engine, Serving
from jaxsim.traffic.serving import Load, predict
from jaxsim.traffic.steps import Steps

SMALLEST_SHAPE = 256  # rows are padded to powers of two from here, so that fits share a program

# Of a launch floor, what the catalogue's ideal engine shows: no engine hides more (tested).
LEAST_LAUNCH = 0.3
# What a residual is measured in, per measure: the log error at which a row begins to count less.
TOLERANCE = {"tpot": 0.1, "ttft": 0.25, "output_tokens_per_s_per_gpu": 0.15}
QUEUED_WEIGHT = 0.3  # of a TTFT that is mostly a queue's


@dataclass(frozen=True)
class Free:
    """A fitted number: `low` and a part above it, with its prior.

    The part is p, or p h/(p + h) where no more than h = `high` - `low` is possible. The prior of
    ln p is normal around the one that gives `centre`, with deviation `spread`.
    """

    name: str
    centre: float
    spread: float
    low: float = 0.0
    high: float = np.inf

    def value(self, log: Scalar) -> Scalar:
        """The number whose part above `low` has this logarithm, before the limit `high`."""
        part, room = jnp.exp(log), self.high - self.low
        return self.low + (part if np.isinf(room) else part * room / (part + room))

    def log_of(self, value: float) -> float:
        """The logarithm that gives a value between the limits."""
        part, room = value - self.low, self.high - self.low
        return float(np.log(part if np.isinf(room) else part * room / (room - part)))


ENGINE = (
    Free("gemm_factor", 1.15, 0.9, low=1.0),
    Free("attention_factor", 1.15, 0.9, low=1.0),
    Free("experts_factor", 1.15, 0.9, low=1.0),
    # Messages were measured as they are sent; what grows with sequences at any TP is the host's.
    Free("network_factor", 1.1, 0.6, low=1.0),
    Free("launch_factor", 0.7, 0.7, low=LEAST_LAUNCH),
    Free("decode_step_s", 1e-3, 0.7),
    Free("decode_layer_s", 5e-6, 0.7),
    # 30 to 45 us were measured with vLLM, whatever the TP; a scheduler that works ahead hides it.
    Free("decode_sequence_s", 1.5e-5, 1.0),
    # Beyond this, a pass is slow for other reasons than its kernels.
    Free("prefill_factor", 1.3, 0.9, low=1.0, high=2.5),
    Free("prefill_experts_factor", 1.3, 0.9, low=1.0, high=2.5),
    Free("prefill_step_s", 3e-3, 0.5, high=2e-2),
    # A layer is issued as 10 to 40 kernels; a host takes 5 to 50 us for each.
    Free("prefill_layer_s", 3e-4, 0.5, high=2e-3),
    # Whole times to the first token of 11 ms (a short prompt with vLLM) and 28 ms (SGLang) are
    # measured, which contain it.
    Free("request_s", 1e-2, 0.5, high=0.03),
    Free("prompt_token_s", 1e-6, 0.3),
    Free("disaggregated_s", 3e-2, 0.5, high=0.15),
)
SERVING = (
    # What a prompt's tokens add to a pass holds up those that decode, all of it.
    Free("stall_frac", 1.0, 0.1),
    Free("variability", 0.5, 0.4),
    Free("evenness", 0.4, 0.3),
    # One prompt's time departs from the next one's by about itself: see `round_wait_s`.
    Free("round_jitter", 0.5, 0.5),
    Free("start_runs", 10.0, 0.5, low=1.0),
    Free("other_runs", 10.0, 0.7, low=1.0),
    # The rest of the step under way, one step of a scheduler that works ahead, one more to spare.
    Free("steps_waited", 1.5, 0.4, low=0.5, high=2.5),
    Free("client_s", 1e-2, 1.0, high=0.3),
    Free("slots_frac", 1.0, 0.05),
    Free("most_sequences", 2048.0, 0.5),
)
FREE = (*ENGINE, *SERVING)
HELD = {
    "host_launch_s": 0.0,
    "decode_graph_frac": 1.0,
    "prefill_graph_frac": 1.0,
    "reserve_frac": 0.1,
}
# Tokens of the largest pass for which an engine captures a graph by default: vLLM's
# max_cudagraph_capture_size.
GRAPH_TOKENS = {"vllm": 512.0}
CENTRE = np.asarray([free.log_of(free.centre) for free in FREE])
SPREAD = np.asarray([free.spread for free in FREE])


@dataclass(frozen=True)
class Data:
    """Rows to fit: timed steps, loads, logs of what was measured, and weights."""

    steps: Steps
    load: Load
    logs: np.ndarray  # [row, measure], 0 where not measured
    weights: np.ndarray  # [row, measure], 0 where not measured
    graph_tokens: np.ndarray  # [row], of the row's engine

    def __len__(self) -> int:
        return len(self.logs)

    def take(self, index: np.ndarray) -> "Data":
        """Some of the rows."""

        def chosen(leaf: np.ndarray):
            return np.asarray(leaf)[index]

        return Data(
            jax.tree.map(chosen, self.steps),
            jax.tree.map(chosen, self.load),
            self.logs[index],
            self.weights[index],
            self.graph_tokens[index],
        )


def values_of(logs: ArrayLike) -> dict[str, Scalar]:
    """The fitted numbers by name, from the logarithms of their parts above the lower limits."""
    logs = jnp.asarray(logs)
    return {free.name: free.value(logs[i]) for i, free in enumerate(FREE)}


def held_of(engine: str) -> dict[str, float]:
    """The numbers of an engine that no fit moves."""
    return {**HELD, "graph_tokens": GRAPH_TOKENS.get(engine, 0.0)}


def records(logs: ArrayLike, graph_tokens: Scalar) -> tuple[Engine, Serving]:
    """The engine whose fitted numbers have these logarithms."""
    values = values_of(logs)
    engine = {free.name: values[free.name] for free in ENGINE}
    engine |= {**HELD, "graph_tokens": graph_tokens}
    return Engine(**engine), Serving(**{free.name: values[free.name] for free in SERVING})


def _log_outputs(logs: jax.Array, steps: Steps, load: Load, graph_tokens: Scalar):
    """Logs of the measures of one row."""
    service = predict(steps, load, *records(logs, graph_tokens))
    rate = service.requests_per_s * load.osl / load.gpus
    return jnp.log(jnp.stack([service.tpot_s, service.ttft_s, rate]))


_outputs = jax.jit(jax.vmap(_log_outputs))
_slopes = jax.jit(jax.vmap(jax.jacfwd(_log_outputs)))


def _over(
    function: Callable[[np.ndarray, Steps, Load, np.ndarray], jax.Array],
    logs: np.ndarray,
    data: Data,
) -> np.ndarray:
    """A function of every row, each with logs of its own, padded by copies of the first."""
    size = max(SMALLEST_SHAPE, 1 << max(len(data) - 1, 0).bit_length())
    index = np.concatenate([np.arange(len(data)), np.zeros(size - len(data), int)])
    padded = data.take(index)
    own = np.broadcast_to(logs, (len(data), len(FREE)))[index].astype(np.float32)
    graphs = padded.graph_tokens.astype(np.float32)
    values = function(own, padded.steps, padded.load, graphs)
    return np.asarray(values, float)[: len(data)]


def outputs(logs: np.ndarray, data: Data) -> np.ndarray:
    """Logs of the predicted measures [row, measure]; `logs` of one engine, or of one a row."""
    return _over(_outputs, logs, data)


def slopes(logs: np.ndarray, data: Data) -> np.ndarray:
    """Derivatives of the logs of measures by those of the fitted numbers [row, measure, number]."""
    return _over(_slopes, logs, data)
