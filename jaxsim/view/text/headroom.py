"""What would kernels at the limit of the chip give?  A sentence of a plan."""

from jaxsim.space.deploy.result import Plan
from jaxsim.view.text import sentences, units


def sentence(plan: Plan) -> str:
    """By how much better kernels would raise a plan's throughput; empty where none was found."""
    chosen = plan.recommended
    if chosen is None or chosen not in plan.headroom:
        return ""
    worth = units.WORTH[plan.objective]
    text = (
        "Headroom: kernels and messages at the limit of the chip would give the "
        f"{sentences.POOLS[chosen]} instances {units.times(plan.headroom[chosen])} the {worth}"
    )
    for kind, factor in plan.headroom.items():
        if kind != chosen:
            text += f", the {sentences.POOLS[kind]} ones {units.times(factor)}"
    return f"{text} (same widths, any batch and chunk; constants in data/limit.toml)."
