"""Small set-ups of every kind of model, in round numbers, for any test of the physics."""

from dataclasses import fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import replace_leaf
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Engine, Options
from jaxsim.catalog.fits import Kernels, PeakShare
from jaxsim.catalog.hardware import Chip, Fabric, Hardware, PeakFlop
from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.model import GQA, MLA, DenseFFN, LayerGroup, Model, MoEFFN, SparseMLA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.workload import Workload
from jaxsim.space.program.interpret import interpreted

FULL = float("inf")
GROUPED = GQA(heads=32.0, kv_heads=8.0, head_dim=128.0, window_tokens=FULL, bias_params=256.0)
SLIDING = replace_leaf(lambda a: a.window_tokens, GROUPED, 1024.0)
LATENT = MLA(heads=32.0, q_rank=768.0, kv_rank=512.0, nope_dim=128.0, rope_dim=64.0, v_dim=128.0)
SPARSE = SparseMLA(LATENT, index_heads=16.0, index_dim=128.0, index_topk=2048.0)
DENSE = DenseFFN(intermediate=14336.0, matrices=3.0)
EXPERTS = MoEFFN(
    experts=64.0,
    topk=4.0,
    intermediate=2048.0,
    shared_intermediate=2048.0,
    matrices=3.0,
    bias_params=64.0,
)
UNSHARED = replace_leaf(lambda f: f.shared_intermediate, EXPERTS, 0.0)


def changed(where, record, change):
    """The record with what `where` selects changed."""
    return replace_leaf(where, record, jax.tree.map(change, where(record)))


def _model(*groups) -> Model:
    layers = tuple(LayerGroup(attention, ffn, layers) for attention, ffn, layers in groups)
    return Model(hidden=4096.0, vocab=128256.0, tied=0.0, groups=layers)


MODELS = {
    "gqa_dense": _model((GROUPED, DENSE, 32.0)),
    "gqa_moe": _model((GROUPED, UNSHARED, 24.0)),
    "mla_moe": _model((LATENT, DENSE, 2.0), (LATENT, EXPERTS, 22.0)),
    "sparse_moe": _model((SPARSE, DENSE, 2.0), (SPARSE, EXPERTS, 22.0)),
    "sliding": _model((SLIDING, DENSE, 16.0), (GROUPED, DENSE, 16.0)),
}

ELEMENT = ElementBytes(
    attention_out=1.75,
    attention_out_input=1.375,
    attention=1.0,
    ffn=0.5625,
    experts=0.5,
    head=2.0,
    kv=1.25,
    dispatch=0.75,
    attention_input=1.125,
    ffn_input=0.625,
    experts_input=0.875,
    wide=2.0,
)

HARDWARE = Hardware(
    chip=Chip(
        peak=PeakFlop(fp4_flop_per_s=8e15, fp8_flop_per_s=4e15, bf16_flop_per_s=2e15),
        multiprocessors=148.0,
        hbm_bytes=1.8e11,
        hbm_bytes_per_s=8e12,
    ),
    scaleup=Fabric(bytes_per_s=9e11, latency_s=1e-6),
    scaleout=Fabric(bytes_per_s=5e10, latency_s=5e-6),
    domain_gpus=72.0,
    price_usd_per_hour=3.0,
    power_w=1500.0,
)


ROUND = {
    "multiprocessors": 148.0,
    "tile_rows": 128.0,
    "tile_outputs": 128.0,
    "tile_queries": 128.0,
    "tile_keys": 128.0,
    "split_inputs": 8192.0,
    "split_keys": 512.0,
    "split_power": 0.5,
    "share_power": 0.5,
    "edge_keys": 64.0,
    "window_keys": 64.0,
    "softmax_dims": 30.0,
    "walk_s": 1e-9,
    "expert_s": 2e-8,
    "choice_s": 1e-8,
    "pick_s": 1e-10,
    "row_walk_s": 1e-11,
    "tile_low": 8.0,
    "token_bytes": 4.0,
    "copy_bytes": 4.0,
    "query_bytes": 4.0,
    "widen_passes": 0.5,
    "hops": 1.0,
    "ring_hops": 0.1,
    "narrow_s": 1e-5,
    "across_hops": 2.0,
}
BY_UNIT = {"_s": 1e-6, "_bytes": 1e7, "_frac": 0.7, "_power": 4.0}


def _round(name: str) -> float:
    """A round number for a constant, by its name or, failing that, by its unit."""
    if name in ROUND:
        return ROUND[name]
    return next((value for unit, value in BY_UNIT.items() if name.endswith(unit)), 1.0)


