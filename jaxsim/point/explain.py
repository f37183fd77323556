"""Why does a design take the time it takes?  Every part of one point, for a reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.encoder import encoder_items
from jaxsim.point.forward import (
    Parts,
    common_items,
    context_only_items,
    decode_only_items,
    item_s,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item
from jaxsim.point.phases.colocated import Colocated, colocated, mixed_parts, mixed_s
from jaxsim.point.phases.decode import decode, rank_sequences, stage_sequences, step_time
from jaxsim.point.phases.prefill import chunks_of, prefill, rank_prompts, two_places
from jaxsim.point.ranks import ranks_of
from jaxsim.point.roofline import kernel_parts
from jaxsim.point.work import AbstractMessage, AbstractWork
from jaxsim.quantities import MODES

# Whether chunks that ride in decode steps keep up with the requests that leave.
PIGGYBACKING = "piggybacking_sustained"
PHASES = {"prefill": prefill, "decode": decode, "colocated": colocated}


@dataclass(frozen=True)
class Part:
    """One kernel or message of a pass, over all layers and stages.

    `bound` names the resource that alone would take longest: arithmetic, memory, launch, network,
    or the host.
    """

    name: str
    part: str
    seconds: float
    flop: float
    bytes: float
    bound: str


@dataclass(frozen=True)
class Explanation:
    """One design: every part of a pass, its memory, the rules it obeys, and all outputs.

    `total_s` is the sum of the parts: one decode step (decode), all passes of a prompt's chunks
    (prefill), or one step that carries a chunk (co-located). `interval_s` holds it with 80 %, where
    the uncertainty of the set-up is known. `formats` and `notes` are those of the set-up.

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> step = jaxsim.estimate("llama-3.1-8b", "h100", work, phase="decode", tp=1, batch=16)
    >>> max(step.parts, key=lambda part: part.seconds).bound
    'memory'
    """

    phase: str
    total_s: float
    parts: tuple[Part, ...]
    memory: Mapping[str, float]
    rules: Mapping[str, bool]
    outputs: Mapping[str, float]
    interval_s: tuple[float, float] | None = None

    @property
    def feasible(self) -> bool:
        """Whether the design obeys every rule; of both co-located modes, one suffices."""
        return all(kept for name, kept in self.rules.items() if name != PIGGYBACKING)

    formats: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dataframe(self):
        """The parts of the pass, one a row, as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([vars(part) for part in self.parts])

    def _repr_html_(self) -> str:
        """The design as a notebook shows it."""
        table = self.to_dataframe().to_html(index=False)
        return f"<p>{self.phase}: {self.total_s:.4g} s</p>{table}"


def pass_items(scenario: Scenario, phase: str) -> tuple[list[Item], float]:
    """The items of a representative pass, and how many such passes `total_s` counts."""
    ranks, workload = ranks_of(scenario.design), scenario.workload
    queries = 1.0 + workload.draft_tokens
    chunks = chunks_of(scenario)
    middle = chunks.cached + 0.5 * (chunks.count - 1.0) * chunks.tokens
    projected = middle * (1.0 - scenario.options.keep_up_projected)
    sequences = rank_sequences(scenario.design.batch, ranks)
    decoding = stage_sequences(scenario.design.batch, ranks) * queries
    decoded = DecodeTokens(sequences, queries, workload.isl + 0.5 * workload.osl)
    if phase == "decode":
        common = common_items(scenario, ranks, decoded.rows, decoded.rows, decoding)
        return [*common, *decode_only_items(scenario, ranks, decoded)], 1.0
    if phase == "prefill":
        prompts = rank_prompts(scenario.design.batch, ranks)
        rows = prompts * chunks.tokens
        tokens = scenario.design.batch * chunks.tokens
        items = common_items(scenario, ranks, rows, prompts, tokens)
        seen = encoder_items(scenario, ranks, prompts)
        items += [item.times(1.0 / chunks.count) for item in seen]
        for place in two_places(chunks.count):
            past = chunks.cached + place * chunks.tokens
            again = past * (1.0 - scenario.options.keep_up_projected)
            prompt = ContextTokens(prompts, chunks.tokens, past, again)
            items += [item.times(0.5) for item in context_only_items(scenario, ranks, prompt)]
        return items, float(chunks.count)
    prompt = ContextTokens(1.0, chunks.tokens, middle, projected)
    common = common_items(
        scenario,
        ranks,
        decoded.rows + prompt.rows,
        decoded.rows + 1.0 / chunks.count,
        decoding + prompt.rows * ranks.attention_dp,
    )
    own = decode_only_items(scenario, ranks, decoded)
    seen = [item.times(1.0 / chunks.count) for item in encoder_items(scenario, ranks, 1.0)]
    return [*common, *own, *context_only_items(scenario, ranks, prompt), *seen], 1.0


