"""What would a measured run have shown, request by request?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxsim._progress import Counted, tell
from jaxsim.catalog.engine_limits import mixes_prompts
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.traffic.measure.outcome import users_of
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.fleet import fleet_of
from jaxsim.traffic.simulate.records import MIXED
from jaxsim.traffic.simulate.run import Service, simulate_run
from jaxsim.traffic.simulate.step_times import role_law
from jaxsim.traffic.synthetic.load import load_of
from jaxsim.truth.arrivals.table import ArrivalRun
from jaxsim.truth.read.names import names_of

MOST_REQUESTS = 20_000


def served_all(runs: Sequence[ArrivalRun]) -> list[ArrivalRun]:
    """Every run with what the simulator says of it, or with the reason why it says nothing."""
    runs_done = []
    for number, run in enumerate(runs, 1):
        tell(Counted("serving", number - 1, len(runs), "runs"))
        if run.refused:
            runs_done.append(run)
            continue
        try:
            runs_done.append(served(run))
        except InputError as error:
            runs_done.append(replace(run, refused=str(error).split(". ")[0].rstrip(".")))
    return runs_done


def served(run: ArrivalRun) -> ArrivalRun:
    """The run with predicted latencies, in the order and by the definitions of the measured ones.

    Where only mean lengths are known, all requests have them. Those whose clients gave up do not
    count, as in the tables.
    """
    row = run.row
    named = names_of(row)
    setup = setup_of(row.model, named.hardware.name, named.precision, named.engine)
    requests = requests_of_run(run)
    isl, osl = float(requests.isl.mean()), max(float(requests.osl.mean()), 2.0)
    longest = float((requests.isl + requests.osl).max())
    if row.decode is None:
        raise InputError("layout not stated")
    # As servers are started by default; what `jaxsim deploy` writes has SGLang mix them.
    mixes = mixes_prompts(setup.engine.name, setup.hardware)
    law = role_law(
        setup, Workload(isl=isl, osl=osl), row.decode, longest,
        chunk=run.tokens, most=int(run.sequences), mixes=mixes,
    )  # fmt: skip
    service = Service(patience_s=run.timeout_s, hit_frac=run.shared / isl)
    simulated = simulate_run(
        requests, fleet_of(law, None, None), {MIXED: run.replicas}, Static(), service=service
    )
    users = users_of(simulated)
    own = users.served & (users.e2e_s <= run.timeout_s)
    if not own.any():
        raise InputError("every client gave up in the simulation")
    values = {"ttft": users.ttft_s[own], "tpot": users.tpot_s[own], "e2e": users.e2e_s[own]}
    predicted = {
        f"{name}_{what}": float(value)
        for name, one in values.items()
        for what, value in (
            ("mean", one.mean()), ("p50", np.quantile(one, 0.5)), ("p90", np.quantile(one, 0.9)),
            ("p99", np.quantile(one, 0.99)),
        )
    }  # fmt: skip
    return replace(run, named=named, predicted=predicted)


def requests_of_run(run: ArrivalRun) -> Requests:
    """The requests of a log, or those that a row's rate and mean lengths make."""
    if run.requests is not None:
        return run.requests
    rate = run.row.requests_per_s or 1.0
    duration = min(run.duration_s, MOST_REQUESTS / rate)
    load = load_of(
        requests_per_s=rate, duration_s=duration, isl=round(run.row.isl), osl=round(run.row.osl),
        cv=run.cv,
    )  # fmt: skip
    return load.drawn(0)
