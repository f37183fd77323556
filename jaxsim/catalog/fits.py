"""How near do kernels come to the datasheet?  Fitted constants, with how sure they are.

Constants are relative to the datasheet: fractions of peak arithmetic, of memory bandwidth, of link
bandwidth, and seconds only for floors. Every fit of a kind has the same numbers, whichever format
and chip it is for, so that changing either never recompiles.
"""

import equinox as eqx

from jaxsim._scalar import Scalar


class PeakShare(eqx.Module):
    """Which of a chip's peak rates arithmetic runs at: 1 for one type, 0 for the others."""

    fp4: Scalar
    fp8: Scalar
    bf16: Scalar


class GemmFit(eqx.Module):
    """Constants of `roofline.gemm_parts`.

    `multiprocessors` is how many share the chip's peak: the peak of one is peak / multiprocessors,
    so that a chip with more of the same is faster.
    """

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    tile_rows: Scalar
    tile_outputs: Scalar
    slots: Scalar  # tiles in flight on a multiprocessor
    wave_power: Scalar
    tile_s: Scalar  # start and end of a tile, beside its walk over the inputs
    split_inputs: Scalar  # walks longer than this are split where tiles do not fill the chip
    split_power: Scalar
    hbm_frac: Scalar
    cache_frac: Scalar  # rate of what stays in the last cache between launches, over HBM's peak
    cache_bytes: Scalar
    overlap_power: Scalar
    quantise_passes: Scalar  # of HBM traffic over the inputs, to convert them


class GroupedGemmFit(eqx.Module):
    """Constants of `roofline.grouped_gemm_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    expert_s: Scalar  # bookkeeping of one active expert
    permute_passes: Scalar  # of HBM traffic over a token copy, to sort, quantise and sum
    peak_frac: Scalar
    tile_rows: Scalar
    tile_outputs: Scalar
    pad_power: Scalar
    slots: Scalar
    wave_power: Scalar
    tile_s: Scalar
    hbm_frac: Scalar
    overlap_power: Scalar


class ContextAttentionFit(eqx.Module):
    """Constants of `roofline.context_attention_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    tile_queries: Scalar
    pad_power: Scalar
    slots: Scalar
    wave_power: Scalar
    tile_s: Scalar
    edge_keys: Scalar  # keys a tile walks beyond the unmasked, on average
    softmax_dims: Scalar  # what a score costs beside its products, in head dimensions
    hbm_frac: Scalar
    overlap_power: Scalar


class DecodeAttentionFit(eqx.Module):
    """Constants of `roofline.decode_attention_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    hbm_frac: Scalar
    slots: Scalar
    wave_power: Scalar
    tile_s: Scalar
    split_keys: Scalar  # the shortest stretch of cache that is worth a block of its own
    tile_queries: Scalar
    pad_power: Scalar
    peak_frac: Scalar
    overlap_power: Scalar


class StreamFit(eqx.Module):
    """Constants of `roofline.stream_parts`."""

    launch_s: Scalar
    hbm_frac: Scalar


class CollectiveFit(eqx.Module):
    """Constants of `collectives.message_s`.

    Latencies are counted in those of the fabric; `knee_s` and `knee_bytes` describe the stretch
    between latency and bandwidth, where time grows as a power of the bytes.
    """

    launch_s: Scalar
    hops: Scalar  # fabric latencies per doubling of the ranks
    link_frac: Scalar
    knee_s: Scalar
    knee_bytes: Scalar
    knee_power: Scalar
    across_hops: Scalar  # the same for the scale-out fabric
    across_frac: Scalar


class Kernels(eqx.Module):
    """The fits that one precision selects, by role."""

    attention_gemm: GemmFit
    ffn_gemm: GemmFit
    head_gemm: GemmFit
    router_gemm: GemmFit
    absorb_gemm: GemmFit
    experts: GroupedGemmFit
    context: ContextAttentionFit
    context_latent: ContextAttentionFit
    decode: DecodeAttentionFit
    decode_latent: DecodeAttentionFit
    stream: StreamFit
    all_reduce: CollectiveFit
    all_gather: CollectiveFit
    reduce_scatter: CollectiveFit
    all_to_all: CollectiveFit
    send_recv: CollectiveFit
