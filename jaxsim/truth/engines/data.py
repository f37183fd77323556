"""What of measured runs does a fit take, and with which weights?"""

from collections import Counter

import numpy as np

from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.engines.fit import GRAPH_TOKENS, QUEUED_WEIGHT, TOLERANCE, Data
from jaxsim.truth.read.rows import ServingRow, finite
from jaxsim.truth.runs import Runs


def _same(row: ServingRow) -> tuple[object, ...]:
    """What makes two rows the same measurement, published twice."""
    measured = (row.ttft_s, row.tpot_s, row.output_tokens_per_s_per_gpu)
    return (row.mode, row.isl_max, row.osl_max, row.concurrency, *map(_digits, measured))


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def data_of(runs: Runs) -> Data:
    """The rows as a fit takes them; a measurement published k times weighs 1/k each time."""
    copies = Counter(_same(case.row) for case in runs.cases)
    logs = np.zeros((len(runs), len(MEASURES)))
    weights = np.zeros_like(logs)
    for i, case in enumerate(runs.cases):
        row, once = case.row, 1.0 / np.sqrt(copies[_same(case.row)])
        for j, measure in enumerate(MEASURES):
            value = row.measured(measure)
            # Rate is implied by the latencies in a closed loop that reports both.
            implied = measure.startswith("output") and finite(row.tpot_s) and finite(row.ttft_s)
            if value is None or value <= 0.0 or implied:
                continue
            logs[i, j] = np.log(value)
            weights[i, j] = once / TOLERANCE[measure]
            if measure == "ttft" and row.queued:
                weights[i, j] *= QUEUED_WEIGHT
    graphs = [GRAPH_TOKENS.get(case.named.engine, 0.0) for case in runs.cases]
    return Data(runs.steps, runs.load, logs, weights, np.asarray(graphs))
