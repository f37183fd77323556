"""What do the steps of a deployment take, before an engine adds to them?

Its kernels are timed once, at a ladder of batches, with an engine that adds nothing. What an
engine does to them is then arithmetic on a small table, so that it can be fitted.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record, replace_leaf
from jaxsim._scalar import Scalar
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.forward import Parts, layers_of
from jaxsim.point.memory import memory_of
from jaxsim.point.phases.decode import pipelined_s, step_time, tokens_per_step
from jaxsim.point.phases.prefill import chunks_of, prompt_time
from jaxsim.point.ranks import busiest_share, rank_requests, ranks_of
from jaxsim.point.transfer import transfer_of
from jaxsim.point.whole import floor_div
from jaxsim.quantities import KERNEL_PARTS

KNOTS = 14
# Memory that no engine gives to the cache beyond what it reserves by itself; see the engines.
MOST_SLOTS = 65536.0


class Steps(Record):
    """The timed steps of one row, or of many (a leading axis).

    `decode_s[k, part]` are kernel seconds of a decode step at `batch[k]` requests of an instance,
    `prompt_s[part]` those of all passes of one prompt, `joint_s[part]` of one pass over as many
    prompts as a pass holds (`prompts_per_pass`); `…_floor_s` is the launch floors' part of each.
    `joint_alone_s` is what a joint pass would take if memory and links took no time, which no
    sharing with the passes of decoded tokens saves.
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
    prompts_per_pass: Scalar
    passes: Scalar
    layers: Scalar
    ranks: Scalar
    decode_stretch: Scalar
    prompt_stretch: Scalar
    slots: Scalar
    weights_over_bytes: Scalar
    transfer_s: Scalar


def _parts(parts: Parts) -> jax.Array:
    return jnp.stack([jnp.asarray(getattr(parts, f"{part}_s")) for part in KERNEL_PARTS])


# A memory and links so fast that only arithmetic takes time.
_ENDLESS = 1e30
# What to time: kernels; kernels without launch floors; and these without memory and links.
_LAUNCHES = (1.0, 0.0, 0.0)
_FASTER = (1.0, 1.0, _ENDLESS)


def _varied(scenario: Scenario, launches: Scalar, faster: Scalar) -> Scenario:
    """The same with launch floors multiplied, and memory and links faster."""

    def places(s):
        links = (s.hardware.scaleup.bytes_per_s, s.hardware.scaleout.bytes_per_s)
        return (s.engine.launch_factor, s.hardware.chip.hbm_bytes_per_s, *links)

    _, *speeds = places(scenario)
    values = (launches, *(speed * faster for speed in speeds))
    return replace_leaf(places, scenario, tuple(map(jnp.asarray, values)))


def _steps(decode: Scenario, prefill: Scenario, most: Scalar) -> Steps:
    """The timed steps of one row: `most` is the largest decode batch of an instance to time."""
    ranks, prefill_ranks = ranks_of(decode.design), ranks_of(prefill.design)
    layers = layers_of(decode)
    share = ranks.attention_dp * ranks.pp
    gained = tokens_per_step(decode.workload.draft_tokens, decode.workload.accept_frac)
    largest = jnp.maximum(rank_requests(most, ranks, ranks.pp), 2.0)
    ladder = jnp.ceil(largest ** jnp.linspace(0.0, 1.0, KNOTS))
    batch = share * ladder

    def decoded(size, *varied):
        scenario = replace_leaf(lambda s: s.design.batch, decode, size)
        return _parts(step_time(_varied(scenario, *varied), ranks).parts)

    chunks = chunks_of(prefill)
    prompts_per_pass = jnp.maximum(floor_div(prefill.design.chunk, prefill.workload.isl), 1.0)

    def prompted(sequences, prompts, *varied):
        scenario = _varied(prefill, *varied)
        time = prompt_time(scenario, prefill_ranks, sequences, prompts, chunks)
        return chunks.count * _parts(time.mean)

    # What is timed is one mapped axis with the batches: each phase is traced once.
    varied = [jnp.asarray(values) for values in (_LAUNCHES, _FASTER)]
    ways = len(_LAUNCHES)
    few = [jnp.repeat(values[:-1], KNOTS) for values in varied]
    decode_s = jax.vmap(decoded)(jnp.tile(batch, ways - 1), *few)
    decode_s = decode_s.reshape(ways - 1, KNOTS, len(KERNEL_PARTS)) / gained
    # One prompt alone, on one attention rank; and as many as a pass holds, on all of them.
    pair = jnp.stack([jnp.ones_like(prompts_per_pass), prompts_per_pass])
    prompts = jnp.stack(
        [jnp.ones_like(prompts_per_pass), prompts_per_pass * prefill_ranks.attention_dp]
    )
    both = [jnp.repeat(values, 2) for values in varied]
    prompt_s = jax.vmap(prompted)(jnp.tile(pair, ways), jnp.tile(prompts, ways), *both)
    prompt_s = prompt_s.reshape(ways, 2, len(KERNEL_PARTS))
    context = decode.workload.isl + 0.5 * decode.workload.osl

    def held(sequences):
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
    slots = jnp.clip(room / each, 0.0, MOST_SLOTS) * ranks.attention_dp
    transfer = transfer_of(prefill, prefill_ranks, 1.0, 1.0, jnp.sum(prompt_s[0, 0]))
    return Steps(
        batch=batch + 1e-3 * jnp.arange(KNOTS),
        decode_s=decode_s[0],
        decode_floor_s=decode_s[0] - decode_s[1],
        prompt_s=prompt_s[0, 0],
        prompt_floor_s=prompt_s[0, 0] - prompt_s[1, 0],
        joint_s=prompt_s[0, 1],
        joint_floor_s=prompt_s[0, 1] - prompt_s[1, 1],
        joint_alone_s=prompt_s[2, 1],
        prompts_per_pass=prompts_per_pass * prefill_ranks.attention_dp,
        passes=chunks.count,
        layers=layers,
        ranks=ranks.attention_dp,
        decode_stretch=pipelined_s(jnp.asarray(1.0), ranks, layers),
        prompt_stretch=busiest_share(layers, prefill_ranks.pp),
        slots=slots,
        weights_over_bytes=empty.total_bytes - empty.capacity_bytes,
        transfer_s=transfer.kv_exposed_s,
    )


@jax.jit
def timed(decode: Scenario, prefill: Scenario, most: Scalar) -> Steps:
    """The timed steps of many rows of one structure: every argument has a leading axis."""
    return jax.vmap(_steps)(decode, prefill, most)


def steps_of(decode: Scenario, prefill: Scenario, most: float) -> Steps:
    """The timed steps of one deployment: its pools, the same twice where co-located.

    `most` is the largest decode batch of an instance to time.
    """
    largest = np.asarray([min(most, MOST_SLOTS)], np.float32)
    found = timed(stack([decode]), stack([prefill]), largest)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], found)


def stack(trees: list) -> Any:
    """Trees of one structure joined along a new leading axis."""
    return jax.tree.map(lambda *leaves: np.asarray(leaves, np.float32), *trees)
