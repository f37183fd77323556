"""What does a point function of the usual structure look like, without any physics in it?

A stand-in with the shape of a decode model: kernels with waves and smooth maxima, collectives,
memory, flags; terms on many subsets of the axes, few of them on all. It measures the engine apart
from the model and keeps its structure when the model changes.
"""

import jax.numpy as jnp

from jaxsim._record import Record


class Chip(Record):
    flop_per_s: float = 2.5e15
    bytes_per_s: float = 7.0e12
    link_bytes_per_s: float = 8.0e11
    hbm_bytes: float = 1.8e11
    units: float = 148.0


class Model(Record):
    hidden: float = 7168.0
    layers: float = 61.0
    heads: float = 128.0
    latent: float = 576.0
    width: float = 2048.0
    experts: float = 256.0
    top_k: float = 8.0
    ffn: float = 18432.0


class Design(Record):
    tp: float = 8.0
    ep: float = 8.0
    pp: float = 1.0
    batch: float = 64.0
    chunk: float = 2048.0


class Workload(Record):
    isl: float = 16384.0
    osl: float = 2048.0


class Point(Record):
    model: Model = Model()
    chip: Chip = Chip()
    design: Design = Design()
    workload: Workload = Workload()


def _smooth_max(a, b):
    return 0.5 * (a + b + jnp.sqrt((a - b) ** 2 + 1e-4 * (a * a + b * b)))


def _gemm_s(rows, outputs, inputs, chip):
    """A launch, then arithmetic in waves of tiles against saturating bandwidth."""
    tiles = jnp.ceil(rows / 128.0) * jnp.ceil(outputs / 128.0)
    waves = tiles / chip.units
    waves = jnp.maximum(waves, 1.0) + 0.3 * (jnp.ceil(waves) - waves)
    arithmetic_s = waves * chip.units * 2.0 * 128.0 * 128.0 * inputs / (0.8 * chip.flop_per_s)
    moved = 0.56 * outputs * inputs + rows * (inputs + 2.0 * outputs)
    bandwidth = chip.bytes_per_s * moved / (moved + 2.0e6)
    return 4e-6 + _smooth_max(arithmetic_s, moved / bandwidth)


def _collective_s(data, ranks, chip):
    share = (ranks - 1.0) / jnp.maximum(ranks, 1.0)
    many = jnp.where(ranks > 1.5, 1.0, 0.0)
    inside = 5e-6 + 1e-6 * jnp.log2(jnp.maximum(ranks, 1.0)) + share * data / chip.link_bytes_per_s
    across = 2e-5 + share * data / (0.1 * chip.link_bytes_per_s)
    return many * jnp.where(ranks > 72.0, across, inside)


