"""What do the calibrated steps of a deployment say of any batch, context and chunk?

The steps are those of `traffic/steps.py`, timed at a ladder of contexts and of chunks, with the
engine's part from `traffic/serving.py`; between the knots they are linear. Nothing is fitted here.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from jaxsim._record import replace_leaf
from jaxsim._scalar import as_scalar
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Engine
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.point.phases.decode import tokens_per_step
from jaxsim.point.ranks import Ranks, ranks_of
from jaxsim.space.program.interpret import at_many
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.serving import decode_step_s, prompt_s
from jaxsim.traffic.simulate.records import Law, of_numpy
from jaxsim.traffic.steps import MOST_SLOTS, Steps, stack, timed

# LLVM does not optimise what runs for a moment.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
ROWS = 16
PIECES = 8
BLOCK_TOKENS = 16.0
MOST_SEQUENCES = 1024  # of an instance, where neither engine nor memory limits them to fewer


# Fields of `Law` by name, without their leading axis.
Tables = dict[str, np.ndarray]


@dataclass(frozen=True)
class RoleLaw:
    """A law of one role: the fields of `Law` without their leading axis, and beside them the rest.

    `gpus` are of one instance, `fixed_s` and `token_s` what a request takes before its first token
    outside the instance (its front end, tokenisation).
    """

    law: Tables
    gpus: float
    fixed_s: float
    token_s: float
    scenario: Scenario
    ranks: Ranks


def role_law(
    setup: Setup,
    workload: Workload,
    layout: Layout,
    longest: float,
    *,
    chunk: float,
    most: int | None = None,
    reserves: bool = False,
    mixes: bool = True,
    pooled: bool = False,
) -> RoleLaw:
    """Step times and limits of an instance of one layout.

    `longest` is the longest context in tokens, `most` the engine's limit of sequences. `workload`
    has the mean lengths, from which memory is computed, and the prefix hits and drafts.
    """
    ideal = dataclasses.replace(
        load_engine("ideal").engine, popularity_variance=setup.engine.engine.popularity_variance
    )
    base = dataclasses.replace(setup.scenario(workload), engine=ideal)
    design = Deployment(layout.tp, layout.ep, layout.pp, 1.0, chunk)
    base = dataclasses.replace(base, design=design)
    contexts = np.geomspace(max(64.0, longest / 256.0), longest, PIECES)
    tokens = np.geomspace(min(64.0, chunk / 4.0), chunk, ROWS // 2)
    past = max(longest - chunk, chunk)
    decode = [_at_context(base, c) for c in (*contexts, *([0.0] * (ROWS - PIECES)))]
    prefill = [at_chunk(base, t, 0.0) for t in tokens] + [at_chunk(base, t, past) for t in tokens]
    limit = np.full(ROWS, float(min(most or MOST_SLOTS, MOST_SLOTS)), np.float32)
    rows: Steps = jax.tree.map(np.asarray, timed(stack(decode), stack(prefill), limit))
    one = jax.tree.map(lambda leaf: leaf[-1], rows)  # at the mean lengths
    if float(one.weights_over_bytes) >= 0.0:
        raise InputError(
            f"{setup.model.name} does not fit: weights and reserve of an instance of "
            f"{layout.gpus / layout.workers:g} GPUs exceed the memory by "
            f"{float(one.weights_over_bytes) / 1e9:,.1f} GB a GPU. Use more GPUs an instance."
        )
    engine, serving = setup.engine.engine, setup.engine.serving
    ranks = float(one.ranks)
    mean = float(workload.isl) + 0.5 * float(workload.osl)
    room = float(one.slots) * float(serving.slots_frac) * mean
    places = min(float(serving.most_sequences) * ranks, float(MOST_SEQUENCES) * ranks)
    places = min(places, float(most) if most else np.inf, max(np.floor(room / 64.0), 1.0))
    drafts = [np.asarray(x, np.float32) for x in (workload.draft_tokens, workload.accept_frac)]
    gain = float(at_many(lambda given: tokens_per_step(*given), [as_scalar(x) for x in drafts]))
    step_s, alone_s, busy_s = map(np.asarray, _engine_s(rows, engine))
    steps = np.asarray(rows.batch, float)[:PIECES], np.asarray(step_s, float)[:PIECES]
    knots, decode_s, slope = _decode_table(*steps, contexts, int(places), gain)
    joint_s = busy_s * rows.prompts_per_pass / rows.prompt_stretch
    passes_s = np.asarray(alone_s if ranks <= 1.0 else joint_s, float)
    pass_tokens, pass_s, pass_slope = _pass_table(passes_s, tokens, past)
    scalars = {
        "stretch": float(one.prompt_stretch),
        "mixes": float(mixes),
        "gain": gain,
        "budget": chunk * ranks,
        "chunk": chunk,
        "ranks": ranks,
        "sequences": float(int(places)),
        "blocks": np.floor(room / BLOCK_TOKENS),
        "block_tokens": BLOCK_TOKENS,
        "reserves": float(reserves),
    }
    law = {
        "knots": knots, "decode_s": decode_s, "decode_slope": slope, "pass_tokens": pass_tokens,
        "pass_s": pass_s, "pass_slope": pass_slope,
        **{name: np.asarray(value, np.float64) for name, value in scalars.items()},
    }  # fmt: skip
    fixed = float(engine.request_s) + (float(engine.disaggregated_s) if pooled else 0.0)
    return RoleLaw(
        law,
        layout.gpus / layout.workers,
        fixed,
        float(engine.prompt_token_s),
        base,
        jax.tree.map(float, at_many(ranks_of, jax.tree.map(np.float32, design))),
    )


def _at_context(base: Scenario, context: float) -> Scenario:
    """The same at a mean context; at its own where that is 0."""
    if context == 0.0:
        return base
    lengths = (float(context) - 0.5, 1.0)
    return replace_leaf(lambda s: (s.workload.isl, s.workload.osl), base, lengths)


def at_chunk(base: Scenario, tokens: float, past: float) -> Scenario:
    """A pass over one chunk of tokens after `past` others, with its share of a prompt's images."""
    isl, own = float(tokens + past), base.workload
    computed = float(own.isl) * (1.0 - float(own.hit_frac))
    return replace_leaf(
        lambda s: (s.workload.isl, s.workload.hit_frac, s.workload.images, s.design.chunk),
        base,
        (isl, float(past) / isl, float(own.images) * float(tokens) / computed, float(tokens)),
    )


