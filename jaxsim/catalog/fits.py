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
    pad_power: Scalar  # exponent of the norm that rounds rows and outputs up to tiles
    tile_s: Scalar  # seconds to start and end a tile, besides its loop over the inputs
    walk_s: Scalar  # seconds an input adds to the loop of a tile, in a GEMM of one wave
    split_inputs: Scalar  # loops longer than this are split if tiles do not fill the chip
    split_power: Scalar
    wave_power: Scalar  # exponent of the norm of latency and throughput of full waves
    spill_frac: Scalar  # slow-down of arithmetic once operands exceed the last cache
    spill_bytes: Scalar
    hbm_frac: Scalar
    overlap_power: Scalar  # exponent of the norm of arithmetic and memory traffic
    quantise_passes: Scalar  # times the inputs are read or written to convert them


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
    expert_s: Scalar  # seconds of bookkeeping for one resident expert
    choice_s: Scalar  # seconds of each further expert that every token picks, for any tokens
    pick_s: Scalar  # seconds of one pick of one token that the rank sees
    token_bytes: Scalar  # bytes per hidden element of such a token, to sum its results
    copy_bytes: Scalar  # bytes per hidden element of a row, to sort and quantise it
    peak_frac: Scalar
    tile_low: Scalar  # rows of the smallest tile
    tile_rows: Scalar  # that the largest tile adds to it
    tile_power: Scalar  # exponent of the (inverse) norm of both with the expected rows
    tile_outputs: Scalar
    pad_power: Scalar
    tile_s: Scalar
    walk_s: Scalar  # seconds of one input in the last wave
    row_walk_s: Scalar  # seconds that each row of the tile adds to that
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
    edge_keys: Scalar  # masked keys that a tile reads too, on average
    window_keys: Scalar  # and masked keys before a sliding window
    softmax_dims: Scalar  # cost of a score besides its products, in head dimensions
    tail: Scalar  # loops of mean length that the last tile runs alone on the chip
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
    edge_keys: Scalar  # keys before a sliding window that its tiles read too
    key_power: Scalar  # exponent of the norm that rounds keys up to a tile
    tile_s: Scalar
    walk_s: Scalar  # seconds of one key in a launch of one wave
    split_keys: Scalar
    split_power: Scalar
    share_power: Scalar  # exponent: how loops shorten as tiles leave multiprocessors free
    wave_power: Scalar
    hbm_frac: Scalar
    cache_bytes: Scalar
    cache_share: Scalar
    cache_power: Scalar  # how sharply the cache fills
    overlap_power: Scalar
    query_bytes: Scalar  # moved for each element of a query and of its result
    row_s: Scalar  # seconds per query that shares a key/value head, to join its splits
    narrow_s: Scalar  # launch seconds of a head of dimension 1; times 1/dimension else


class StateFit(Record):
    """Constants of `roofline.state_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar
    peak_frac: Scalar
    walk_s: Scalar  # seconds of one token, or of one chunk, of a sequence
    hbm_frac: Scalar
    overlap_power: Scalar


class ConvolutionFit(Record):
    """Constants of `roofline.convolution_parts`."""

    launch_s: Scalar
    hbm_frac: Scalar
    channel_s: Scalar  # seconds of each channel of each sequence, of any length


class SelectedFit(Record):
    """Constants of `selected_time.selected_parts`."""

    peak: PeakShare
    multiprocessors: Scalar
    launch_s: Scalar  # of all small kernels of a layer between its projections
    index_s: Scalar  # of those that an indexer adds
    select_s: Scalar  # of those that only run where there is something to select
    index_frac: Scalar  # of the peak that scoring reaches
    score_bytes: Scalar  # moved for each score, to write it and to select
    walk_s: Scalar  # seconds of one entry of an index in a launch of one query
    peak_frac: Scalar
    slot_share: Scalar  # of empty slots that are walked where nothing is selected
    tile_heads: Scalar  # heads that a tile has room for
    pad_power: Scalar
    hbm_frac: Scalar
    gather_ratio: Scalar  # bandwidth of keys gathered by query over the memory's: of the last cache
    query_bytes: Scalar  # moved for each element of queries and results, by all small kernels
    widen_passes: Scalar  # what widening a gathered byte of 8 bits takes, over what the memory does
    overlap_power: Scalar


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
    eager_frac: Scalar  # fraction of the link's bandwidth of the protocol without set-up
    setup_s: Scalar
    link_frac: Scalar
    piece_s: Scalar  # seconds per piece of a message of several, with set-up
    own_passes: Scalar  # passes over all data of a ring, besides what is sent
    switch_power: Scalar  # exponent of the (inverse) norm of the two protocols
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
    dsa_decode: SelectedFit
    dsa_context: SelectedFit
    msa_decode: SelectedFit
    msa_context: SelectedFit
    compressed_decode: SelectedFit
    compressed_context: SelectedFit
    hyper: StreamFit
    stream: StreamFit
    all_reduce: CollectiveFit
    all_gather: CollectiveFit
    reduce_scatter: CollectiveFit
    all_to_all: CollectiveFit
    send_recv: CollectiveFit
