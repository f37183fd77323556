"""Which designs are worth evaluating?"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

import numpy as np

from jaxsim._scalar import Scalar
from jaxsim.catalog.bounds import whole
from jaxsim.catalog.hardware import Hardware
from jaxsim.catalog.model import MLA, DirectMLA, Model, MoEFFN, NoAttention, core_of
from jaxsim.catalog.scenario import Scenario

Values: TypeAlias = Sequence[float | int]

# Where a sweep writes each axis in a scenario.
LEAF = {
    "tp": lambda scenario: scenario.design.tp,
    "ep": lambda scenario: scenario.design.ep,
    "pp": lambda scenario: scenario.design.pp,
    "batch": lambda scenario: scenario.design.batch,
    "chunk": lambda scenario: scenario.design.chunk,
    "isl": lambda scenario: scenario.workload.isl,
    "osl": lambda scenario: scenario.workload.osl,
}


@dataclass(frozen=True)
class Space:
    """The values of every axis of a design space.

    `batch` is used by decode and co-located designs, `prefill_batch` by prefill ones. An axis left
    empty is filled with a sensible default for the model on the hardware; `prefill_chunk` with
    `chunk`, if that is given.

    >>> jaxsim.Space(tp=(1, 2, 4), batch=range(1, 65)).pp
    ()
    """

    tp: Values = ()
    ep: Values = ()
    pp: Values = ()
    batch: Values = ()
    chunk: Values = ()
    prefill_batch: Values = ()
    prefill_chunk: Values = ()
    dropped: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self):
        for axis in fields(self):
            if axis.name != "dropped":
                object.__setattr__(self, axis.name, _whole(axis.name, getattr(self, axis.name)))


def _whole(name: str, values: Iterable[float | int] | float) -> Values:
    """The values in ascending order, each once; whole and positive, or an error."""
    if isinstance(values, int | float):
        values = (values,)
    return tuple(sorted({whole(name, value) for value in values}))


def powers_of_two(low: float, high: float) -> Values:
    """1, 2, 4, … between `low` and `high`.

    >>> powers_of_two(1, 10)
    (1.0, 2.0, 4.0, 8.0)
    """
    exponents = np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high) + 1e-9) + 1)
    return tuple(float(2**e) for e in exponents)


def geometric(high: float, per_octave: int) -> Values:
    """Whole numbers from 1 to `high`, `per_octave` to a doubling once they are far enough apart.

    >>> geometric(8, 2)
    (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    """
    steps = np.arange(np.floor(per_octave * np.log2(high) + 1e-9) + 1) / per_octave
    octave = np.floor(steps)
    # Linear within an octave, so that values share factors with the widths that divide them.
    values = 2**octave * (1 + steps - octave)
    return tuple(float(v) for v in values if v == int(v))


def heads_of(model: Model) -> float:
    """What a tensor-parallel width must divide: the common divisor of all layers' heads."""
    heads = []
    for group in model.groups:
        own = core_of(group.attention)
        if not isinstance(own, NoAttention):
            names = [name for name in ("out_groups", "heads") if hasattr(own, name)]
            heads.append(int(np.asarray(getattr(own, names[0]))))
    return float(math.gcd(*heads))


def experts_of(model: Model) -> float:
    """Routed experts of a layer; 1 for a dense model."""
    networks = [getattr(group.ffn, "moe", group.ffn) for group in model.groups]
    counts = [ffn.experts for ffn in networks if isinstance(ffn, MoEFFN)]
    return max((float(np.asarray(count)) for count in counts), default=1.0)


def latent(model: Model) -> bool:
    """Whether the model has a latent cache."""
    return any(isinstance(core_of(group.attention), MLA | DirectMLA) for group in model.groups)


# Co-located passes hold whole prompts up to this many tokens of an attention rank, or two prompts
# where one is longer: engines take `max_num_batched_tokens` of 2,048 to 32,768.
PACKED_TOKENS = 32768.0
LEAST_CHUNK = 64.0


def chunks_for(isl: float, per_octave: int = 2) -> Values:
    """Chunks that cut a prompt into equal parts of 64 tokens or more, or hold several whole ones.

    A prompt of ISL tokens in j passes needs chunks of ceil(ISL / j), and k prompts in one pass need
    k · ISL: other sizes waste part of a pass. j and k have `per_octave` values to a doubling.
    """
    most_parts = max(isl / LEAST_CHUNK, 1.0)
    most_prompts = max(PACKED_TOKENS / isl, 2.0)
    parts = (np.ceil(isl / count) for count in geometric(most_parts, per_octave))
    return (*parts, *(isl * count for count in geometric(most_prompts, per_octave)))


# Domains that one expert-parallel stage fills, on hardware whose domain is a node: 16 to 64 GPUs of
# nodes of 8, as published deployments of large expert models have them.
WIDE_DOMAINS = (2.0, 4.0, 8.0)
NODE_GPUS = 8.0


def wide_widths(domain_gpus: float) -> Values:
    """Widths of stages that fill several domains; none where a domain is more than a node."""
    return tuple(domain_gpus * n for n in WIDE_DOMAINS) if 1 < domain_gpus <= NODE_GPUS else ()


def default_space(model: Model, hardware: Hardware, isl: float) -> Space:
    """A design space that holds every shape in use for the model on the hardware.

    Widths are the powers of two inside the scale-up domain that divide heads and experts, and the
    domain itself where they divide, and for experts several domains (`wide_widths`); stages double
    up to half the layers; batches have four values to an octave, chunks (`chunks_for`) and batches
    of prompts two.
    """
    domain = float(np.asarray(hardware.domain_gpus))
    layers = float(sum(np.asarray(group.layers) for group in model.groups))
    heads, experts = heads_of(model), experts_of(model)
    chunks = chunks_for(isl)
    widths = sorted({*powers_of_two(1, domain), *(3 * p for p in powers_of_two(1, domain / 3))})
    tp = tuple(w for w in powers_of_two(1, domain) if heads % w == 0)
    ep = tuple(w for w in widths if w <= domain and experts % w == 0)
    ep = (*ep, *(w for w in wide_widths(domain) if experts % w == 0))
    return Space(
        tp=tp,
        ep=ep if experts > 1 else (1.0,),
        pp=powers_of_two(1, min(max(layers / 2, 1), 32)),
        batch=geometric(16384, 4),
        chunk=chunks,
        prefill_batch=geometric(256, 2),
        # A prefill pass takes a chunk of each of `batch` prompts: beyond a prompt, all are one.
        prefill_chunk=tuple(c for c in chunks if c <= isl),
    )


def complete(space: Space | None, model: Model, hardware: Hardware, isl: float) -> Space:
    """The space with its empty axes filled, and what cannot be written down left out.

    Expert parallelism on a dense model is dropped, and `dropped` says so.
    """
    default = default_space(model, hardware, isl)
    if space is None:
        return default
    if space.chunk and not space.prefill_chunk:
        space = replace(space, prefill_chunk=space.chunk)
    filled = {
        axis.name: getattr(space, axis.name) or getattr(default, axis.name)
        for axis in fields(space)
        if axis.name != "dropped"
    }
    dropped = []
    if experts_of(model) <= 1 and filled["ep"] != (1.0,):
        dropped.append(f"ep {filled['ep']}: the model is dense, it has no experts to spread")
        filled["ep"] = (1.0,)
    return replace(Space(**filled), dropped=tuple(dropped))


def axes_of(
    space: Space, phase: str, isl: Values, osl: Values
) -> list[tuple[str, Callable[[Scenario], Scalar], np.ndarray]]:
    """The axes of a phase, outer to inner: (name, where, values); batch innermost.

    Prefill does not depend on `osl`, nor decode on `chunk`.
    """
    values = {
        "isl": isl,
        "osl": osl,
        "tp": space.tp,
        "ep": space.ep,
        "pp": space.pp,
        "chunk": (space.prefill_chunk or space.chunk) if phase == "prefill" else space.chunk,
        "batch": space.prefill_batch if phase == "prefill" else space.batch,
    }
    unused = {"prefill": {"osl"}, "decode": {"chunk"}, "colocated": set()}[phase]
    return [
        (name, LEAF[name], np.asarray(value, dtype=np.float32))
        for name, value in values.items()
        if name not in unused
    ]


def designs_in(space: Space, phase: str) -> int:
    """How many designs of a phase a space has, for one workload."""
    count = 1
    for name, _, values in axes_of(space, phase, (1.0,), (1.0,)):
        count *= len(values) if name not in ("isl", "osl") else 1
    return count
