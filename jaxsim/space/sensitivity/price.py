"""What is a little more of a limit worth?  Shadow prices of targets, memory and GPUs."""

from dataclasses import dataclass

from jaxsim.space.deploy.result import Deployed
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.discrete import budget_price
from jaxsim.space.sensitivity.elasticity import Elasticities
from jaxsim.space.sensitivity.solve import Optimum, Problem


@dataclass(frozen=True)
class Price:
    """What a little more of a limit buys.

    `amount` of the limit, in its own unit, adds `tokens_per_s_per_gpu` and changes the cost of a
    million output tokens by `usd_per_million`, at the margin; `exact` is what it adds in full.
    """

    name: str
    amount: float
    unit: str
    tokens_per_s_per_gpu: float | None
    usd_per_million: float | None
    exact: float | None
    binding: bool


def prices_of(
    swept: Swept, deployed: Deployed, problem: Problem, base: Optimum, elasticities: Elasticities
) -> tuple[Price, ...]:
    """What a little more of each target, of memory and of the GPU budget adds."""
    y, usd = deployed.output_tokens_per_s_per_gpu, deployed.cost_usd_per_million_output_tokens
    request, hardware = swept.request, swept.setup.hardware.hardware
    capacity = float(hardware.chip.hbm_bytes)
    path = "hardware.chip.hbm_bytes"
    prices: list[Price] = []
    by_limit, by_input = elasticities.by_limit, elasticities.by_input
    rows = (
        ("TTL target", by_limit["ttl"], 1e-3, "s", request.ttl_s, lambda f: Change(ttl=f)),
        ("FTL target", by_limit["ftl"], 0.1, "s", request.ftl_s, lambda f: Change(ftl=f)),
        ("HBM capacity", by_input[path], 1e10, "B", capacity, lambda f: Change({path: f})),
    )  # fmt: skip
    solved = problem.solve_all(
        [change(1.0 + amount / whole) for *_, amount, _, whole, change in rows]
    )
    for (name, elasticity, amount, unit, whole, _), moved in zip(rows, solved, strict=True):
        gain = float(elasticity[0]) * amount / whole
        exact = None if moved is None else y * (moved.value / base.value - 1.0)
        binding = bool(elasticity[0] != 0.0)
        prices.append(Price(name, amount, unit, gain * y, -gain * usd, exact, binding))
    more = max(shape.gpus_per_instance for shape in deployed.instances)
    cap = request.max_gpus or request.exact_gpus
    total = budget_price(swept, cap, more, len(deployed.instances) == 1) if cap else y
    prices.append(Price("GPU budget", 1.0, "GPU", total, None, total, cap is not None))
    return tuple(prices)
