"""What do the steps of a deployment take, before an engine adds to them?

Its kernels are timed once, at a ladder of batches, with an engine that adds nothing. What an
engine does to them is then arithmetic on a small table, so that it can be fitted.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record, Tree, replace_leaf
from jaxsim._scalar import Scalar, as_scalar
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.exact_division import floor_div
from jaxsim.point.footprint import memory_of
from jaxsim.point.forward import Parts, layers_of
from jaxsim.point.phases.decode import pipelined_s, step_time, tokens_per_step
from jaxsim.point.phases.prefill import chunks_of, prompt_time
from jaxsim.point.ranks import busiest_share, rank_requests, ranks_of
from jaxsim.point.transfer import transfer_of
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.space.program.interpret import at_many

KNOTS = 14
# Memory that no engine gives to the cache beyond what it reserves by itself; see the engines.
MOST_SLOTS = 65536.0


class Steps(Record):
    """The timed steps of one row, or of many (a leading axis).

    `decode_s[k, part]` are kernel seconds of a decode step at `batch[k]` requests of an instance,
    `prompt_s[part]` those of all passes of one prompt, `joint_s[part]` of one pass over as many
    prompts as a pass holds (`prompts_per_pass`, on all `prompt_ranks`); `…_floor_s` is the launch
    floors' part of each. `pass_tokens` are those of one prompt in one of its `passes`.
    `joint_alone_s` is what a joint pass would take if memory and links took no time, which no
    sharing with the passes of decoded tokens saves. `rows_s[k, part]` is what as many passes over
    the tokens decoded at `batch[k]` would take, and `added_s[k, part]` what the prompts of a joint
    pass add to them, without launches.
    `decode_stretch` and `prompt_stretch` turn a pass through all stages into what an instance is
    busy for. `slots` is how many requests the cache of an instance holds at the mean context,
    `weights_over_bytes` by how much the weights alone miss the memory (negative where they fit).
    `transfer_s` is the part of sending a prompt's cache that its passes do not hide.
    """

    batch: Scalar
    decode_s: Scalar
    decode_floor_s: Scalar
    prompt_s: Scalar
    prompt_floor_s: Scalar
    joint_s: Scalar
    joint_floor_s: Scalar
    joint_alone_s: Scalar
    rows_s: Scalar
    added_s: Scalar
    prompts_per_pass: Scalar
    passes: Scalar
    pass_tokens: Scalar
    prompt_ranks: Scalar
    layers: Scalar
    ranks: Scalar
    decode_stretch: Scalar
    prompt_stretch: Scalar
    slots: Scalar
    weights_over_bytes: Scalar
    transfer_s: Scalar


# A memory and links so fast that only arithmetic takes time.
_ENDLESS = 1e30
# What to time: kernels; kernels without launch floors; and these without memory and links.
_LAUNCHES = np.asarray([1.0, 0.0, 0.0], np.float32)
_FASTER = np.asarray([1.0, 1.0, _ENDLESS], np.float32)


class _Decode(Record):
    """A decode step to time: `batch` requests an instance, on hardware varied by two factors."""

    scenario: Scenario
    batch: Scalar
    launches: Scalar
    faster: Scalar


class _Prompt(Record):
    """Passes to time: `sequences` of a rank, `prompts` of all ranks, on varied hardware."""

    scenario: Scenario
    sequences: Scalar
    prompts: Scalar
    launches: Scalar
    faster: Scalar


class _Pools(Record):
    """Both pools, the largest decode batch, and the seconds of one prompt alone."""

    decode: Scenario
    prefill: Scenario
    most: Scalar
    prompt_s: Scalar


def _parts(parts: Parts, times: Scalar = 1.0) -> tuple[Scalar, ...]:
    return tuple(times * getattr(parts, f"{part}_s") for part in KERNEL_PARTS)


def _varied(scenario: Scenario, launches: Scalar, faster: Scalar) -> Scenario:
    """The same with launch floors multiplied, and memory and links faster."""

    def places(s: Scenario):
        links = (s.hardware.scaleup.bytes_per_s, s.hardware.scaleout.bytes_per_s)
        return (s.engine.launch_factor, s.hardware.chip.hbm_bytes_per_s, *links)

    _, *speeds = places(scenario)
    values = (launches, *(speed * faster for speed in speeds))
    return replace_leaf(places, scenario, tuple(map(jnp.asarray, values)))


def decode_parts(given: _Decode) -> tuple[Scalar, ...]:
    """Kernel seconds of a decode step, by part."""
    scenario = replace_leaf(lambda s: s.design.batch, given.scenario, given.batch)
    scenario = _varied(scenario, given.launches, given.faster)
    return _parts(step_time(scenario, ranks_of(scenario.design)).parts)


def prompt_parts(given: _Prompt) -> tuple[Scalar, ...]:
    """Kernel seconds of all passes of the prompts, by part."""
    chunks = chunks_of(given.scenario)
    scenario = _varied(given.scenario, given.launches, given.faster)
    ranks = ranks_of(scenario.design)
    time = prompt_time(scenario, ranks, given.sequences, given.prompts, chunks)
    return _parts(time.mean, chunks.count)


def _prompts_per_pass(prefill: Scenario) -> Scalar:
    """Whole prompts that a pass of one rank holds, at least one; what is cached takes no room."""
    chunks = chunks_of(prefill)
    fresh = chunks.count * chunks.tokens
    return jnp.maximum(floor_div(prefill.design.chunk, fresh), 1.0)


def sizes(given: _Pools) -> dict[str, Scalar]:
    """What the pools hold and how their passes add up; seconds of one prompt are not read."""
    decode, prefill = given.decode, given.prefill
    ranks, prefill_ranks = ranks_of(decode.design), ranks_of(prefill.design)
    layers = layers_of(decode)
    context = decode.workload.isl + 0.5 * decode.workload.osl

    def held(sequences: Scalar):
        return memory_of(
            decode,
            ranks,
            sequences=sequences,
            context=context,
            rows=jnp.minimum(prefill.design.chunk, prefill.workload.isl),
            head_rows=1.0,
            projected=0.0,
        )

    empty, one = held(jnp.asarray(0.0)), held(jnp.asarray(1.0))
    each = jnp.maximum(one.kv_bytes - empty.kv_bytes, 1.0)
    room = empty.capacity_bytes - empty.total_bytes
    work = decode.workload
    return {
        "largest": jnp.maximum(rank_requests(given.most, ranks, ranks.pp), 2.0),
        "share": ranks.attention_dp * ranks.pp,
        "gained": tokens_per_step(work.draft_tokens, work.accept_frac) * jnp.asarray(1.0),
        "prompts_per_pass": _prompts_per_pass(prefill),
        "prompt_ranks": prefill_ranks.attention_dp,
        "passes": chunks_of(prefill).count,
        "pass_tokens": chunks_of(prefill).tokens,
        "layers": layers,
        "ranks": ranks.attention_dp,
        "decode_stretch": pipelined_s(jnp.asarray(1.0), ranks, layers),
        "prompt_stretch": busiest_share(layers, prefill_ranks.pp),
        "slots": jnp.clip(room / each, 0.0, MOST_SLOTS) * ranks.attention_dp,
        "weights_over_bytes": empty.total_bytes - empty.capacity_bytes,
    }


def exposed_transfer_s(given: _Pools) -> Scalar:
    """Seconds of sending a prompt's cache that its passes do not hide."""
    ranks = ranks_of(given.prefill.design)
    return transfer_of(given.prefill, ranks, 1.0, 1.0, given.prompt_s).kv_exposed_s


