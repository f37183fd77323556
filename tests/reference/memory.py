"""Memory of one GPU and the transfer of a prompt's cache, layer by layer."""

from types import SimpleNamespace

from tests.reference import layers as work


def attention_output(s, attention) -> float:
    """Elements of the projection out of one layer's attention, on one GPU."""
    m = attention.latent if attention.kind == "SparseMLA" else attention
    width = m.head_dim if m.kind == "GQA" else m.v_dim
    return m.heads / s.design.tp * width * s.model.hidden


def attention_weights(s, attention) -> float:
    """Elements of one layer's attention weights on one GPU, norms and the output aside."""
    tp, hidden = s.design.tp, s.model.hidden
    if attention.kind == "GQA":
        query = attention.heads / tp * attention.head_dim * hidden
        key = work.held_kv_heads(attention, tp) * attention.head_dim * hidden
        return query + key + key
    m = attention.latent if attention.kind == "SparseMLA" else attention
    heads = m.heads / tp
    result = hidden * m.q_rank + m.q_rank * heads * (m.nope_dim + m.rope_dim)
    result += hidden * (m.kv_rank + m.rope_dim) + m.kv_rank * heads * (m.nope_dim + m.v_dim)
    if attention.kind == "SparseMLA":
        result += m.q_rank * attention.index_heads * attention.index_dim
        result += hidden * attention.index_dim + hidden * attention.index_heads
    return result


def ffn_weights_bytes(s, ffn) -> float:
    tp, hidden, e = s.design.tp, s.model.hidden, s.element
    if ffn.kind == "DenseFFN":
        return ffn.matrices * hidden * ffn.intermediate / tp * e.ffn
    here = ffn.experts / s.design.ep  # experts of this rank, each split over the rest of the stage
    one = ffn.matrices * hidden * ffn.intermediate * s.design.ep / work.width(s)
    shared = ffn.matrices * hidden * ffn.shared_intermediate / tp
    return here * one * e.experts + shared * e.ffn + ffn.experts * hidden * e.wide


def layer_weights_bytes(s, layer) -> float:
    a = layer.attention
    extra = a.bias_params * s.element.wide if a.kind == "GQA" else 0.0
    result = attention_weights(s, a) * s.element.attention
    result += attention_output(s, a) * s.element.attention_out
    return result + extra + ffn_weights_bytes(s, layer.ffn)


def layer_cache_bytes(s, attention, tokens, tp) -> float:
    """One sequence's cache of one layer on one of `tp` GPUs; tp = 1 for all of it."""
    e = s.element
    if attention.kind == "GQA":
        kept = min(tokens, attention.window_tokens)
        return 2 * work.held_kv_heads(attention, tp) * attention.head_dim * kept * e.kv
    m = attention.latent if attention.kind == "SparseMLA" else attention
    width = m.kv_rank + m.rope_dim
    if attention.kind == "SparseMLA":
        width += attention.index_dim
    return width * tokens * e.kv


def tables_bytes(s) -> float:
    """Embedding and head on the GPU that has more of them: both where there is one stage."""
    one = s.model.vocab * s.model.hidden / s.design.tp
    head, embedding = one * s.element.head, one * s.element.wide
    if s.model.tied:
        return head
    return max(head, embedding) if s.design.pp > 1 else head + embedding


def weights_bytes(s, busiest_layers: int) -> float:
    """Weights of a stage of that many layers, of average kind, and of the one that drafts."""
    every = work.every_layer(s)
    one = sum(layer_weights_bytes(s, layer) for layer in every) / len(every)
    result = one * busiest_layers + tables_bytes(s)
    if s.workload.draft_tokens:
        # It takes the last layer's output and the next token's embedding, side by side.
        result += one + 2 * s.model.hidden * s.model.hidden / s.design.tp * s.element.wide
    return result


def cache_bytes(s, sequences, context, busiest_layers: int) -> float:
    every = work.every_layer(s)
    total = sum(layer_cache_bytes(s, g.attention, context, s.design.tp) for g in every)
    drafting = 1 if s.workload.draft_tokens else 0
    return sequences * total / len(every) * (busiest_layers + drafting)


def transfer(s, prompts, requests_per_s, compute_s) -> SimpleNamespace:
    """One rank's prompts leave over the GPUs that hold distinct cache."""
    every, o = work.every_layer(s), s.options
    prompt = sum(layer_cache_bytes(s, g.attention, s.workload.isl, 1.0) for g in every)
    if s.workload.draft_tokens:
        prompt += prompt / len(every)
    first = every[0].attention
    shards = min(first.kv_heads, s.design.tp) if first.kind == "GQA" else 1
    holders = shards * s.design.pp
    wire = prompts * prompt / o.kv_compression / holders
    blocks = prompts * s.workload.isl / o.kv_block_tokens * len(every) / s.design.pp
    seconds = wire / s.hardware.scaleout.bytes_per_s + blocks * o.kv_segment_s
    late = max(seconds - compute_s, 0.0)
    instance_holders = holders * work.data_parallel(s)
    return SimpleNamespace(
        kv_prompt_bytes=prompt,
        kv_transfer_s=seconds,
        kv_exposed_s=s.hardware.scaleout.latency_s + seconds / len(every) + late,
        egress=requests_per_s * prompt / o.kv_compression / instance_holders,
    )
