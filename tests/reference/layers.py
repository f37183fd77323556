"""The work of one layer on one GPU, kernel by kernel, written out for each kind of model.

`s` is a scenario made of plain numbers; `rows` are tokens of one attention rank.
"""

import math
from dataclasses import replace
from functools import lru_cache

from tests.reference.plain import Kernel, Message, gemm


def width(s) -> float:
    return max(s.design.tp, s.design.ep)


def data_parallel(s) -> float:
    return width(s) / s.design.tp


def _is_latent(attention) -> bool:
    return attention.kind in ("MLA", "SparseMLA")


def _latent(attention):
    return attention.latent if attention.kind == "SparseMLA" else attention


def held_kv_heads(attention, tp: float) -> float:
    """Key/value heads on one GPU: one at least, so a wide group holds copies."""
    return attention.kv_heads / tp if attention.kv_heads > tp else 1.0


@lru_cache(maxsize=200_000)
def attended(queries: float, past: float, limit: float) -> float:
    """(query, key) pairs, counted query by query; needs whole numbers of queries."""
    assert queries == int(queries)
    if past >= limit:
        return queries * limit
    return math.fsum(min(past + i, limit) for i in range(1, int(queries) + 1))


def projections(s, layer, rows) -> list[Kernel]:
    """What every token passes through, whatever it looks back on."""
    tp, hidden, e, a = s.design.tp, s.model.hidden, s.element, layer.attention
    stored = (e.attention, e.attention_input)

    def one(inputs, outputs):
        return gemm("projections", "attention_gemm", rows, inputs, outputs, *stored)

    def out(inputs):
        stored = (e.attention_out, e.attention_out_input)
        return gemm("projections", "attention_out_gemm", rows, inputs, hidden, *stored)

    if not _is_latent(a):
        heads, kv_heads = a.heads / tp, held_kv_heads(a, tp)
        query, key, value = heads * a.head_dim, kv_heads * a.head_dim, kv_heads * a.head_dim
        return [one(hidden, query + key + value), out(heads * a.head_dim)]
    m = _latent(a)
    heads = m.heads / tp
    result = [
        one(hidden, m.q_rank + m.kv_rank + m.rope_dim),
        one(m.q_rank, heads * (m.nope_dim + m.rope_dim)),
        out(heads * m.v_dim),
    ]
    if a.kind == "SparseMLA":
        result += [
            one(m.q_rank, a.index_heads * a.index_dim),
            one(hidden, a.index_dim + a.index_heads),
        ]
    return result


def _absorb(s, m, rows) -> list[Kernel]:
    """Queries into the latent space, and results out of it: unquantised, per head."""
    heads, wide = m.heads / s.design.tp, s.element.wide

    def all_heads(inputs, outputs):
        one = gemm("projections", "absorb_gemm", rows, inputs, outputs, wide, wide)
        return replace(one, flop=heads * one.flop, hbm_bytes=heads * one.hbm_bytes)

    return [all_heads(m.nope_dim, m.kv_rank), all_heads(m.kv_rank, m.v_dim)]


def decode_attention(s, layer, sequences, queries, context) -> list[Kernel]:
    """Attention of `queries` new tokens of each sequence over its cache."""
    tp, e, a = s.design.tp, s.element, layer.attention
    if not _is_latent(a):
        seen = min(context, a.window_tokens)
        scores_and_values = 2 * (2 * a.heads / tp * queries * seen * a.head_dim)
        read = 2 * held_kv_heads(a, tp) * a.head_dim * seen * e.kv
        return [Kernel("attention", "decode", sequences * scores_and_values, sequences * read)]
    m = _latent(a)
    if a.kind == "SparseMLA":
        pairs = queries * context, queries * min(context, a.index_topk)
        own = _selected(s, a, sequences, queries, context, pairs, min(context, a.index_topk))
        return [replace(own, role="dsa_decode"), *_absorb(s, m, sequences * queries)]
    stored = m.kv_rank + m.rope_dim
    flop = m.heads / tp * queries * context * (2 * stored + 2 * m.kv_rank)
    own = Kernel(
        "attention", "decode_latent", sequences * flop, sequences * stored * context * e.kv
    )
    return [own, *_absorb(s, m, sequences * queries)]


