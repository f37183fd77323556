"""Which designs has NVIDIA's AIConfigurator found (`pareto.csv`, `best_config_topn.csv`)?

A line is a design with what AIConfigurator predicts for it: nothing in such a file was measured.
Latencies are in ms, and counts are of one replica, the smallest unit that can be repeated. Its
tokens/s count all output tokens of disaggregated designs, and all but the first of others; here all
are counted, from its requests/s.
"""

from collections.abc import Iterable
from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import Line, read_lines

SOURCE = "AIConfigurator"
EXCLUDED = "predicted by AIConfigurator, not measured"
# Columns of every version's files; of two pools, those of a pool begin with (p) and (d).
COMMON = {"model", "isl", "osl", "concurrency", "ttft", "tpot", "seq/s", "num_total_gpus"}
OWN = {"tp", "pp", "dp", "moe_tp", "moe_ep", "backend", "system"}
NAMES = ("pareto.csv", "best_config_topn.csv")


def is_aiconfigurator(columns: Iterable[str]) -> bool:
    """Whether a table has the columns of AIConfigurator's designs."""
    names = set(columns)
    two_pools = {f"({pool}){name}" for pool in "pd" for name in OWN}
    return names >= COMMON and (names >= OWN or names >= two_pools)


def files_in(folder: Path) -> list[Path]:
    """The tables of designs in a folder that AIConfigurator saved, its frontiers."""
    tables = sorted(folder.rglob(NAMES[0])) or sorted(folder.rglob(NAMES[1]))
    if not tables:
        raise InputError(
            f"{folder}: holds no {' or '.join(NAMES)}; give what `aiconfigurator cli … --save-dir` "
            "saved."
        )
    return tables


def read_designs(path: Path) -> list[ServingRow]:
    """The designs of a file, or of all frontiers in a folder."""
    if path.is_dir():
        return [row for file in files_in(path) for row in read_designs(file)]
    columns, lines = read_lines(path)
    if not is_aiconfigurator(columns):
        raise InputError(
            f"{path}: line 1: has not the columns of AIConfigurator's designs: "
            f"{', '.join(sorted(COMMON))}; {', '.join(sorted(OWN))}, of two pools with (p) and (d)."
        )
    return read(lines)


def read(lines: list[Line]) -> list[ServingRow]:
    """The rows of a table of designs."""
    return [_row(line) for line in lines]


def _need(line: Line, column: str) -> float:
    value = line.number_of(column, zero=False)
    if value is None:
        raise line.error(column, "is blank; a number is needed")
    return value


def _pool(line: Line, prefix: str, workers: float) -> tuple[Layout, str]:
    """The layout of a pool, and why it has none here; widths of experts are 1 in dense models."""
    tp, pp, dp, moe_ep = (
        line.whole_of(prefix + name) or 1.0 for name in ("tp", "pp", "dp", "moe_ep")
    )
    layout = Layout(tp, moe_ep, pp, workers)
    if layout.width != tp * dp:
        return layout, "experts split by tensor under data-parallel attention"
    return layout, ""


def _row(line: Line) -> ServingRow:
    two_pools = "(d)tp" in line.cells
    own = "(d)" if two_pools else ""
    decode, refused = _pool(line, own, (line.whole_of("(d)workers") if two_pools else 1.0) or 1.0)
    prefill = None
    if two_pools:
        prefill, why = _pool(line, "(p)", line.whole_of("(p)workers") or 1.0)
        refused = refused or why
        if line.need("(p)system") != line.need("(d)system"):
            refused = refused or "pools of unlike hardware"
    gpus = decode.gpus + (prefill.gpus if prefill else 0.0)
    stated = _need(line, "num_total_gpus")
    if not refused and gpus != stated:
        refused = f"its widths make {gpus:g} GPUs, and it states {stated:g}"
    isl, osl = _need(line, "isl"), _need(line, "osl")
    return ServingRow(
        id=f"{Path(line.path).parent.name}/{Path(line.path).name}:{line.number}",
        line=line.number,
        source=SOURCE,
        model=line.need("model"),
        hardware=line.need(own + "system"),
        framework=line.need(own + "backend"),
        version=line.text(own + "version"),
        precision="",
        formats=(line.text(own + "gemm"), line.text(own + "moe")),
        mode="disaggregated" if two_pools else "colocated",
        load="closed",
        isl=isl,
        osl=osl,
        isl_max=isl,
        osl_max=osl,
        concurrency=_need(line, "concurrency"),
        requests_per_s=None,
        decode=decode,
        prefill=prefill,
        ttft_s=1e-3 * _need(line, "ttft"),
        tpot_s=1e-3 * _need(line, "tpot"),
        output_tokens_per_s_per_gpu=_need(line, "seq/s") * osl / stated,
        excluded=EXCLUDED,
        refused=refused,
        hit_frac=(line.number_of("prefix") or 0.0) / isl,
    )
