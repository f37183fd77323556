"""What kinds of attention beside plain grouped and latent ones do, counted token by token.

Plain numbers in, plain numbers out; `a` is a kind's record. Written from the models' papers and
configs, not from the package: each returns flop and bytes of what looks back, at one rank.
"""

import math

KEPT_BYTES, STATE_BYTES = 2.0, 4.0


def seen(queries: int, past: float, limit: float) -> float:
    """(query, key) pairs, counted query by query."""
    return math.fsum(min(past + i, limit) for i in range(1, queries + 1))


def grouped_decode(a, batch, context, kv):
    """Keys of one width, values of another, within a window."""
    tokens = min(context, a.window_tokens)
    flop = 2 * a.heads * tokens * (a.qk_dim + a.v_dim)
    return batch * flop, batch * a.kv_heads * tokens * (a.qk_dim + a.v_dim) * kv


def grouped_context(a, queries, past):
    return 2 * a.heads * seen(queries, past, a.window_tokens) * (a.qk_dim + a.v_dim)


def blocks_decode(a, batch, context, kv):
    """Scores against one key a token, then attention over the selected blocks."""
    g = a.grouped
    index = 2 * a.index_heads * a.index_dim * context
    tokens = min(context, a.block_tokens * a.topk_blocks)
    main = 4 * g.heads * g.head_dim * tokens
    read = 2 * g.kv_heads * g.head_dim * tokens * kv + a.index_dim * context * 2.0  # in 16 bits
    return batch * (index + main), batch * read


def blocks_context(a, queries, past):
    g = a.grouped
    index = 2 * a.index_heads * a.index_dim * seen(queries, past, math.inf)
    return index + 4 * g.heads * g.head_dim * seen(queries, past, a.block_tokens * a.topk_blocks)


def compressed_decode(a, batch, context, kv):
    """Of the entries, one for `ratio` tokens, the selected; and the window."""
    entries = 0.0 if math.isinf(a.ratio) else context / a.ratio
    kept = min(entries, a.index_topk) + min(context, a.window_tokens)
    flop = 2 * a.heads * kept * 2 * a.head_dim + 2 * a.index_heads * a.index_dim * entries
    read = kept * a.head_dim * kv + (entries * a.index_dim if a.index_heads else 0.0)  # in 8 bits
    return batch * flop, batch * read


def compressed_context(a, queries, past):
    total = 0.0
    for i in range(1, queries + 1):
        entries = 0.0 if math.isinf(a.ratio) else (past + i) / a.ratio
        kept = min(entries, a.index_topk) + min(past + i, a.window_tokens)
        total += 4 * a.heads * a.head_dim * kept + 2 * a.index_heads * a.index_dim * entries
    return total


def selected_decode(a, batch, context, kv):
    """Absorbed attention over the latents that another layer selected, and maybe cached."""
    a = getattr(a, "own", a)
    m = a.latent
    tokens = min(context, a.index_topk)
    flop = 2 * m.heads * tokens * (2 * m.kv_rank + m.rope_dim)
    return batch * flop, batch * tokens * (m.kv_rank + m.rope_dim) * kv


def step(a, flop_per_state, batch, queries):
    """A state is decayed, written and read once for each token."""
    state = a.heads * a.key_dim * a.value_dim
    flop, moved = 0.0, batch * state * STATE_BYTES  # read
    for _ in range(queries):
        flop += batch * state * flop_per_state
        moved += batch * state * STATE_BYTES  # written
    return flop, moved


def scan(a, flop_per_state, chunk, products, tokens):
    """Chunks one after another: products within, and the state between them."""
    flop = 0.0
    for _ in range(tokens // chunk):
        within = chunk * chunk * 2 * products * (a.key_dim + a.value_dim)
        between = chunk * a.key_dim * a.value_dim * flop_per_state
        flop += a.heads * (within + between)
    return flop


def channels(kind, a) -> float:
    """What passes the convolution: queries, keys and values."""
    values = a.heads * a.value_dim
    if kind == "KimiDelta":
        return 2 * a.heads * a.key_dim + values
    return 2 * a.key_heads * a.key_dim + values


def held_bytes(kind, a) -> float:
    """State and kept tokens of one sequence, whatever its length."""
    state = a.heads * a.key_dim * a.value_dim * STATE_BYTES
    return state + channels(kind, a) * (a.conv_width - 1) * KEPT_BYTES
