"""How do outcomes spread over draws of a load, and change with the hardware?  From Python."""

import concurrent.futures
from collections.abc import Sequence
from typing import Unpack

import numpy as np
import xarray as xr

from jaxsim._cores import cores
from jaxsim._progress import Counted, tell
from jaxsim._version import __version__
from jaxsim.api.simulate import Simulated, SimulateKeywords, simulate
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.measure.outcome import QUANTILES, gap_quantiles, users_of
from jaxsim.traffic.simulate.run import Run
from jaxsim.traffic.synthetic.load import Load

LATENCIES = {
    "ttft_s": "time to the first token",
    "tpot_s": "mean time per output token of a request",
    "e2e_s": "time to the last token",
    "gap_s": "time between two tokens",
}


def simulate_draws(
    model: str | ModelCard,
    hardware: str | HardwareCard | Sequence[str | HardwareCard],
    load: Load,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3),
    **keywords: Unpack[SimulateKeywords],
) -> xr.Dataset:
    """Latencies by hardware, policy, seed and quantile; all other measures without the last.

    Each draw of the load is served by `simulate`, with the same keywords; several at a time, one a
    core, by one compiled program. Where no pools are given, those planned for the first draw on the
    first hardware serve all. Cards of hardware may differ in any number.

    Raises InputError for no seeds, one twice, and all that `simulate` refuses.

    >>> load = jaxsim.load_of(isl="300", osl="uniform:20:60", requests_per_s=2, duration_s=40)
    >>> found = jaxsim.simulate_draws(
    ...     "llama-3.1-8b", "h100", load, seeds=[0, 1], ftl_s=2.0, ttl_s=0.05, engine="vllm",
    ...     pools=jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1}), policies=["static"],
    ...     most_sequences=63,
    ... )
    >>> dict(found.ttft_s.sizes)
    {'hardware': 1, 'policy': 1, 'seed': 2, 'quantile': 4}
    """
    cards = [hardware] if isinstance(hardware, str | HardwareCard) else list(hardware)
    names = [card if isinstance(card, str) else card.name for card in cards]
    if not len(seeds) or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds {list(seeds)}: give at least one, and none twice.")
    if not cards or len(set(names)) < len(names):
        raise InputError(f"hardware {names}: give at least one, and none twice (name the cards).")
    cases = [(card, seed) for card in cards for seed in seeds]

    def one(place: int) -> Simulated:
        card, seed = cases[place]
        return simulate(model, card, load.drawn(int(seed)), **keywords)

    first = one(0)  # alone: it compiles for all, and plans where no pools are given
    if keywords.get("pools") is None:
        keywords["pools"] = first.pools
    with concurrent.futures.ThreadPoolExecutor(cores()) as threads:
        simulated = [first]
        for ended in threads.map(one, range(1, len(cases))):
            tell(Counted("serving", len(simulated), len(cases), "draws"))
            simulated.append(ended)
    return _dataset(simulated, names, list(seeds), load.name)


def _dataset(simulated: Sequence[Simulated], names: list[str], seeds: list[int], load: str):
    policies = list(simulated[0].outcomes)
    shape = (len(names), len(seeds), len(policies))
    dims = ("hardware", "seed", "policy")

    def placed(values: list[object]) -> np.ndarray:
        own = np.asarray(values, float)
        return own.reshape(*shape, *own.shape[1:])

    data = {
        name: (
            (*dims, "quantile"),
            placed([_quantiles(one.runs[p], name) for one in simulated for p in policies]),
            {"units": "s", "long_name": words},
        )
        for name, words in LATENCIES.items()
    }
    # Their quantiles have a dimension of their own.
    kept = [n for n in map(str, simulated[0].table.data_vars) if "_p" not in n or "_per_" in n]
    own = {
        name: (
            dims,
            placed([float(one.outcomes[p][name]) for one in simulated for p in policies]),
            simulated[0].table[name].attrs,
        )
        for name in kept
    }
    coords = {"hardware": names, "policy": policies, "seed": seeds, "quantile": list(QUANTILES)}
    attrs = {"load": load, "ftl_target_s": simulated[0].ftl_s, "ttl_target_s": simulated[0].ttl_s,
             "jaxsim_version": __version__}  # fmt: skip
    whole = xr.Dataset({**data, **own}, coords, attrs)
    return whole.transpose("hardware", "policy", "seed", "quantile")


def _quantiles(run: Run, name: str) -> list[float]:
    if name == "gap_s":
        return gap_quantiles(run)
    users = users_of(run)
    values = getattr(users, name)[users.served]
    return [float(np.quantile(values, q)) if len(values) else float("nan") for q in QUANTILES]
