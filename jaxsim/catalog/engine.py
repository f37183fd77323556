"""What does the serving software add to the kernels?"""

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.quantities import KERNEL_PARTS

# The factor of an engine that multiplies the kernels of each part of a pass.
FACTOR_OF_PART: dict[str, str] = {
    **dict.fromkeys(KERNEL_PARTS, "gemm_factor"),
    "attention": "attention_factor",
    "experts": "experts_factor",
    "network": "network_factor",
}


# The same in a pass over prompts.
PROMPT_FACTOR_OF_PART: dict[str, str] = {
    **dict.fromkeys(KERNEL_PARTS, "prefill_factor"),
    "experts": "prefill_experts_factor",
    "network": "network_factor",
}


def factor_of(part: str, prompts: bool = False) -> str:
    """The name of the engine's factor on the kernels of a part of a pass."""
    return (PROMPT_FACTOR_OF_PART if prompts else FACTOR_OF_PART)[part]


class Engine(Record):
    """One serving framework, as it differs from its kernels run back to back.

    Factors, at least 1, multiply what measured kernels take beside their launch floors, so that no
    engine is faster than the chip. In a pass over prompts, where kernels are bound by arithmetic,
    `prefill_factor` stands for those of GEMMs and attention, `prefill_experts_factor` for that of
    the experts. `launch_factor` multiplies launch floors: a graph, and a kernel that starts while
    its predecessor ends, hide part of them.

    Overheads add to kernels: once a forward pass, once a decoded layer, and `decode_sequence_s` for
    every sequence of a step (scheduling, sampling, detokenisation). A pass over prompts lasts at
    least `prefill_layer_s` a layer, the host's time to issue it, but for passes of at most
    `graph_tokens`, for which a graph was captured; without CUDA graphs any pass lasts at least
    `host_launch_s` per kernel launch. `request_s` is what a request costs its host before and after
    its passes, `prompt_token_s` what each token of its prompt does (tokenisation; of cached tokens
    too, as a prefix is found by its tokens). A prompt of another pool takes `disaggregated_s` more
    (two schedulers, the transfer's set-up). `reserve_frac` of the memory is left to the runtime,
    the graphs and fragmentation. `popularity_variance` is how unequally tokens choose experts
    (their popularity has mean 1), where the engine does not even it out; 0 is uniform routing.
    """

    gemm_factor: Scalar
    attention_factor: Scalar
    experts_factor: Scalar
    network_factor: Scalar
    decode_step_s: Scalar
    decode_layer_s: Scalar
    prefill_step_s: Scalar
    prefill_layer_s: Scalar
    host_launch_s: Scalar
    decode_graph_frac: Scalar
    prefill_graph_frac: Scalar
    reserve_frac: Scalar
    request_s: Scalar
    graph_tokens: Scalar = 0.0
    prompt_token_s: Scalar = 0.0
    disaggregated_s: Scalar = 0.0
    launch_factor: Scalar = 1.0
    decode_sequence_s: Scalar = 0.0
    prefill_factor: Scalar = 1.0
    prefill_experts_factor: Scalar = 1.0
    popularity_variance: Scalar = 0.0


class Options(Record):
    """Choices that are neither hardware nor model, each a number so that it can be swept.

    `comm_overlap_frac` of every collective hides behind arithmetic. `keep_up_projected` is 1 where
    prefill keeps the up-projected keys and values of earlier chunks of a latent-attention model,
    0 where each chunk projects them again. `equal_time_chunks` is 1 where chunks are cut so that
    each takes equally long, 0 where they have equal tokens. `kv_compression` divides the bytes a
    cache occupies on the wire, and `kv_segment_s` is what each separately addressed block of it
    costs; a block holds `kv_block_tokens` of one layer. The states of recurrent layers are kept in
    a prefix cache once in `snapshot_tokens`.

    >>> jaxsim.Options(comm_overlap_frac=0.5).kv_block_tokens
    64.0
    """

    comm_overlap_frac: Scalar = 0.0
    keep_up_projected: Scalar = 0.0
    equal_time_chunks: Scalar = 0.0
    kv_compression: Scalar = 1.0
    kv_segment_s: Scalar = 0.0
    kv_block_tokens: Scalar = 64.0
    snapshot_tokens: Scalar = 1024.0


class Serving(Record):
    """How an engine schedules requests, as far as latencies under load show it.

    A prompt holds up decoding for what its tokens add to a pass over the decoded ones (of its whole
    passes, where an engine does not mix them): all of the arithmetic, and `stall_frac` of what is
    more: less than 1 where passes hide one another's memory traffic and messages. `variability` is
    (1 + c²)/2 of what a queued prompt waits for, `evenness` how evenly prompts arrive (1: at
    random; less: in clumps, as after a start of all at once), `round_jitter` how unevenly those of
    one round do in a closed loop of requests of one length (`queueing.round_wait_s`), `start_runs`
    how many requests follow one another in a place of a run that begins with all at once
    (`other_runs` by other clients than InferenceX). A prompt waits for `steps_waited` decode steps.
    `client_s` is what InferenceX's client and options of its servers add to the time to the first
    token: of its runs alone. The cache is used up to `slots_frac` of what fits, and for
    `most_sequences` requests of an attention rank.
    """

    stall_frac: Scalar = 1.0
    variability: Scalar = 0.5
    evenness: Scalar = 1.0
    round_jitter: Scalar = 1.0
    start_runs: Scalar = 1e09
    other_runs: Scalar = 1e09
    steps_waited: Scalar = 0.5
    client_s: Scalar = 0.0
    slots_frac: Scalar = 1.0
    most_sequences: Scalar = 1e09
