"""How long does a kernel take on a chip?

One form for each kind of work. Each is a launch floor, then the larger of what arithmetic and
memory take. Arithmetic comes in waves of tiles over the multiprocessors; rounding up to tiles and
waves is smooth. A chip's peak is tied to its multiprocessors: `fit.multiprocessors` share it, and
a chip with more of the same is faster in proportion.
"""

from functools import singledispatch

import equinox as eqx
import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.fits import (
    ContextAttentionFit,
    DecodeAttentionFit,
    GemmFit,
    GroupedGemmFit,
    PeakShare,
    StreamFit,
)
from jaxsim.catalog.hardware import Chip
from jaxsim.point.smooth import larger
from jaxsim.point.work import (
    AbstractWork,
    ContextAttention,
    DecodeAttention,
    Gemm,
    GroupedGemm,
    Stream,
)


class KernelParts(eqx.Module):
    """Seconds of one kernel, and what each resource alone would need."""

    seconds: Scalar
    arithmetic_s: Scalar
    memory_s: Scalar
    launch_s: Scalar


def one_peak_flop_per_s(share: PeakShare, multiprocessors: Scalar, chip: Chip) -> Scalar:
    """Peak arithmetic rate of one multiprocessor."""
    peak = chip.peak
    return (
        share.fp4 * peak.fp4_flop_per_s
        + share.fp8 * peak.fp8_flop_per_s
        + share.bf16 * peak.bf16_flop_per_s
    ) / multiprocessors


@singledispatch
def kernel_parts(work: AbstractWork, fit, chip: Chip) -> KernelParts:
    """Seconds of one kernel on one chip, with what each resource alone would need."""
    raise NotImplementedError(type(work).__name__)


def kernel_s(work: AbstractWork, fit, chip: Chip) -> Scalar:
    """Seconds of one kernel on one chip; `fit` is of the kind that the work asks for."""
    return kernel_parts(work, fit, chip).seconds


def _waved_s(tiles, walk_s, serial_s, fit, chip):
    """Tiles that each take `walk_s`, over the chip; at least one of `serial_s`."""
    full = tiles / (fit.slots * chip.multiprocessors)
    busy_s = larger(full * walk_s, serial_s, fit.wave_power)
    return busy_s + fit.tile_s * larger(full, 1.0, fit.wave_power)


@kernel_parts.register
def gemm_parts(work: Gemm, fit: GemmFit, chip: Chip) -> KernelParts:
    r"""Seconds of a dense GEMM.

    $$ t = t_0 + \left\| \| x k \tau, \, d(k) \tau \|_w + \tau_e \|x, 1\|_w, \; M \right\|_q
           + Q, \quad x = \frac{\text{tiles}}{s S} $$

    $\tau$ is the time of one tile for one of the $k$ inputs on one of $S$ multiprocessors, of
    which each holds $s$ tiles; $d(k)$ the longest walk, which split-k shortens beyond
    `split_inputs`; $M$ memory traffic, faster where the last cache helps; $Q$ the conversion of
    the inputs.
    """
    rows = larger(work.rows / fit.tile_rows, 1.0, fit.wave_power)
    tiles = rows * larger(work.outputs / fit.tile_outputs, 1.0, fit.wave_power)
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    one_s = 2.0 * fit.tile_rows * fit.tile_outputs * fit.slots / (fit.peak_frac * peak)
    stretched = (1.0 + work.inputs / fit.split_inputs) ** fit.split_power - 1.0
    depth = fit.split_inputs * stretched / fit.split_power
    arithmetic_s = _waved_s(tiles, work.inputs * one_s, depth * one_s, fit, chip)
    moved = work.hbm_bytes
    past_cache = jnp.sqrt(moved * moved + fit.cache_bytes * fit.cache_bytes) - fit.cache_bytes
    memory_s = (moved / fit.cache_frac + past_cache / fit.hbm_frac) / chip.hbm_bytes_per_s
    inputs_bytes = work.activation_bytes_per_element * work.rows * work.inputs
    quantise_s = fit.quantise_passes * inputs_bytes / chip.hbm_bytes_per_s
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(
        fit.launch_s + busy_s + quantise_s, arithmetic_s, memory_s + quantise_s, fit.launch_s
    )