def _columns(tree: Tree, axes: int) -> Tree:
    """Every leaf with as many axes of length 1 behind its own."""
    return jax.tree.map(lambda leaf: np.reshape(leaf, np.shape(leaf) + (1,) * axes), tree)


def timed(decode: Scenario, prefill: Scenario, most: np.ndarray) -> Steps:
    """The timed steps of many rows of one structure: every argument has a leading axis.

    `most` is the largest decode batch of an instance to time. Evaluated operation by operation in
    NumPy: compiling takes longer than a file of rows does.
    """
    rows = len(most)
    limit = np.asarray(most, np.float32)
    pools = _Pools(decode, prefill, as_scalar(limit), as_scalar(np.zeros_like(limit)))
    size = {name: np.asarray(values) for name, values in at_many(sizes, pools).items()}
    # Axes of what is timed: row, way of `_LAUNCHES` and `_FASTER`, batch or joint prompts.
    # A power that is a whole number may come out a hair above it.
    power = size["largest"][:, None] ** np.linspace(0.0, 1.0, KNOTS, dtype=np.float32)
    ladder = np.ceil(power * np.float32(1.0 - 1e-6))
    batch = size["share"][:, None] * ladder
    few = [values[None, :, None] for values in (_LAUNCHES, _FASTER)]
    ways = [as_scalar(values[:, :-1]) for values in few]
    step = _Decode(_columns(decode, 2), as_scalar(batch[:, None, :]), *ways)
    decode_s = np.stack([np.asarray(part) for part in at_many(decode_parts, step)], axis=-1)
    decode_s = decode_s / size["gained"][:, None, None, None]
    # One prompt alone, on one attention rank; and as many as a pass holds, on all of them.
    one = np.ones(rows, np.float32)
    prompts_per_pass = size["prompts_per_pass"] * size["prompt_ranks"]
    each = [
        np.stack([one, many], -1)[:, None] for many in (size["prompts_per_pass"], prompts_per_pass)
    ]
    prompts = _Prompt(_columns(prefill, 2), *map(as_scalar, (*each, *few)))
    prompt_s = np.stack([np.asarray(part) for part in at_many(prompt_parts, prompts)], axis=-1)
    rows_s, added_s = _added(prefill, size, ladder)
    pools = replace_leaf(lambda p: p.prompt_s, pools, prompt_s[:, 0, 0].sum(axis=-1))
    own = ("passes", "pass_tokens", "prompt_ranks", "layers", "ranks", "slots")
    own = (*own, "decode_stretch", "prompt_stretch")
    columns = {
        "batch": batch + 1e-3 * np.arange(KNOTS, dtype=np.float32),
        "decode_s": decode_s[:, 0],
        "decode_floor_s": decode_s[:, 0] - decode_s[:, 1],
        "prompt_s": prompt_s[:, 0, 0],
        "prompt_floor_s": prompt_s[:, 0, 0] - prompt_s[:, 1, 0],
        "joint_s": prompt_s[:, 0, 1],
        "joint_floor_s": prompt_s[:, 0, 1] - prompt_s[:, 1, 1],
        "joint_alone_s": prompt_s[:, 2, 1],
        "rows_s": rows_s,
        "added_s": added_s,
        "prompts_per_pass": prompts_per_pass,
        "weights_over_bytes": size["weights_over_bytes"],
        **{name: size[name] for name in own},
    }
    numbers = {name: as_scalar(values) for name, values in columns.items()}
    return Steps(transfer_s=at_many(exposed_transfer_s, pools), **numbers)