def _selected(s, a, sequences, queries, whole, pairs, keys) -> Kernel:
    """An indexer that scores `pairs[0]`, in 8 bits, and attention to `pairs[1]` of them."""
    m, e, heads = a.latent, s.element, a.latent.heads / s.design.tp
    stored = m.kv_rank + m.rope_dim
    flop = 2 * a.index_heads * a.index_dim * pairs[0] + 2 * heads * (stored + m.kv_rank) * pairs[1]
    read = a.index_dim * whole + stored * keys * e.kv
    moved = queries * heads * (stored + m.kv_rank) * e.wide
    return Kernel("attention", "", sequences * flop, sequences * (read + moved))


def context_attention(s, layer, prompts, tokens, past) -> list[Kernel]:
    """Attention of a chunk of each prompt over what came before and itself."""
    tp, e, a = s.design.tp, s.element, layer.attention
    if not _is_latent(a):
        heads, kv_heads = a.heads / tp, held_kv_heads(a, tp)
        flop = 4 * heads * a.head_dim * attended(tokens, past, a.window_tokens)
        cached = 2 * min(past, a.window_tokens) * kv_heads * a.head_dim * e.kv
        fresh = 2 * tokens * (heads + kv_heads) * a.head_dim * e.wide
        return [Kernel("attention", "context", prompts * flop, prompts * (cached + fresh))]
    m = _latent(a)
    heads = m.heads / tp
    if a.kind == "MLA":
        again = 0.0 if s.options.keep_up_projected else past
        up = gemm(
            "projections",
            "attention_gemm",
            prompts * (tokens + again),
            m.kv_rank,
            heads * (m.nope_dim + m.v_dim),
            e.attention,
            e.attention_input,
        )
        dims = m.nope_dim + m.rope_dim + m.v_dim
        flop = 2 * heads * dims * attended(tokens, past, math.inf)
        moved = (past + 2 * tokens) * heads * dims * e.wide
        return [up, Kernel("attention", "context_latent", prompts * flop, prompts * moved)]
    chosen = attended(tokens, past, a.index_topk)
    pairs, keys = (attended(tokens, past, math.inf), chosen), min(past + tokens, chosen)
    own = _selected(s, a, prompts, tokens, past + tokens, pairs, keys)
    return [replace(own, role="dsa_context"), *_absorb(s, m, prompts * tokens)]


def expected_experts(experts: float, topk: float, tokens: float, variance: float = 0.0) -> float:
    """Distinct experts touched: each is missed by all tokens with (1 - topk/experts)^tokens.

    With popularity of some `variance`, the mean over a gamma distribution of it.
    """
    if variance == 0:
        return sum(1 - (1 - topk / experts) ** tokens for _ in range(int(experts)))
    odds = (1 - topk / experts) ** -variance
    return experts - experts * math.exp(-math.log(1 - tokens + tokens * odds) / variance)


def expected_ranks(ranks: float, topk: float) -> float:
    """Distinct ranks that hold one of a token's experts."""
    return sum(1 - (1 - 1 / ranks) ** topk for _ in range(int(ranks)))


def _feed_forward(part_of, intermediate, matrices, s, rows) -> list[Kernel]:
    e, hidden = s.element, s.model.hidden
    inner = intermediate / s.design.tp
    up = gemm(part_of, "ffn_gemm", rows, hidden, (matrices - 1) * inner, e.ffn, e.ffn_input)
    between = Kernel("elementwise", "stream", 0.0, matrices * rows * inner * e.wide, 1.0)
    return [up, between, gemm(part_of, "ffn_gemm", rows, inner, hidden, e.ffn, e.ffn_input)]


def deviations_of_the_busiest(ranks: float) -> float:
    """The median of the largest of so many normal loads, by Winitzki's inverse error function.

    `tests/point/test_ffn.py` holds it against the exact inverse and against drawn tokens.
    """
    inside = 2 * 0.5 ** (1 / ranks) - 1
    if inside <= 0:
        return 0.0
    a = 8 / 3 / math.pi * (math.pi - 3) / (4 - math.pi)
    half = 2 / math.pi / a + math.log(1 - inside**2) / 2
    return math.sqrt(2 * (math.sqrt(half**2 - math.log(1 - inside**2) / a) - half))