def _bound(item: Item, scenario: Scenario) -> str:
    if isinstance(item.work, AbstractMessage):
        return "network"
    times = kernel_parts(item.work, getattr(scenario.kernels, item.role), scenario.hardware.chip)
    alone = {
        "arithmetic": float(times.arithmetic_s),
        "memory": float(times.memory_s),
        "launch": float(times.launch_s),
    }
    return max(alone, key=lambda name: alone[name])


@runtime_checkable
class _Launch(Protocol):
    """What every kind of work says of one launch."""

    @property
    def flop(self) -> Scalar: ...

    @property
    def hbm_bytes(self) -> Scalar: ...


def _moved(work: AbstractWork | AbstractMessage) -> tuple[float, float]:
    """Flop and bytes of one launch."""
    if isinstance(work, AbstractMessage):
        return 0.0, float(np.asarray(work.data_bytes))
    if not isinstance(work, _Launch):
        raise TypeError(f"{type(work).__name__} says nothing of its flop and bytes")
    return float(np.asarray(work.flop)), float(np.asarray(work.hbm_bytes))


def _one_mixed_step(scenario: Scenario) -> Parts:
    """A decode step that carries a chunk from the middle of a prompt."""
    chunks = chunks_of(scenario)
    middle = chunks.cached + 0.5 * (chunks.count - 1.0) * chunks.tokens
    ranks = ranks_of(scenario.design)
    return mixed_parts(scenario, ranks, middle, step_time(scenario, ranks))


def _seconds(scenario: Scenario, phase: str, items: list[Item]) -> list[float]:
    """What each item takes in one pass. In a mixed step, what the chunk adds is a prompt's."""
    own = [float(item_s(item, scenario, prompts=phase != "decode")) for item in items]
    if phase == "colocated":
        # The same items in the same order, but for the chunk's attention, which follows.
        before = step_time(scenario, ranks_of(scenario.design)).spent
        shared = [
            float(mixed_s(item, scenario, without))
            for item, without in zip(items, before, strict=False)
        ]
        own[: len(shared)] = shared
    return own


def _fields(record: Record) -> dict[str, float]:
    return {name: float(np.asarray(getattr(record, name))) for name in record.__dataclass_fields__}


def explain(scenario: Scenario, phase: str) -> Explanation:
    """Every part of one design of a phase: prefill, decode or colocated."""
    if phase not in PHASES:
        raise ValueError(f"phase = {phase!r}: it is one of {', '.join(PHASES)}")
    result = PHASES[phase](scenario)  # one point: compiling would take longer
    items, passes = pass_items(scenario, phase)
    parts = []
    for item, once_s in zip(items, _seconds(scenario, phase, items), strict=True):
        seconds = once_s * passes
        if seconds <= 0.0:
            continue
        flop, moved = _moved(item.work)
        count = float(np.asarray(item.count)) * passes
        bound = _bound(item, scenario)
        parts.append(Part(item.name, item.part, seconds, flop * count, moved * count, bound))
    mixed = isinstance(result, Colocated)
    whole = _one_mixed_step(scenario) if mixed else result.parts
    total_s = float(whole.total_s)
    overhead_s = total_s - sum(part.seconds for part in parts)
    name = "engine, drafts" if float(np.asarray(scenario.workload.draft_tokens)) else "engine"
    parts.append(Part(name, "overhead", overhead_s, 0.0, 0.0, "host"))
    outputs: dict[str, float] = {}
    flat, _ = jax.tree_util.tree_flatten_with_path(result)
    for path, value in flat:
        names = [str(getattr(key, "name", key)) for key in path]
        if names[0] not in ("parts", "memory", "rules"):
            prefix = f"{names[0]}_" if names[0] in MODES else ""
            outputs[prefix + names[-1]] = float(value)
    rules = {name: bool(value) for name, value in _fields(result.rules).items()}
    if phase == "colocated" and all(rules.values()):
        rules[PIGGYBACKING] = bool(outputs["piggybacked_valid"])
    return Explanation(phase, total_s, _merged(parts), _fields(result.memory), rules, outputs)


def _merged(parts: list[Part]) -> tuple[Part, ...]:
    """Parts of one name joined: a kernel of several kinds of layer is one line."""
    joined: dict[str, Part] = {}
    for part in parts:
        same = joined.get(part.name)
        joined[part.name] = (
            part
            if same is None
            else Part(
                part.name,
                part.part,
                same.seconds + part.seconds,
                same.flop + part.flop,
                same.bytes + part.bytes,
                same.bound if same.seconds >= part.seconds else part.bound,
            )
        )
    return tuple(joined.values())
