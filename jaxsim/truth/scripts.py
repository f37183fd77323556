"""Which options did InferenceX's scripts start its servers with?

Its records do not state the options of a server; its public scripts and recipes do, as
`scripts.toml` and `recipes.toml` have them: prompt tokens of a pass, the largest captured pass, the
sequences of a rank, and how long a new request waits. SGLang may look for new requests only once in
several steps. TensorRT-LLM may wait some steps after the first new request, for others to share its
pass, or until every data-parallel rank has one.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from jaxsim.catalog._datum import DataFile, Table
from jaxsim.catalog.names import DATA
from jaxsim.truth.cases import Case, layouts
from jaxsim.truth.limits import pass_tokens
from jaxsim.truth.read.rows import ServingRow

STEPS_OF_INTEGRAL = 256


@dataclass(frozen=True)
class Options:
    """Options of a server; where none is known, the engine's own.

    `pass_tokens` are the prompt tokens that a pass holds at most, `graph_tokens` those of the
    largest pass with a captured graph (0: as the engine has it), `most_sequences` the sequences
    of a rank that decodes, `steps_waited` the steps by which a new prompt waits longer, in the
    mean.
    """

    pass_tokens: float
    graph_tokens: float = 0.0
    most_sequences: float = 1e9
    steps_waited: float = 0.0


@cache
def _tables(file: str, name: str) -> list[Table]:
    return DataFile(DATA / file).root.tables(name)


def _means(table: Table, case: Case) -> bool:
    """Whether a table is of the row's engine, model, GPU, format and lengths, where it names them.

    Of the versions that it names, a row has one that begins so; of those before `since`, none.
    """
    named, row = case.named, case.row
    pairs = {"engine": named.engine, "models": named.model.name, "gpus": named.hardware.name}
    pairs |= {"formats": named.quant}
    if any(key in table and it not in table.label(key).split() for key, it in pairs.items()):
        return False
    lengths = {"isl": row.isl_max, "osl": row.osl_max}
    if any(key in table and it != table.number(key) for key, it in lengths.items()):
        return False
    return "versions" not in table or _of_version(table, row)


def _of_version(table: Table, row: ServingRow) -> bool:
    since = table.label("since", "9999")
    if row.date:
        return row.date >= since
    return any(row.version.startswith(own) for own in table.label("versions").split())


def looked_for(every: float) -> float:
    """Steps that a request waits for, in the mean, where a scheduler looks once in `every`."""
    return 0.5 * (every - 1.0)


def gathered(most: float, each_step: float) -> float:
    """Steps that a request waits for, in the mean, where a pass waits `most` after the first.

    Requests come at `each_step`, so that a W of them join the one that waits all W steps, each for
    half as long: W (1 + a W/2) / (1 + a W).
    """
    joined = each_step * most
    return most * (1.0 + 0.5 * joined) / (1.0 + joined)


def balanced(most: float, more: float, each_step: float, ranks: float) -> float:
    r"""Steps that a request waits for, in the mean, until every rank has one, `most` at most.

    Requests come at a = `each_step` to R ranks at random. The wait ends after T steps, as soon as
    each rank has one, or after W = `most`; where each has one, `more` steps later. With
    $q(t) = 1 - e^{-a t / R}$, not all have one at t with probability $1 - q^R$, and then
    $a t (1 - q^{R-1})$ wait in the mean, so that one request waits

    $$ \frac{\int_0^W t\,(1 - q^{R-1})\,dt + g}{\int_0^W (1 - q^R)\,dt + m\,p} $$

    with m = `more`, p = q(W)^R, and g what those that are there by then wait in addition.
    """
    if each_step <= 0.0:
        return 0.5 * most
    t = np.linspace(0.0, most, STEPS_OF_INTEGRAL + 1)
    has = -np.expm1(-each_step * t / ranks)
    time = float(np.trapezoid(1.0 - has**ranks, t))
    left = t * (1.0 - has ** (ranks - 1.0))
    all_have = float(has[-1] ** ranks)
    there = time - float(left[-1])  # those that wait when all have one, over a
    waited = float(np.trapezoid(left, t)) + more * there + 0.5 * all_have * more**2
    return waited / (time + more * all_have)


def _waited(case: Case) -> float:
    """Steps that options of the row's script add, in the mean; 0 where none is known."""
    row, engine = case.row, case.named.engine
    if row.mode != "colocated" or row.decode is None:
        return 0.0
    requests = row.concurrency or 0.0
    if engine == "sglang":
        for table in _tables("scripts.toml", "looks"):
            if _means(table, case):
                busy = "busy" in table and requests >= table.number("busy")
                return looked_for(table.number("busy_every" if busy else "every"))
    if engine == "trtllm":
        for table in _tables("scripts.toml", "gathers"):
            if _means(table, case) and row.decode.tp < table.number("below_tp"):
                return gathered(table.number("most"), requests / row.osl)
        ranks = row.decode.width / row.decode.tp
        for table in _tables("scripts.toml", "balances"):
            # A rank without a request to decode does not wait, nor do the others for it.
            if _means(table, case) and ranks > 1.0 and requests >= 2.0 * ranks:
                most, more = (table.number(name, zero=True) for name in ("most", "more"))
                return balanced(most, more, requests / row.osl, ranks)
    return 0.0


def _of_recipe(case: Case, name: str) -> float | None:
    """An option of the recipe of a disaggregated row, by its pools and its requests."""
    decode, prefill = layouts(case)
    pools = [f"{pool.workers:g}x{pool.width * pool.pp:g}" for pool in (prefill, decode)]
    layout = " ".join(pools)
    for table in _tables("recipes.toml", "recipes"):
        if _means(table, case) and name in table:
            own = table.table(name)
            for key in (layout, f"{layout} at {case.row.concurrency or 0.0:g}"):
                if key in own:
                    return own.number(key)
    return None


def options_of(case: Case) -> Options:
    """The options of a row's server, as far as its public script or recipe says them."""
    row = case.row
    tokens = pass_tokens(row, case.named)
    if row.client != "inferencex":
        return Options(tokens)
    if row.mode == "disaggregated":
        own = _of_recipe(case, "tokens"), _of_recipe(case, "sequences")
        return Options(own[0] or tokens, most_sequences=own[1] or Options.most_sequences)
    graph_tokens = 0.0
    for table in _tables("scripts.toml", "passes"):
        if _means(table, case):
            tokens = table.number("tokens") if "tokens" in table else tokens
            graph_tokens = table.number("graph_tokens") if "graph_tokens" in table else 0.0
    return Options(tokens, graph_tokens, steps_waited=_waited(case))