def _added(prefill: Scenario, size: dict[str, np.ndarray], ladder: np.ndarray):
    """Seconds of passes over decoded tokens [row, batch, part], and what prompts add to each.

    A decoded token takes what a prompt's token does beside attention, whose part cancels in the
    difference.
    """
    decoded = ladder / size["pass_tokens"][:, None]
    ones = np.ones_like(ladder)
    of_all = size["prompt_ranks"][:, None]
    scenario = _columns(prefill, 1)

    def passes_s(prompts: np.ndarray):
        numbers = (prompts, prompts * of_all, 0.0 * ones, ones)  # no launches, memory as it is
        given = _Prompt(scenario, *map(as_scalar, numbers))
        return np.stack([np.asarray(part) for part in at_many(prompt_parts, given)], axis=-1)

    rows_s = passes_s(decoded)
    return rows_s, np.maximum(passes_s(decoded + size["prompts_per_pass"][:, None]) - rows_s, 0.0)


def steps_of(decode: Scenario, prefill: Scenario, most: float) -> Steps:
    """The timed steps of one deployment: its pools, the same twice where co-located.

    `most` is the largest decode batch of an instance to time.
    """
    largest = np.asarray([min(most, MOST_SLOTS)], np.float32)
    steps = timed(stack([decode]), stack([prefill]), largest)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], steps)


def stack(trees: Sequence[Tree]) -> Tree:
    """Trees of one structure joined along a new leading axis."""
    return jax.tree.map(lambda *leaves: np.asarray(leaves, np.float32), *trees)