def _fit(role: str, kind: Any, launch_s: float) -> Any:
    """A fit in round numbers, with a launch floor of its own, so that a test sees who used it."""
    arithmetic = {"ffn_gemm": "fp4", "experts": "fp4", "attention_gemm": "fp8", "context": "fp8"}
    peak = PeakShare(
        *(1.0 if arithmetic.get(role, "bf16") == own else 0.0 for own in ("fp4", "fp8", "bf16"))
    )
    given = {"peak": peak, "launch_s": launch_s}
    return kind(**{f.name: given.get(f.name, _round(f.name)) for f in fields(kind)})


KERNELS = Kernels(
    **{
        role.name: _fit(role.name, role.type, 3e-6 + 1e-7 * i)
        for i, role in enumerate(fields(Kernels))
    }
)

PLAIN_ENGINE = load_engine("ideal").engine
REAL_ENGINE = replace(
    PLAIN_ENGINE,
    gemm_factor=1.1,
    attention_factor=1.2,
    experts_factor=1.3,
    network_factor=1.4,
    decode_step_s=5e-4,
    decode_layer_s=5e-6,
    prefill_step_s=2e-3,
    prefill_layer_s=2e-5,
    host_launch_s=6e-6,
    decode_graph_frac=0.9,
    prefill_graph_frac=0.3,
    reserve_frac=0.12,
    decode_sequence_s=2e-6,
    prefill_factor=1.15,
    prefill_experts_factor=0.7,
    popularity_variance=0.8,
)


def scenario(
    model: str = "gqa_dense",
    *,
    tp: float = 8.0,
    ep: float = 1.0,
    pp: float = 1.0,
    batch: float = 32.0,
    chunk: float = 2048.0,
    isl: float = 8192.0,
    osl: float = 1024.0,
    engine: Engine = PLAIN_ENGINE,
    options: Options | None = None,
    **workload: float,
) -> Scenario:
    """A design of one of `MODELS`, on plain hardware."""
    return Scenario(
        model=MODELS[model],
        element=ELEMENT,
        hardware=HARDWARE,
        kernels=KERNELS,
        engine=engine,
        options=options or Options(),
        workload=Workload(isl=isl, osl=osl, **workload),
        design=Deployment(tp=tp, ep=ep, pp=pp, batch=batch, chunk=chunk),
    )


def random_scenarios(
    model: str, count: int, seed: int, *, whole_chunks: bool = True, packed: bool = False
) -> list:
    """Designs of a model, drawn from all axes, workloads, options and engines.

    With `whole_chunks`, chunks divide the part of a prompt that is not in the prefix cache; with
    `packed`, they hold 1 to 5 of them and a rest.
    """
    rng = np.random.default_rng(seed)
    dense = "dense" in model or model == "sliding"
    drawn = []
    for _ in range(count):
        chunk = 2.0 ** rng.integers(7, 12)
        pieces = rng.integers(1, 17)
        hits = rng.integers(0, 4)  # of chunk tokens, found in the prefix cache
        isl = chunk * (pieces + hits)
        if not whole_chunks:
            chunk = float(rng.integers(100, 3000))
        if packed:
            chunk *= pieces * float(rng.choice([1.0, 1.25, 2.0, 3.5, 5.0]))
        design = scenario(
            model,
            tp=2.0 ** rng.integers(0, 6),
            ep=1.0 if dense else 2.0 ** rng.integers(0, 6),
            pp=float(rng.choice([1, 2, 3, 4, 8])),
            batch=float(rng.integers(1, 300)),
            chunk=chunk,
            isl=isl,
            osl=float(rng.integers(2, 4096)),
            engine=REAL_ENGINE if rng.random() < 0.5 else PLAIN_ENGINE,
            options=Options(
                comm_overlap_frac=rng.random() * 0.9,
                keep_up_projected=float(rng.integers(0, 2)),
                equal_time_chunks=0.0,
                kv_compression=1.0 + rng.random(),
                kv_segment_s=rng.random() * 1e-5,
                kv_block_tokens=64.0,
            ),
            hit_frac=float(hits / (pieces + hits)),
            draft_tokens=float(rng.integers(0, 4)),
            accept_frac=rng.random() * 0.95,
            imbalance=1.0 + rng.random(),
        )
        drawn.append(design)
    return drawn


def stacked(scenarios: list):
    """One record whose leaves hold all of them."""
    return jax.tree.map(lambda *leaves: jnp.asarray(leaves, dtype=float), *scenarios)


def outputs_of(fn, scenarios):
    """What `fn` gives for each of stacked scenarios, in NumPy and one row a scenario.

    A function is traced once for a kind of model, then interpreted in milliseconds; called under
    `vmap`, it would start a program for every operation, each time.
    """
    scenarios = jax.tree.map(np.asarray, scenarios)
    rows = len(jax.tree.leaves(scenarios)[0])
    first = jax.tree.map(lambda leaf: leaf[0], scenarios)
    result, _ = interpreted(fn, first, [("scenario", _whole, scenarios)])
    return jax.tree.map(lambda x: np.broadcast_to(x, (rows,)), result)


def _whole(scenario):
    return scenario
