"""What does the serving software add to the kernels?"""

import equinox as eqx

from jaxsim._scalar import Scalar


class Engine(eqx.Module):
    """One serving framework, as it differs from its kernels run back to back.

    Factors multiply measured kernel times; overheads add to them, once a forward pass and once a
    layer. Without CUDA graphs a pass lasts at least `host_launch_s` per kernel launch.
    `reserve_frac` of the memory is left to the runtime, the graphs and fragmentation.
    `launch_factor` multiplies the launch floors within kernel times: a graph, and a kernel that
    starts while its predecessor ends, hide part of them. `decode_sequence_s` is what every sequence
    of a step costs beside its kernels (scheduling, sampling, detokenisation), and `prefill_factor`
    multiplies all kernels of a pass over prompts.
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
    launch_factor: Scalar = 1.0
    decode_sequence_s: Scalar = 0.0
    prefill_factor: Scalar = 1.0


class Options(eqx.Module):
    """Choices that are neither hardware nor model, each a number so that it can be swept.

    `comm_overlap_frac` of every collective hides behind arithmetic. `keep_up_projected` is 1 where
    prefill keeps the up-projected keys and values of earlier chunks of a latent-attention model,
    0 where each chunk projects them again. `equal_time_chunks` is 1 where chunks are cut so that
    each takes equally long, 0 where they have equal tokens. `kv_compression` divides the bytes a
    cache occupies on the wire, and `kv_segment_s` is what each separately addressed block of it
    costs; a block holds `kv_block_tokens` of one layer.
    """

    comm_overlap_frac: Scalar = 0.0
    keep_up_projected: Scalar = 0.0
    equal_time_chunks: Scalar = 0.0
    kv_compression: Scalar = 1.0
    kv_segment_s: Scalar = 0.0
    kv_block_tokens: Scalar = 64.0
