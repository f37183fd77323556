"""How are inverse solutions (reach, chips, crossovers) written as JSON?"""

from jaxsim.catalog.chip_parts import load_chip_parts
from jaxsim.space.sensitivity.result import Sensitivity


def inverse_dict(result: Sensitivity) -> dict[str, object]:
    """The cheapest change, chips and crossovers: factors on inputs, fractions, tokens/s per GPU."""
    own, budget = result.cheapest, result.budget
    return {
        "cheapest": None
        if own is None
        else {
            "factors": own.factors,
            "cost": own.cost,
            "designs": None if own.optimum is None else own.optimum.designs,
        },
        "chips": [
            {
                "factors": {pool or "decode": f for pool, f in one.factors.items()}
                if len(one.factors) == 2
                else {"all": one.factors[""]},
                "used": {pool or "decode": u for pool, u in one.used.items()}
                if len(one.used) == 2
                else {"all": one.used[""]},
                "gain": one.gain,
                "designs": one.optimum.designs,
            }
            for one in result.chips
        ],
        "chip_budget": None
        if budget is None
        else {
            "shares": budget.shares,
            "most": {kind: budget.most.get(kind, 1.0) for kind in budget.shares},
            "sources": {
                key: {"kind": datum.kind, "source": datum.source}
                for key, datum in load_chip_parts().provenance.items()
            },
        },
        "crossovers": [
            {
                "axis": one.axis,
                "crossings": [{**vars(c), "value": c.value} for c in one.crossings],
                "solved": [
                    {"value": v, "disaggregated": pools or None, "colocated": both or None}
                    for v, pools, both in one.gains
                ],
            }
            for one in result.crossovers
        ],
    }