@partial(jax.jit, compiler_options=QUICKLY)
def _engine_s(rows: Steps, engine: Engine):
    """By row: decode steps at the batches that were timed, a prompt's passes alone and among many.

    Compiled once: its shapes are those of the ladders.
    """

    def one(row: Steps):
        return decode_step_s(row, engine, row.batch), *prompt_s(row, engine)[:2]

    return jax.vmap(one)(rows)


def _decode_table(
    batch: np.ndarray, batch_s: np.ndarray, contexts: np.ndarray, places: int, gain: float
):
    """Steps by sequences and piece: what they take without context, and per token of it."""
    count = np.arange(places + 1, dtype=np.float64)
    sizes = np.maximum(count, 1.0)
    rows = [np.interp(sizes, *row) for row in zip(batch, batch_s, strict=True)]
    # A step yields `gain` tokens; steps.py gives the time of one.
    step_s = gain * np.stack(rows, axis=1)
    step_s = np.maximum.accumulate(step_s, axis=1)  # single precision: never less for more context
    rise = np.diff(step_s, axis=1) / np.diff(contexts)
    rise = np.concatenate([rise, rise[:, -1:]], axis=1)
    knots = np.concatenate([[0.0], contexts[1:]])
    base = step_s - rise * contexts
    base[:, 0] = step_s[:, 0] - rise[:, 0] * contexts[0]
    return knots, base, rise / sizes[:, None]


def _pass_table(passes_s: np.ndarray, tokens: np.ndarray, past: float):
    """Passes by tokens: what they take without pairs that attend, and per pair.

    The first half of the rows are of prompts' beginnings, the others come after `past` tokens.
    """
    first, later = np.split(passes_s, 2)
    slope = np.maximum(later - first, 0.0) / (tokens * past)
    base = first - slope * 0.5 * tokens**2
    base = np.maximum.accumulate(np.maximum(base, 1e-9))
    grown = base[0] * 1.0
    return (
        np.concatenate([[0.0], tokens]),
        np.concatenate([[grown], base]),
        np.concatenate([[slope[0]], slope]),
    )


def joined(laws: tuple[Tables, Tables, Tables]) -> Law:
    """The laws of the three roles in one: tables as long as the longest."""
    size = max(len(law["decode_s"]) for law in laws)

    def padded(table: np.ndarray):
        short = size - len(table)
        return np.concatenate([table, np.repeat(table[-1:], short, axis=0)]) if short else table

    tables = ("decode_s", "decode_slope")
    return of_numpy(
        Law,
        **{
            name: np.stack([padded(law[name]) if name in tables else law[name] for law in laws])
            for name in laws[0]
        },
    )