def step(point):
    """Outputs of one decode step of one design, about thirty numbers and flags."""
    m, chip, d, w = point.model, point.chip, point.design, point.workload
    wide = jnp.maximum(d.tp, d.ep)
    ranks = wide / d.tp
    seqs = d.batch / (ranks * d.pp)
    context = w.isl + 0.5 * w.osl
    heads = m.heads / d.tp

    gemms = 0.0
    parts = {}
    for name, outputs, inputs in (
        ("q_a", 1536.0, m.hidden),
        ("q_b", heads * 192.0, 1536.0),
        ("kv_a", m.latent, m.hidden),
        ("uk", heads * 512.0, 128.0),
        ("uv", heads * 128.0, 512.0),
        ("out", m.hidden, heads * 128.0),
        ("shared_up", 2.0 * m.width / d.tp, m.hidden),
        ("shared_down", m.hidden, m.width / d.tp),
        ("router", m.experts, m.hidden),
    ):
        parts[name] = _gemm_s(seqs, outputs, inputs, chip)
        gemms = gemms + parts[name]
    dense = _gemm_s(seqs, 2.0 * m.ffn / wide, m.hidden, chip)
    dense = dense + _gemm_s(seqs, m.hidden, m.ffn / wide, chip)

    cached = seqs * context * m.latent
    attention_flop = 2.0 * seqs * heads * context * (2.0 * m.latent)
    blocks = jnp.ceil(seqs) * jnp.ceil(context / 4096.0)
    fill = blocks / (blocks + 0.2 * chip.units)
    attention = 3e-6 + _smooth_max(
        attention_flop / (0.6 * chip.flop_per_s), cached / (0.9 * chip.bytes_per_s * fill)
    )

    copies = d.batch / d.pp * m.top_k / d.ep
    local = m.experts / d.ep
    touched = local * -jnp.expm1(copies / local * jnp.log1p(-1.0 / m.experts) * m.experts / local)
    touched = jnp.clip(touched, 1e-3, local)
    inner = m.width * d.ep / wide
    moe = _gemm_s(copies / touched, 2.0 * inner, m.hidden, chip) * touched / local
    moe = moe + _gemm_s(copies / touched, m.hidden, inner, chip) * touched / local
    expert_bytes = touched * 3.0 * m.hidden * inner * 0.56
    moe = _smooth_max(moe, expert_bytes / (0.85 * chip.bytes_per_s))

    reduce_s = _collective_s(2.0 * seqs * m.hidden, d.tp, chip)
    dispatch_s = _collective_s(copies * m.hidden, d.ep, chip)
    combine_s = _collective_s(2.0 * copies * m.hidden, d.ep, chip)
    hop_s = 5e-6 + 2.0 * seqs * m.hidden / (0.1 * chip.link_bytes_per_s)
    send_s = jnp.where(d.pp > 1.5, hop_s, 0.0)

    # A chunk of a prompt riding along: the one term that couples chunk and batch.
    rider = _gemm_s(d.chunk / ranks + seqs, 2.0 * m.width, m.hidden, chip)
    rider_attention = d.chunk * (w.isl + d.chunk) * heads * 4.0 * 192.0 / (0.6 * chip.flop_per_s)
    chunks = jnp.ceil(w.isl / d.chunk)

    layer_s = gemms + attention + moe + 2.0 * reduce_s + dispatch_s + combine_s
    stage_layers = jnp.ceil(m.layers / d.pp)
    stage_s = stage_layers * layer_s + 3.0 / d.pp * dense + send_s + 1e-4
    ttl_s = d.pp * stage_s
    mixed_s = ttl_s + stage_layers * d.pp * (rider + rider_attention)
    gpus = wide * d.pp
    rate = d.batch / ttl_s
    mixed_rate = d.batch * (w.osl + 1.0) / (chunks * mixed_s + w.osl * ttl_s)

    weights = m.layers * 0.56 * (3.0 * m.hidden * m.width * m.experts) / (wide * d.pp)
    weights = weights + m.layers * 0.56 * m.hidden * (m.heads * 200.0) / (d.tp * d.pp)
    kv = m.layers / d.pp * seqs * (w.isl + w.osl) * m.latent
    work_bytes = 4.0 * m.hidden * (seqs + d.chunk)
    used = weights + kv + work_bytes + 4e9
    fits = used <= chip.hbm_bytes
    shaped = (jnp.floor(heads) == heads) & (d.ep <= m.experts)
    return {
        **{f"{k}_s": v for k, v in parts.items()},
        "attention_s": attention,
        "moe_s": moe,
        "dense_s": dense,
        "reduce_s": reduce_s,
        "dispatch_s": dispatch_s,
        "combine_s": combine_s,
        "layer_s": layer_s,
        "ttl_s": ttl_s,
        "mixed_s": mixed_s,
        "gpus": gpus,
        "rate": rate,
        "tokens_per_s_per_gpu": rate / gpus,
        "mixed_per_gpu": mixed_rate / gpus,
        "users": 1.0 / ttl_s,
        "weights_bytes": weights,
        "kv_bytes": kv,
        "used_bytes": used,
        "over": used / chip.hbm_bytes,
        "fits": fits,
        "shaped": shaped,
        "valid": fits & shaped & (seqs >= 0.25),
    }


def axes(lengths):
    """Axes `isl osl tp ep pp chunk batch`, outer to inner, of the given lengths."""
    import numpy as np

    def ladder(first, last, count):
        return np.geomspace(first, last, count) if count > 1 else np.array([first])

    spans = dict(
        isl=(512, 131072),
        osl=(64, 32768),
        tp=(1, 64),
        ep=(1, 256),
        pp=(1, 16),
        chunk=(256, 16384),
        batch=(1, 4096),
    )
    where = dict(
        isl=lambda p: p.workload.isl,
        osl=lambda p: p.workload.osl,
        tp=lambda p: p.design.tp,
        ep=lambda p: p.design.ep,
        pp=lambda p: p.design.pp,
        chunk=lambda p: p.design.chunk,
        batch=lambda p: p.design.batch,
    )
    return [
        (name, where[name], ladder(*spans[name], count))
        for name, count in zip(spans, lengths, strict=True)
    ]
