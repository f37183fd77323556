"""How many decode steps did InferenceX's scripts make a new request wait for?

Its records do not state the options of a server; its public scripts do, as `scripts.toml` has them.
SGLang may look for new requests only once in several steps. TensorRT-LLM may wait some steps after
the first new request, for others to share its pass.
"""

from functools import cache

from jaxsim.catalog._datum import DataFile, Table
from jaxsim.catalog.names import DATA
from jaxsim.truth.cases import Case


@cache
def _tables(name: str) -> list[Table]:
    return DataFile(DATA / "scripts.toml").root.tables(name)


def _means(table: Table, case: Case) -> bool:
    """Whether a table is of the row's model and GPU."""
    named = case.named
    models, gpus = table.label("models").split(), table.label("gpus").split()
    return named.model.name in models and named.hardware.name in gpus


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


def steps_waited(case: Case) -> float:
    """Steps that options of the row's script add, in the mean; 0 where none is known."""
    row, engine = case.row, case.named.engine
    if row.client != "inferencex" or row.mode != "colocated" or row.decode is None:
        return 0.0
    requests = row.concurrency or 0.0
    if engine == "sglang":
        for table in _tables("looks"):
            if _means(table, case) and case.named.quant in table.label("formats").split():
                busy = "busy" in table and requests >= table.number("busy")
                return looked_for(table.number("busy_every" if busy else "every"))
    if engine == "trtllm":
        for table in _tables("gathers"):
            lengths = (row.isl_max, row.osl_max) == (table.number("isl"), table.number("osl"))
            if _means(table, case) and lengths and row.decode.tp < table.number("below_tp"):
                return gathered(table.number("most"), requests / row.osl)
    return 0.0
