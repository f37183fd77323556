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
    prompts as a pass holds, `together` of them; `…_floor_s` is what of it are launch floors.
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
    together: Scalar
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


def _launching(scenario: Scenario, factor: Scalar) -> Scenario:
    """The same with launch floors multiplied."""
    return replace_leaf(lambda s: s.engine.launch_factor, scenario, jnp.asarray(factor))


def _steps(decode: Scenario, prefill: Scenario, most: Scalar) -> Steps:
    """The timed steps of one row: `most` is the largest decode batch of an instance to time."""
    ranks, prefill_ranks = ranks_of(decode.design), ranks_of(prefill.design)
    layers = layers_of(decode)
    share = ranks.attention_dp * ranks.pp
    gained = tokens_per_step(decode.workload.draft_tokens, decode.workload.accept_frac)
    largest = jnp.maximum(rank_requests(most, ranks, ranks.pp), 2.0)
    ladder = jnp.ceil(largest ** jnp.linspace(0.0, 1.0, KNOTS))
    batch = share * ladder

    def decoded(size, launch_factor):
        scenario = replace_leaf(lambda s: s.design.batch, decode, size)
        return _parts(step_time(_launching(scenario, launch_factor), ranks).parts)

    chunks = chunks_of(prefill)
    together = jnp.maximum(floor_div(prefill.design.chunk, prefill.workload.isl), 1.0)

    def prompted(sequences, prompts, launch_factor):
        scenario = _launching(prefill, launch_factor)
        time = prompt_time(scenario, prefill_ranks, sequences, prompts, chunks)
        return chunks.count * _parts(time.mean)

    # With and without launch floors in one mapped axis: each phase is traced once.
    factors = jnp.asarray([1.0, 0.0])
    decode_s = jax.vmap(decoded)(jnp.tile(batch, 2), jnp.repeat(factors, KNOTS))
    decode_s = decode_s.reshape(2, KNOTS, len(KERNEL_PARTS)) / gained
    # One prompt alone, on one attention rank; and as many as a pass holds, on all of them.
    pair = jnp.stack([jnp.ones_like(together), together])
    prompts = jnp.stack([jnp.ones_like(together), together * prefill_ranks.attention_dp])
    prompt_s = jax.vmap(prompted)(jnp.tile(pair, 2), jnp.tile(prompts, 2), jnp.repeat(factors, 2))
    prompt_s = prompt_s.reshape(2, 2, len(KERNEL_PARTS))
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
        together=together * prefill_ranks.attention_dp,
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
    """The timed steps of one deployment: its pools, the same twice where aggregated.

    `most` is the largest decode batch of an instance to time.
    """
    asked = np.asarray([min(most, MOST_SLOTS)], np.float32)
    found = timed(stack([decode]), stack([prefill]), asked)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], found)


def stack(trees: list) -> Any:
    """Trees of one structure joined along a new leading axis."""
    return jax.tree.map(lambda *leaves: np.asarray(leaves, np.float32), *trees)
