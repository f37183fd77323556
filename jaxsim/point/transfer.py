"""What does moving a prompt's KV cache from the prefill to the decode pool cost?"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.model import (
    GQA,
    MLA,
    AbstractAttention,
    AbstractRecurrent,
    BlockSparseGQA,
    CompressedMQA,
    DirectMLA,
    GatedMLA,
    NoAttention,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
)
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.forward import drafting_share
from jaxsim.point.layer_bytes import kv_bytes_per_gpu
from jaxsim.point.ranks import Ranks


class Transfer(Record):
    """The move of one prompt's cache, per prefill GPU.

    `kv_egress_bytes_per_s_per_gpu` is the sustained rate of a GPU that holds distinct cache, and
    `link_frac` how much of its network that takes: above 1 the design's transfer does not fit.
    """

    kv_prompt_bytes: Scalar
    kv_transfer_s: Scalar
    kv_exposed_s: Scalar
    kv_egress_bytes_per_s_per_gpu: Scalar
    kv_link_frac: Scalar


def cached_bytes(attention: AbstractAttention, tokens: Scalar, element: ElementBytes) -> Scalar:
    """Bytes that one layer's cache holds for a sequence of `tokens`, every head once."""
    return kv_bytes_per_gpu(attention, tokens, jnp.asarray(1.0), element)


@singledispatch
def distinct_shards(attention: AbstractAttention, tp: Scalar) -> Scalar:
    """GPUs of a tensor-parallel group with distinct cache: min(tp, kv heads); 1 for latents."""
    raise NotImplementedError(type(attention).__name__)


@distinct_shards.register
def _(attention: GQA | VariedGQA, tp: Scalar):
    return jnp.minimum(attention.kv_heads, tp)


@distinct_shards.register
def _(attention: BlockSparseGQA, tp: Scalar):
    return distinct_shards(attention.grouped, tp)


@distinct_shards.register
def _(attention: AbstractRecurrent, tp: Scalar):
    return jnp.minimum(attention.heads, tp)


@distinct_shards.register(MLA)
@distinct_shards.register(DirectMLA)
@distinct_shards.register(GatedMLA)
@distinct_shards.register(SparseMLA)
@distinct_shards.register(ReusedSparseMLA)
@distinct_shards.register(SharedCache)
@distinct_shards.register(CompressedMQA)
@distinct_shards.register(NoAttention)
def _(attention: AbstractAttention, tp: Scalar):
    return jnp.ones_like(jnp.asarray(tp))


def caching(attention: AbstractAttention) -> Scalar:
    """1 where a layer keeps something of a sequence, 0 where it reads another's cache, or none."""
    if isinstance(attention, SharedCache):
        return 1.0 if isinstance(attention.own, SparseMLA) else 0.0
    if isinstance(attention, VariedGQA):
        return attention.own_cache
    return 0.0 if isinstance(attention, NoAttention) else 1.0


def kv_bytes_of(scenario: Scenario, tokens: Scalar) -> Scalar:
    """Bytes of one sequence's whole cache at `tokens` of context, every head once.

    With speculation, that of the layer that drafts too.
    """
    kept = sum(
        (
            group.layers * cached_bytes(group.attention, tokens, scenario.element)
            for group in scenario.model.groups
        ),
        start=jnp.asarray(0.0),
    )
    return kept * (1.0 + drafting_share(scenario))


def shards_of(scenario: Scenario, ranks: Ranks) -> Scalar:
    """GPUs of a tensor-parallel group with distinct cache: bytes of all over bytes of one.

    Where layers differ in how many GPUs share their caches, the harmonic mean by bytes.
    """
    groups, tokens = scenario.model.groups, scenario.workload.isl
    if len(groups) == 1:
        return distinct_shards(groups[0].attention, ranks.tp)
    whole, own = jnp.asarray(0.0), jnp.asarray(0.0)
    for group in groups:
        held = group.layers * cached_bytes(group.attention, tokens, scenario.element)
        whole = whole + held
        own = own + held / distinct_shards(group.attention, ranks.tp)
    return whole / own


def kv_gpus(scenario: Scenario, ranks: Ranks) -> Scalar:
    """GPUs of an instance that hold distinct cache (the study's N): shards · attention_dp · pp."""
    return shards_of(scenario, ranks) * ranks.attention_dp * ranks.pp


def ingress_bytes_per_s_per_gpu(scenario: Scenario, ranks: Ranks, requests_per_s: Scalar) -> Scalar:
    """Cache that reaches each decode GPU: r · KV(ISL) / N, N the GPUs with distinct cache."""
    sent = kv_bytes_of(scenario, scenario.workload.isl) / scenario.options.kv_compression
    return requests_per_s * sent / kv_gpus(scenario, ranks)


def transfer_of(
    scenario: Scenario,
    ranks: Ranks,
    sequences: Scalar,
    requests_per_s: Scalar,
    compute_s: Scalar,
) -> Transfer:
    r"""Time and rate of sending the caches of a rank's prompts over the scale-out network.

    $$ t = \frac{\text{bytes}}{W} + n_{seg} t_{seg}, \qquad
       t_{exposed} = t_0 + \frac{t}{L} + \max\left(0, t - t_{compute}\right) $$

    Caches leave layer by layer behind the computation of the next ones, so the last of L layers
    is always exposed, and all that the prompts' own time cannot hide; layers that keep nothing do
    not count. A block per layer and `kv_block_tokens` is addressed on its own at `kv_segment_s`
    each, which also covers unlike tensor-parallel widths (more, smaller blocks).
    """
    options, network = scenario.options, scenario.hardware.scaleout
    tokens = scenario.workload.isl
    kv_bytes = kv_bytes_of(scenario, tokens)
    holders = shards_of(scenario, ranks) * ranks.pp
    layers = sum(
        (group.layers * caching(group.attention) for group in scenario.model.groups),
        start=jnp.asarray(0.0),
    )
    per_gpu_bytes = sequences * kv_bytes / options.kv_compression / holders
    segments = sequences * tokens / options.kv_block_tokens * layers / ranks.pp
    seconds = per_gpu_bytes / network.bytes_per_s + segments * options.kv_segment_s
    exposed_s = network.latency_s + seconds / layers + jnp.maximum(seconds - compute_s, 0.0)
    egress = requests_per_s * kv_bytes / options.kv_compression / kv_gpus(scenario, ranks)
    return Transfer(
        kv_prompt_bytes=kv_bytes,
        kv_transfer_s=seconds,
        kv_exposed_s=exposed_s,
        kv_egress_bytes_per_s_per_gpu=egress,
        kv_link_frac=egress / network.bytes_per_s,
    )