def busiest_rank(f, tokens: float, ranks: float, popularity: float) -> tuple[float, float]:
    """Token copies and distinct experts of the busiest rank."""
    z, held = deviations_of_the_busiest(ranks), f.experts / ranks
    # A token's experts on one rank: drawn without replacement.
    mean = f.topk / ranks
    variance = mean * (1 - 1 / ranks) * (f.experts - f.topk) / max(f.experts - 1, 1)
    # The ranks differ in the mean popularity of their experts, too.
    variance = tokens * variance + (tokens * mean) ** 2 * (popularity / held) * (1 - 1 / ranks)
    copies = tokens * mean + z * math.sqrt(variance)
    touched = expected_experts(f.experts, f.topk, tokens, popularity) / f.experts
    spread = math.sqrt(max(held * touched * (1 - touched) * (1 - 1 / ranks), 0))
    return min(copies, tokens * min(f.topk, held)), min(held * touched + z * spread, held)


def feed_forward(s, layer, rows, everyone) -> list[Kernel | Message]:
    """The network of one layer, its messages, and the sum over attention ranks before it.

    `everyone` are the tokens of all attention ranks.
    """
    e, hidden, f = s.element, s.model.hidden, layer.ffn
    tp, ep, dp = s.design.tp, s.design.ep, data_parallel(s)
    residual = rows * hidden * e.wide
    if f.kind == "DenseFFN":
        return [
            Message("all_reduce", residual, tp),
            *_feed_forward("ffn", f.intermediate, f.matrices, s, rows),
            Message("all_reduce", residual, tp),
        ]
    result = [gemm("experts", "router_gemm", rows, hidden, f.experts, e.wide, e.wide)]
    if f.shared_intermediate > 0:
        result += _feed_forward("ffn", f.shared_intermediate, f.matrices, s, rows)
    copies, touched = busiest_rank(f, everyone, ep, s.engine.popularity_variance)
    copies *= s.workload.imbalance
    inner = f.intermediate * ep / width(s)
    weights = touched * f.matrices * hidden * inner * e.experts
    first = copies * (hidden + (f.matrices - 1) * inner)
    second = copies * (inner + hidden)
    result.append(
        Kernel(
            "experts",
            "experts",
            2 * copies * hidden * inner * f.matrices,
            weights + (first + second) * e.experts_input,
        )
    )
    if dp == 1:
        return [
            *result,
            Message("all_reduce", residual, tp),
            Message("all_reduce", residual, width(s)),
        ]
    travels = rows / tp * expected_ranks(ep, f.topk) * hidden * s.workload.imbalance
    result += [
        Message("reduce_scatter", residual, tp),
        Message("all_to_all", travels * e.dispatch, ep),
        Message("all_to_all", travels * e.wide, ep),
    ]
    if tp > 1:
        result.append(Message("all_gather", residual, tp))
    return result


def norms(s, rows) -> Kernel:
    """Two norms with their residual additions: eight passes, two launches."""
    return Kernel("elementwise", "stream", 0.0, 8 * rows * s.model.hidden * s.element.wide, 2.0)


def ends(s, rows, head_rows) -> list[Kernel]:
    """Embedding, output head and sampling."""
    e, hidden = s.element, s.model.hidden
    part = s.model.vocab / s.design.tp
    return [
        Kernel("elementwise", "stream", 0.0, 2 * rows * hidden * e.wide),
        gemm("head", "head_gemm", head_rows, hidden, part, e.head, e.wide),
        Kernel("head", "stream", 0.0, 2 * 4 * head_rows * part, 2.0),
    ]


def hops(s, rows) -> list[Message]:
    """From each stage to the next."""
    message = Message(
        "send_recv", rows * s.model.hidden * s.element.wide / s.design.tp, width(s) * s.design.pp
    )
    return [message] * (int(s.design.pp) - 1)


def every_layer(s) -> list:
    """All layers, one by one."""
    return [group for group in s.model.groups for _ in range(int(group.layers))]
