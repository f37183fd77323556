"""Put measurements of the search and the solver together: `results.json` and a table.

python -m benchmarks.matching.report SOLVER.json SEARCH.json… --json results.json
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from benchmarks.matching.search import OPTIMAL


def summary(result: dict) -> dict:
    """Medians and gaps of every method on one kind of problem."""
    groups = defaultdict(list)
    for row in result["rows"]:
        groups[row["method"], row["starts"]].append(row)
    lines = []
    for (method, starts), rows in groups.items():
        gaps = np.array([r["gap"] for r in rows])
        missed = Counter(
            axis for r in rows if r["gap"] > OPTIMAL for axis in r["missed"].split(", ")
        )
        lines.append(
            {
                "method": method,
                "starts": starts,
                "exact_frac": float(np.mean(gaps <= OPTIMAL)),
                "mean_gap": float(gaps.mean()),
                "p90_gap": float(np.quantile(gaps, 0.9)),
                "worst_gap": float(gaps.max()),
                "evaluations_median": float(np.median([r["evaluations"] for r in rows])),
                "gradients_median": float(np.median([r["gradients"] for r in rows])),
                "seconds_median": float(np.median([r["seconds"] for r in rows])),
                "missed_axes": dict(missed.most_common()),
            }
        )
    kept = ("family", "lattice", "problems", "without_plan", "designs_median")
    return {**{k: result[k] for k in kept}, "methods": lines}


def table(result: dict) -> str:
    """One summary as Markdown."""
    title = f"**{result['family']} attention, {result['lattice']} lattice**"
    counts = f"{result['problems']} problems with a plan ({result['without_plan']} without)"
    columns = (
        "method", "starts", "optimal", "mean gap", "p90", "worst", "designs", "gradients", "ms"
    )  # fmt: skip
    head = f"{title}: {counts}, {result['designs_median']:,.0f} designs (median)\n\n"
    head += f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    lines = []
    for m in result["methods"]:
        gaps = " | ".join(f"{100 * m[k]:.2f} %" for k in ("mean_gap", "p90_gap", "worst_gap"))
        lines.append(
            f"| {m['method']} | {m['starts'] or ''} | {100 * m['exact_frac']:.0f} % | {gaps} |"
            f" {m['evaluations_median']:,.0f} | {m['gradients_median']:,.0f} |"
            f" {1e3 * m['seconds_median']:,.0f} |"
        )
    return head + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("solver", type=Path)
    parser.add_argument("search", type=Path, nargs="+")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    result = [summary(json.loads(path.read_text())) for path in given.search]
    solver = json.loads(given.solver.read_text())
    given.json.write_text(json.dumps({**solver, "search": result}, indent=1) + "\n")
    print("\n".join(table(f) for f in result))


if __name__ == "__main__":
    main()