@kernel_parts.register
def grouped_gemm_parts(work: GroupedGemm, fit: GroupedGemmFit, chip: Chip) -> KernelParts:
    r"""Seconds of both GEMMs of the routed experts on one rank, with sorting and summing.

    $$ t = t_0 + E t_E + P + \left\| \sum_i \| x_i k_i \tau, k_i \tau \|_w + \tau_e \|x_i, 1\|_w,
           \; M \right\|_q $$

    over the two GEMMs. Rows are padded to a tile for each of the $E$ active experts.
    """
    experts = work.active_experts
    row_tiles = larger(work.rows / fit.tile_rows, experts, fit.pad_power)
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    one_s = 2.0 * fit.tile_rows * fit.tile_outputs * fit.slots / (fit.peak_frac * peak)
    arithmetic_s = 0.0
    for outputs, inputs in (
        ((work.matrices - 1.0) * work.intermediate, work.hidden),
        (work.hidden, work.intermediate),
    ):
        tiles = row_tiles * outputs / fit.tile_outputs
        walk_s = inputs * one_s
        arithmetic_s = arithmetic_s + _waved_s(tiles, walk_s, walk_s, fit, chip)
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    copies_bytes = work.activation_bytes_per_element * work.rows * work.hidden
    permute_s = fit.permute_passes * copies_bytes / chip.hbm_bytes_per_s
    launch_s = fit.launch_s + fit.expert_s * experts
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(launch_s + permute_s + busy_s, arithmetic_s, memory_s + permute_s, launch_s)


@kernel_parts.register
def context_attention_parts(
    work: ContextAttention, fit: ContextAttentionFit, chip: Chip
) -> KernelParts:
    r"""Seconds of causal attention over a chunk of a prompt.

    $$ t = t_0 + \left\| \| x \, \bar n \tau, \bar n \tau \|_w + \tau_e \|x, 1\|_w, \;
           M \right\|_q, \quad x = \frac{b \, h \, \|q / q_t, 1\|}{s S} $$

    Tiles are blocks of $q_t$ queries of one head; each walks $\bar n$ = pairs / queries +
    `edge_keys` keys.
    """
    blocks = larger(work.queries / fit.tile_queries, 1.0, fit.pad_power)
    tiles = work.sequences * work.heads * blocks
    keys = work.pairs / jnp.maximum(work.queries, 1.0) + fit.edge_keys
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    dims = work.qk_dim + work.v_dim + fit.softmax_dims
    walk_s = keys * 2.0 * fit.tile_queries * dims * fit.slots / (fit.peak_frac * peak)
    arithmetic_s = _waved_s(tiles, walk_s, walk_s, fit, chip)
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(fit.launch_s + busy_s, arithmetic_s, memory_s, fit.launch_s)


@kernel_parts.register
def decode_attention_parts(
    work: DecodeAttention, fit: DecodeAttentionFit, chip: Chip
) -> KernelParts:
    r"""Seconds of attention of new tokens over their caches.

    $$ t = t_0 + \left\| M, \; \| x \, n \tau, \; d(n) \tau \|_w + \tau_e \|x, 1\|_w \right\|_q $$

    A tile is one key/value head of one sequence, with the queries that share it. Where tiles do
    not fill the chip, their walk over the $n$ cached tokens is split, into stretches not much
    shorter than `split_keys`.
    """
    rows = work.queries * work.heads / work.kv_heads
    blocks = larger(rows / fit.tile_queries, 1.0, fit.pad_power)
    tiles = work.sequences * work.kv_heads * blocks
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip)
    dims = work.qk_dim + work.v_dim
    one_s = 2.0 * fit.tile_queries * dims * fit.slots / (fit.peak_frac * peak)
    shortest = work.context * fit.split_keys / (work.context + fit.split_keys)
    arithmetic_s = _waved_s(tiles, work.context * one_s, shortest * one_s, fit, chip)
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    busy_s = larger(arithmetic_s, memory_s, fit.overlap_power)
    return KernelParts(fit.launch_s + busy_s, arithmetic_s, memory_s, fit.launch_s)


@kernel_parts.register
def stream_parts(work: Stream, fit: StreamFit, chip: Chip) -> KernelParts:
    """Seconds of element-wise kernels: launches · launch + bytes / bandwidth."""
    launch_s = work.launches * fit.launch_s
    memory_s = work.hbm_bytes / (fit.hbm_frac * chip.hbm_bytes_per_s)
    return KernelParts(launch_s + memory_s, 0.0 * memory_s, memory_s, launch_s)
