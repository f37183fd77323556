"""Which rows can be predicted, and as what?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxsim.catalog.engine_limits import mixes_prompts
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.serving import Load
from jaxsim.traffic.steps import Steps
from jaxsim.truth.cases import Case, layouts, time_steps
from jaxsim.truth.read.names import names_of
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.scripts import Options, options_of

# Requests that InferenceX's client sends for each place of its closed loop.
TEN_A_PLACE = 10.0


@dataclass(frozen=True)
class Runs:
    """Rows with what they mean and their timed steps, and the reasons of those left out."""

    cases: list[Case]
    steps: Steps
    load: Load
    left_out: list[tuple[ServingRow, str]]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows were left out for each reason."""
        return dict(Counter(reason for _, reason in self.left_out).most_common())


def load_of(case: Case, options: Options | None = None) -> Load:
    """The load and the instances of a measured row, with the options of its server."""
    row = case.row
    options = options or options_of(case)
    decode, prefill = layouts(case)
    shared = row.mode == "colocated"
    gpus = decode.gpus if shared else decode.gpus + prefill.gpus
    return Load(
        concurrency=row.concurrency or 1.0,
        osl=row.osl,
        isl=row.isl,
        decoders=decode.workers,
        prefillers=prefill.workers,
        shared=float(shared),
        closed=float(row.load == "closed"),
        ten_runs=float(row.client == "inferencex" or _ten_a_place(row)),
        inferencex=float(row.client == "inferencex"),
        even=float(row.even),
        of_medians=float(row.of_medians),
        gpus=gpus,
        polled_steps=options.steps_waited,
        graph_tokens=options.graph_tokens,
        most_sequences=options.most_sequences,
        mixes=float(mixes_prompts(case.named.engine, case.named.hardware)),
        rounds=float(row.load == "closed" and row.client != "inferencex" and row.osl_cv == 0.0),
    )


def _ten_a_place(row: ServingRow) -> bool:
    """Whether a closed loop sends ten requests for each place, as InferenceX's client does."""
    if row.prompts is None or not row.concurrency or row.load != "closed":
        return False
    return abs(row.prompts / row.concurrency - TEN_A_PLACE) < 0.05 * TEN_A_PLACE


def runs_of(rows: Sequence[ServingRow]) -> Runs:
    """Everything about rows that does not depend on the engine's fit."""
    cases, left_out = [], []
    for row in rows:
        if row.refused:
            left_out.append((row, row.refused))
            continue
        try:
            case = Case(row, names_of(row))
            layouts(case)
            cases.append(case)
        except InputError as error:
            left_out.append((row, _short(str(error))))
    if not cases:
        raise _none_predictable(left_out)
    options = [options_of(case) for case in cases]
    steps = time_steps(cases, [own.pass_tokens for own in options])
    load = jax.tree.map(
        lambda *leaves: np.asarray(leaves, np.float32), *map(load_of, cases, options)
    )
    fits = np.asarray(steps.weights_over_bytes) < 0.0
    for case, good in zip(cases, fits, strict=True):
        if not good:
            left_out.append((case.row, "weights do not fit the stated layout"))
    if not fits.any():
        raise _none_predictable(left_out)
    keep = np.flatnonzero(fits)
    return select(Runs(cases, steps, load, left_out), keep)


def _none_predictable(left_out: list[tuple[ServingRow, str]]) -> InputError:
    """An error that says why no row of a file can be predicted, and what can be stated."""
    reasons = "; ".join(sorted({reason for _, reason in left_out})) or "there are none"
    hint = ""
    if "do not fit" in reasons:
        hint = " State the layout with --tp, --ep, --pp and the number format with --precision."
    if "model" in reasons.lower():
        hint += " State the model with --model: a name of `jaxsim models`, or a config.json."
    return InputError(f"No row can be predicted: {reasons}.{hint}")


def select(runs: Runs, index: np.ndarray) -> Runs:
    """Some of the runs."""

    def chosen(leaf: np.ndarray):
        return np.asarray(leaf)[index]

    return Runs(
        [runs.cases[i] for i in index],
        jax.tree.map(chosen, runs.steps),
        jax.tree.map(chosen, runs.load),
        runs.left_out,
    )


def _short(reason: str) -> str:
    """A reason without the hint that follows its first sentence."""
    head = reason.split(". ")[0]
    return head.split(": three of four")[0].rstrip(".")


def headline(case: Case) -> bool:
    """Whether a row counts in headline figures: its layout known, without unknown speculation."""
    return not case.row.excluded
