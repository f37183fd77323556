"""How near do kernels come to the datasheet?  Fitted constants, with how sure they are.

Constants are relative to the datasheet: fractions of peak arithmetic, of memory bandwidth, of link
bandwidth, and seconds only for floors. Every fit of a kind has the same numbers, whichever format
and chip it is for, so that changing either never recompiles.
"""

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class PeakShare(Record):
    """Which of a chip's peak rates arithmetic runs at: 1 for one type, 0 for the others."""

    fp4: Scalar
    fp8: Scalar
    bf16: Scalar


class AbstractGemmFit(Record):
    """Constants that `roofline.gemm_parts` and `roofline.batched_gemm_parts` share.

    `multiprocessors` is how many share the chip's peak: the peak of one is peak / multiprocessors,
    so that a chip with more of the same is faster.
    """

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    tile_rows: Scalar
    tile_outputs: Scalar
    pad_power: Scalar  # of the norm that rounds rows and outputs up to tiles
    tile_s: Scalar  # start and end of a tile, beside its walk over the inputs
    walk_s: Scalar  # latency of one input in the only wave of a small GEMM
    split_inputs: Scalar  # walks longer than this are split where tiles do not fill the chip
    split_power: Scalar
    wave_power: Scalar  # of the norm of that latency with the throughput of full waves
    spill_frac: Scalar  # slow-down of arithmetic once operands exceed the last cache
    spill_bytes: Scalar
    hbm_frac: Scalar
    overlap_power: Scalar  # of the norm of arithmetic with memory traffic
    quantise_passes: Scalar  # of memory traffic over the inputs, to convert them


class GemmFit(AbstractGemmFit):
    """Constants of `roofline.gemm_parts`."""


class BatchedGemmFit(AbstractGemmFit):
    """Constants of `roofline.batched_gemm_parts`; of the cache as in `DecodeAttentionFit`."""

    cache_bytes: Scalar
    cache_share: Scalar
    cache_power: Scalar


class GroupedGemmFit(Record):
    """Constants of `roofline.grouped_gemm_parts`, besides those that mean the same in `GemmFit`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    expert_s: Scalar  # bookkeeping of one resident expert
    choice_s: Scalar  # of one more expert that every token picks, whatever the tokens
    pick_s: Scalar  # of one pick by one token that the rank sees
    token_bytes: Scalar  # moved for each hidden element of such a token, to sum its results
    copy_bytes: Scalar  # moved for each hidden element of a row, to sort and quantise it
    peak_frac: Scalar
    tile_low: Scalar  # rows of the smallest tile
    tile_rows: Scalar  # that the largest tile adds to it
    tile_power: Scalar  # of the (inverse) norm of those with the rows expected
    tile_outputs: Scalar
    pad_power: Scalar
    tile_s: Scalar
    walk_s: Scalar  # latency of one input in the last wave
    row_walk_s: Scalar  # what each row of the tile adds to that
    hbm_frac: Scalar
    overlap_power: Scalar


class ContextAttentionFit(Record):
    """Constants of `roofline.context_attention_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    tile_queries: Scalar
    pad_power: Scalar
    tile_s: Scalar
    edge_keys: Scalar  # keys a tile walks beyond the unmasked, on average
    window_keys: Scalar  # and where a sliding window masks earlier ones too
    softmax_dims: Scalar  # what a score costs beside its products, in head dimensions
    tail: Scalar  # walks of mean length that the last tile takes, alone on the chip
    wave_power: Scalar
    hbm_frac: Scalar
    overlap_power: Scalar
    token_bytes: Scalar  # moved for each new token, whatever the heads, to cache it


class DecodeAttentionFit(Record):
    """Constants of `roofline.decode_attention_parts`.

    `cache_bytes` is how much of the keys and values a benchmark that repeats one launch finds in
    the last cache, where a byte takes `cache_share` of its time from memory.
    """

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    tile_queries: Scalar
    pad_power: Scalar
    tile_keys: Scalar
    edge_keys: Scalar  # keys before a sliding window that its tiles walk too
    key_power: Scalar  # of the norm that rounds keys up to a tile
    tile_s: Scalar
    walk_s: Scalar  # latency of one key in the only wave of a small launch
    split_keys: Scalar
    split_power: Scalar
    share_power: Scalar  # how the walk shortens as tiles leave multiprocessors free
    wave_power: Scalar
    hbm_frac: Scalar
    cache_bytes: Scalar
    cache_share: Scalar
    cache_power: Scalar  # how sharply the cache fills
    overlap_power: Scalar
    query_bytes: Scalar  # moved for each element of a query and of its result
    row_s: Scalar  # of each query that shares a key/value head, to join what splits of it found
    narrow_s: Scalar  # launch of a head of one dimension; shorter in proportion for wider ones


class StateFit(Record):
    """Constants of `roofline.state_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    walk_s: Scalar  # latency of one token, or of one chunk, of a sequence
    hbm_frac: Scalar
    overlap_power: Scalar


class ConvolutionFit(Record):
    """Constants of `roofline.convolution_parts`."""

    launch_s: Scalar
    hbm_frac: Scalar
    channel_s: Scalar  # of each channel of each sequence, however short


class StreamFit(Record):
    """Constants of `roofline.stream_parts`."""

    launch_s: Scalar
    hbm_frac: Scalar


class CollectiveFit(Record):
    """Constants of `collectives.message_s`.

    Latencies are counted in those of the fabric. A message takes the faster of two protocols: one
    that starts at once, and one that first spends `setup_s` to come nearer the link's bandwidth.
    Those beyond a domain are of the library and the network cards, not of the chip.
    """

    launch_s: Scalar
    hops: Scalar  # fabric latencies per doubling of the ranks
    ring_hops: Scalar  # and for each further rank, where parts pass round a ring
    eager_frac: Scalar  # of the link's bandwidth, by the protocol that starts at once
    setup_s: Scalar
    link_frac: Scalar
    piece_s: Scalar  # of each piece, by the protocol with set-up, where a message is many
    own_passes: Scalar  # over all data of a ring, its own part included, beside what is sent
    switch_power: Scalar  # of the (inverse) norm between the two
    across_hops: Scalar  # the same for the scale-out fabric
    across_frac: Scalar
    across_launch_s: Scalar = 0.0  # of a message that leaves its domain (`catalog.scaleout`)
    across_setup_s: Scalar = 0.0  # to send once to each domain what several of its ranks get


class Kernels(Record):
    """The fits that one precision selects, by role."""

    attention_gemm: GemmFit
    attention_out_gemm: GemmFit
    ffn_gemm: GemmFit
    head_gemm: GemmFit
    router_gemm: GemmFit
    absorb_gemm: BatchedGemmFit
    experts: GroupedGemmFit
    context: ContextAttentionFit
    context_latent: ContextAttentionFit
    decode: DecodeAttentionFit
    decode_latent: DecodeAttentionFit
    delta_step: StateFit
    delta_scan: StateFit
    kda_step: StateFit
    kda_scan: StateFit
    convolution: ConvolutionFit
    stream: StreamFit
    all_reduce: CollectiveFit
    all_gather: CollectiveFit
    reduce_scatter: CollectiveFit
    all_to_all: CollectiveFit
    send_recv: CollectiveFit
