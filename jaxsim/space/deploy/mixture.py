"""What does every design give for a mix of workloads that it serves all together?

Instances time-share. If a fraction f_k of requests is of workload k, and an instance that serves
only workload k finishes r_k requests/s, then one that serves the mix finishes

    r = 1 / Σ_k (f_k / r_k).

For prefill that is exact when prompts queue one after another. For decode it is exact when a
step's time is affine in the mean context: a slot then spends (OSL_k - 1) · TTL_k on a request of
workload k, whatever runs in the other slots.

A design is valid where it is valid for every workload. Its latencies and its KV flows are the worst
over workloads, each as if an instance served that workload alone: this is stricter than targets for
the mix's average.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from jaxsim.quantities import MODES, PARTS
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.designs import Designs, Listed

Array = np.ndarray
Output = tuple[Array, tuple[str, ...]]

WORST = (
    "ftl_s",
    "host_s",
    "ttl_s",
    "ttl_median_s",
    "kv_link_frac",
    "prompt_share",
    "kv_ingress_bytes_per_s_per_gpu",
)
SAME = ("gpus", "capacity_bytes", "weights_bytes", "reserve_bytes")
FULLEST = ("kv_bytes", "activation_bytes")
MEAN_TTL = ("ttl_s", "ifb_ttl_s", "piggybacked_ttl_s")


@dataclass(frozen=True)
class Phases:
    """Every design of the three phases."""

    prefill: Designs
    decode: Designs
    colocated: Designs

    @property
    def points(self) -> int:
        return self.prefill.size + self.decode.size + self.colocated.size


def mixed_phases(each: Sequence[Phases], request: PlanRequest, mean_ttl: bool = False) -> Phases:
    """The phases of a mix, from those of each workload; of one workload, its own.

    With `mean_ttl`, TTL is the mean gap between the tokens of the mix, Σ_k s_k TTL_k with the
    shares of slots s, not the worst over workloads.
    """
    if len(each) == 1:
        return each[0]
    names = ("prefill", "decode", "colocated")
    return Phases(*(_mixed([getattr(p, n) for p in each], request, mean_ttl) for n in names))


def _mixed(designs: Sequence[Designs], request: PlanRequest, mean_ttl: bool) -> Designs:
    """One phase of a mix; each output is worked out when it is first read."""
    first = designs[0]
    lengths = {
        name: np.array([request.shares @ [float(d.axes[name][0]) for d in designs]])
        for name in ("isl", "osl")
        if name in first.axes
    }
    outputs = _Outputs(designs, request, mean_ttl)
    listed = [d.listed for d in designs if d.listed is not None]
    more = mixed_list(first.phase, listed, request, mean_ttl) if listed else None
    return Designs(first.phase, {**first.axes, **lengths}, outputs, more)


def mixed_list(
    phase: str, each: Sequence[Listed], request: PlanRequest, mean_ttl: bool = False
) -> Listed:
    """Designs one by one that serve the mix, from the same designs at every workload."""
    dims = {"design": np.arange(len(each[0]))}
    alone = [
        Designs(phase, dims, {name: (x, ("design",)) for name, x in one.outputs.items()})
        for one in each
    ]
    outputs = _Flat(_Outputs(alone, request, mean_ttl))
    return Listed(each[0].columns, outputs, max(one.gap for one in each))


class _Flat(Mapping[str, Array]):
    """Outputs of designs listed one by one, without the name of their dimension."""

    def __init__(self, outputs: "_Outputs"):
        self._outputs = outputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __getitem__(self, name: str) -> Array:
        return self._outputs[name][0]


class _Outputs(Mapping[str, Output]):
    """Outputs of the mix by name, each worked out when it is first read."""

    def __init__(self, designs: Sequence[Designs], request: PlanRequest, mean_ttl: bool):
        self.designs, self.request, self.mean_ttl = designs, request, mean_ttl
        self.known: dict[str, Output] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.designs[0].outputs)

    def __len__(self) -> int:
        return len(self.designs[0].outputs)

    def __getitem__(self, name: str) -> Output:
        if name not in self.known:
            self.known[name] = self._mixed(name)
        return self.known[name]

    def _mixed(self, name: str) -> Output:
        arrays = [d.outputs[name][0] for d in self.designs]
        dims = self.designs[0].outputs[name][1]
        prompt = self.designs[0].phase == "prefill"
        shares, slots = self.request.shares, self.request.slot_shares
        plain = _without_mode(name)
        if plain in SAME:
            return arrays[0], dims
        if arrays[0].dtype == bool:
            return np.asarray(np.logical_and.reduce(arrays)), dims
        if self.mean_ttl and name in MEAN_TTL:
            return _sum(slots, arrays), dims
        if plain in WORST:
            return np.asarray(np.maximum.reduce(arrays)), dims
        if plain == "requests_per_s":
            return _harmonic(shares, arrays), dims
        if plain == "output_tokens_per_s_per_gpu":
            gaps = shares * self.request.gaps
            return gaps.sum() * _harmonic(gaps, arrays), dims
        if plain in FULLEST:
            return self._fullest(name)
        if plain.removesuffix("_s") in PARTS or plain == "kv_prompt_bytes":
            return _sum(shares if prompt else slots, arrays), dims
        raise KeyError(f"{name}: it has no meaning for a mix; read it of each workload")

    def _fullest(self, name: str) -> Output:
        """Bytes of one use, for the workload of which all uses need most."""
        used = [d.full("kv_bytes") + d.full("activation_bytes") for d in self.designs]
        most = np.argmax(used, axis=0)
        held = np.stack([d.full(name) for d in self.designs])
        return np.take_along_axis(held, most[None], 0)[0], tuple(self.designs[0].axes)


def _without_mode(name: str) -> str:
    """An output's name without the mode of co-location."""
    return reduce(lambda left, mode: left.removeprefix(f"{mode}_"), MODES, name)


def _sum(weights: Array, arrays: Sequence[Array]) -> Array:
    terms = [w * a.astype(np.float64) for w, a in zip(weights, arrays, strict=True)]
    return np.asarray(reduce(np.add, terms))


def _harmonic(weights: Array, arrays: Sequence[Array]) -> Array:
    """1 / Σ w / a; 0 where any is 0, as where a design cannot serve a workload."""
    served = np.logical_and.reduce([(a > 0) & np.isfinite(a) for a in arrays])
    inverse = [1.0 / np.where(served, a, 1.0).astype(np.float64) for a in arrays]
    return np.where(served, 1.0 / _sum(weights, inverse), 0.0)


def at_each(phases: Sequence[Phases], phase: str, name: str, index: int) -> tuple[float, ...]:
    """One output of the design at a position of its grid, for every workload."""
    return tuple(getattr(own, phase).value(name, index) for own in phases)
