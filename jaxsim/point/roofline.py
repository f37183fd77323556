"""How long does a kernel take on a chip?

One form for each kind of work. Each is a launch floor, then the larger of what arithmetic and
memory take. Arithmetic comes in waves of tiles over the multiprocessors; rounding up to tiles and
waves is smooth. A chip's peak is tied to its multiprocessors: `fit.multiprocessors` share it, and
a chip with more of the same is faster in proportion.
"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.fits import (
    AbstractGemmFit,
    BatchedGemmFit,
    ContextAttentionFit,
    ConvolutionFit,
    DecodeAttentionFit,
    GemmFit,
    GroupedGemmFit,
    StateFit,
    StreamFit,
)
from jaxsim.catalog.hardware import Chip
from jaxsim.point.kernel_parts import (
    KernelParts,
    kernel_parts,
    kernel_s,
    one_peak_flop_per_s,
)
from jaxsim.point.selected_time import selected_parts
from jaxsim.point.smooth import beyond, larger, smaller, stretched
from jaxsim.point.work import (
    BatchedGemm,
    ContextAttention,
    Convolution,
    DecodeAttention,
    Gemm,
    GroupedGemm,
    StateScan,
    StateStep,
    Stream,
)

__all__ = [
    "KernelParts",
    "batched_gemm_parts",
    "context_attention_parts",
    "convolution_parts",
    "decode_attention_parts",
    "gemm_parts",
    "grouped_gemm_parts",
    "kernel_parts",
    "kernel_s",
    "one_peak_flop_per_s",
    "selected_parts",
    "state_parts",
    "stream_parts",
]


@kernel_parts.register
def gemm_parts(work: Gemm, fit: GemmFit, chip: Chip) -> KernelParts:
    r"""Seconds of a dense GEMM.

    $$ t = t_0 + \left\| \left\| x \, (k \tau g + \tau_e), \; M \right\|_q,
           \; d(k) \, \tau_w + \tau_e \right\|_w + Q, \quad x = \frac{\text{tiles}}{S} $$

    $\tau$ is the time of one tile for one of the $k$ inputs on one of $S$ multiprocessors, longer
    by $g$ once the operands exceed the last cache; $\tau_e$ that of its start and end. A GEMM that
    does not fill the chip walks its inputs at $\tau_w$ each, $d(k)$ of them where split-k shortens
    the walk. $M$ is memory traffic and $Q$ the conversion of the inputs.
    """
    return _gemm_parts(work, fit, chip, work.hbm_bytes, work.rows * work.inputs)


@kernel_parts.register
def batched_gemm_parts(work: BatchedGemm, fit: BatchedGemmFit, chip: Chip) -> KernelParts:
    r"""Seconds of equal GEMMs side by side: as one GEMM, but for what they read.

    Up to `cache_bytes` of the operands of a launch that a benchmark repeats are in the last cache,
    where a byte takes `cache_share` of its time from memory.
    """
    moved = work.hbm_bytes
    missed = beyond(moved, fit.cache_bytes, fit.cache_power)
    share = fit.cache_share + (1.0 - fit.cache_share) * missed
    return _gemm_parts(work, fit, chip, share * moved, work.rows * work.products * work.inputs)


def _gemm_parts(
    work: Gemm | BatchedGemm,
    fit: AbstractGemmFit,
    chip: Chip,
    read_bytes: Scalar,
    input_elements: Scalar,
) -> KernelParts:
    rows = larger(work.rows / fit.tile_rows, 1.0, fit.pad_power)
    tiles = rows * larger(work.outputs / fit.tile_outputs, 1.0, fit.pad_power)
    waves = tiles / chip.multiprocessors
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    moved = work.hbm_bytes
    spilt = 1.0 + fit.spill_frac * moved / (moved + fit.spill_bytes)
    one_s = 2.0 * fit.tile_rows * fit.tile_outputs * spilt / (fit.peak_frac * peak)
    full_s = waves * (work.inputs * one_s + fit.tile_s)
    depth = stretched(work.inputs, fit.split_inputs, fit.split_power)
    alone_s = depth * fit.walk_s + fit.tile_s
    memory_s = read_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    inputs_bytes = work.activation_bytes_per_element * input_elements
    quantise_s = fit.quantise_passes * inputs_bytes / chip.hbm_bytes_per_s
    busy_s = larger(larger(full_s, memory_s, fit.overlap_power), alone_s, fit.wave_power)
    return KernelParts(
        seconds=fit.launch_s + busy_s + quantise_s,
        arithmetic_s=larger(full_s, alone_s, fit.wave_power),
        memory_s=memory_s + quantise_s,
        launch_s=fit.launch_s,
    )


@kernel_parts.register
def grouped_gemm_parts(work: GroupedGemm, fit: GroupedGemmFit, chip: Chip) -> KernelParts:
    r"""Seconds of both GEMMs of the routed experts on one rank, with sorting and summing.

    $$ t = t_0 + E_r t_E + c \, (t_c + T t_p) + \frac{h (T b_T + R b_R)}{W} + \left\| \sum_i
           \frac{o_i}{o_t S} \left( \|R, A m\|_p \, k_i \tau + \left(\frac{R}{m_1} + A\right)
           \tau_e \right) + k_i (\tau_w + m \tau_r) + \tau_e, \; M \right\|_q,
           \quad m = m_0 + \min_s(g, m_1) $$

    over the two GEMMs of $k_i$ inputs and $o_i$ outputs, for $E_r$ resident experts, $T$ tokens
    that pick $c$ experts each, $R$ rows and $A$ active experts. Each active expert computes at
    least a tile of $m$ rows, chosen by the $g$ rows that are expected for one. The last wave takes
    as long as one tile alone, longer the more rows it has.
    """
    tile = fit.tile_low + smaller(work.expected_rows, fit.tile_rows, fit.tile_power)
    padded = larger(work.rows, work.active_experts * tile, fit.pad_power)
    tiles = work.rows / fit.tile_rows + work.active_experts
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    row_s = 2.0 * fit.tile_outputs / (fit.peak_frac * peak)
    step_s = fit.walk_s + fit.row_walk_s * tile
    arithmetic_s = 0.0
    for outputs, inputs in (
        ((work.matrices - 1.0) * work.intermediate, work.hidden),
        (work.hidden, work.intermediate),
    ):
        share = outputs / (fit.tile_outputs * chip.multiprocessors)
        full_s = share * (padded * inputs * row_s + tiles * fit.tile_s)
        arithmetic_s = arithmetic_s + full_s + inputs * step_s + fit.tile_s
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    sorted_bytes = fit.token_bytes * work.tokens + fit.copy_bytes * work.rows
    sort_s = sorted_bytes * work.hidden / chip.hbm_bytes_per_s
    picks_s = work.picks * (fit.choice_s + fit.pick_s * work.tokens)
    launch_s = fit.launch_s + fit.expert_s * work.experts + picks_s
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(launch_s + sort_s + busy_s, arithmetic_s, memory_s + sort_s, launch_s)


@kernel_parts.register
def context_attention_parts(
    work: ContextAttention, fit: ContextAttentionFit, chip: Chip
) -> KernelParts:
    r"""Seconds of causal attention over a chunk of a prompt.

    $$ t = t_0 + \left\| \left\| x \, (\bar n \tau + \tau_e), \;
           (p + c \, (\bar n - p)) \, \tau + \tau_e \right\|_w, \; M \right\|_q + \frac{b q B_n}{W},
           \quad x = \frac{b \, h \, \|q / q_t, 1\|}{S} $$

    Tiles are blocks of $q_t$ queries of one head; each walks $\bar n$ = pairs / queries +
    `edge_keys` keys, and up to `window_keys` of those that a sliding window masks. All of them walk
    the $p$ earlier ones; of the chunk's own, the last tile walks $c$ times the mean. Kernels were
    timed without a past, where $p$ = 0. To cache a new token moves $B_n$ bytes.
    """
    blocks = larger(work.queries / fit.tile_queries, 1.0, fit.pad_power)
    waves = work.sequences * work.heads * blocks / chip.multiprocessors
    # Fewer queries than one only arise between whole designs.
    queries = jnp.maximum(work.queries, 1.0)
    seen = work.pairs / queries
    masked = jnp.maximum(work.past + (queries + 1.0) / 2.0 - seen, 0.0)
    keys = seen + fit.edge_keys + jnp.minimum(masked, fit.window_keys)
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    dims = work.qk_dim + work.v_dim + fit.softmax_dims
    key_s = 2.0 * fit.tile_queries * dims / (fit.peak_frac * peak)
    # A sliding window may leave less than the past to walk.
    past = jnp.minimum(work.past, keys)
    longest = past + fit.tail * (keys - past)
    full_s = waves * (keys * key_s + fit.tile_s)
    arithmetic_s = larger(full_s, longest * key_s + fit.tile_s, fit.wave_power)
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    append_s = fit.token_bytes * work.sequences * work.queries / chip.hbm_bytes_per_s
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(
        fit.launch_s + busy_s + append_s, arithmetic_s, memory_s + append_s, fit.launch_s
    )


@kernel_parts.register
def decode_attention_parts(
    work: DecodeAttention, fit: DecodeAttentionFit, chip: Chip
) -> KernelParts:
    r"""Seconds of attention of new tokens over their caches.

    $$ t = t_0 + \left\| M, \; \left\| x \, (n \tau + \tau_e), \;
           d(n) \, \tau_w + \tau_e + r \tau_r \right\|_w \right\|_q + Q, \quad
           x = \frac{b \, g \, \|r / q_t, 1\|}{S} $$

    A tile is one key/value head of one sequence with the $r$ queries that share it; it walks the
    $n$ cached tokens and the edge of a sliding window, rounded up to a tile of keys. Launches that
    do not fill the chip walk $d(n)$, shorter because the cache is split, and join the parts of
    each query in $\tau_r$. $M$ is what the cache costs to read and $Q$ the traffic of queries and
    results. $t_0$ is longer for narrow heads, whose kernels are less tuned.
    """
    rows = work.queries * work.heads / work.kv_heads
    blocks = larger(rows / fit.tile_queries, 1.0, fit.pad_power)
    waves = work.sequences * work.kv_heads * blocks / chip.multiprocessors
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    dims = work.qk_dim + work.v_dim
    one_s = 2.0 * fit.tile_queries * dims / (fit.peak_frac * peak)
    edge = jnp.minimum(work.masked, fit.edge_keys)
    keys = larger(work.context + edge, fit.tile_keys, fit.key_power)
    full_s = waves * (keys * one_s + fit.tile_s)
    # The fewer tiles, the more multiprocessors can share one walk.
    share = jnp.exp(fit.share_power * jnp.log(jnp.clip(waves, 1e-4, 1.0)))
    depth = stretched(keys, fit.split_keys, fit.split_power)
    alone_s = depth * share * fit.walk_s + fit.tile_s + fit.row_s * rows
    arithmetic_s = larger(full_s, alone_s, fit.wave_power)
    key_bytes = work.kv_heads * work.kv_dim * work.kv_bytes_per_element
    cached = work.hbm_bytes + work.sequences * key_bytes * edge
    missed = beyond(cached, fit.cache_bytes, fit.cache_power)
    share = fit.cache_share + (1.0 - fit.cache_share) * missed
    memory_s = cached * share / (fit.hbm_frac * chip.hbm_bytes_per_s)
    queries_bytes = fit.query_bytes * work.sequences * work.queries * work.heads * dims
    queries_s = queries_bytes / chip.hbm_bytes_per_s
    launch_s = fit.launch_s + fit.narrow_s / dims
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(launch_s + busy_s + queries_s, arithmetic_s, memory_s + queries_s, launch_s)


@kernel_parts.register(StateStep)
@kernel_parts.register(StateScan)
def state_parts(work: StateStep | StateScan, fit: StateFit, chip: Chip) -> KernelParts:
    r"""Seconds of a recurrent layer's pass over its states.

    $$ t = t_0 + \left\| \frac{F}{\eta P}, \; n \tau, \; \frac{B}{\eta_B W} \right\|_q $$

    with n the steps of one sequence that follow one another, tokens or chunks.
    """
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    full_s = work.flop / (fit.peak_frac * peak)
    arithmetic_s = larger(full_s, work.steps * fit.walk_s, fit.overlap_power)
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(fit.launch_s + busy_s, arithmetic_s, memory_s, fit.launch_s)


@kernel_parts.register
def convolution_parts(work: Convolution, fit: ConvolutionFit, chip: Chip) -> KernelParts:
    """Seconds of a short convolution: launch + bytes / bandwidth + sequences · channels · τ."""
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    walk_s = work.sequences * work.channels * fit.channel_s
    return KernelParts(fit.launch_s + memory_s + walk_s, walk_s, memory_s, fit.launch_s)


@kernel_parts.register
def stream_parts(work: Stream, fit: StreamFit, chip: Chip) -> KernelParts:
    """Seconds of element-wise kernels: launches · launch + bytes / bandwidth."""
    launch_s = work.launches * fit.launch_s
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    return KernelParts(launch_s + memory_s, 0.0 * memory_s, memory_s, launch_s)
