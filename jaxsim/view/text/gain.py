"""What does disaggregation gain over co-location?  A sentence, and the head of a picture."""

from jaxsim.space.deploy.result import Plan
from jaxsim.view.text import units
from jaxsim.view.text.sentences import recommendation


def verdict(plan: Plan) -> str:
    """What disaggregation gains over co-location, and how sure that is."""
    gain = plan.gain
    if gain is None:
        only = {"disaggregated": "Co-located", "colocated": "Disaggregated"}.get(
            plan.recommended or ""
        )
        return f"{only} designs cannot meet the targets." if only else ""
    better, other, chance = "Disaggregated", "co-located", plan.probability
    if gain < 1.0:
        better, other, gain = "Co-located", "disaggregated", 1.0 / gain
        chance = None if chance is None else 1.0 - chance
    text = f"{better} gives {units.times(gain)} the {units.WORTH[plan.objective]} of {other}"
    if chance is None:
        return f"{text}."
    text = f"{text}; it wins with probability {units.probability(chance)}"
    if plan.gain_interval is not None:
        low, high = plan.gain_interval
        ends = (low, high) if plan.gain is None or plan.gain >= 1.0 else (1.0 / high, 1.0 / low)
        text += f" (80 % interval of the gain: {' – '.join(units.times(end) for end in ends)})"
    if plan.beyond_measured:
        text += f". Beyond what was measured: {'; '.join(plan.beyond_measured)}"
    return f"{text}."


def gain_title(plan: Plan) -> str:
    """The gain in a few words, for the head of a picture."""
    gain = plan.gain
    if gain is None:
        return recommendation(plan).split(":")[0]
    names = ("Disaggregation", "co-location")
    better, other = names if gain >= 1.0 else (names[1].capitalize(), names[0].lower())
    times = units.times(max(gain, 1.0 / gain))
    return f"{better} gives {times} the {units.WORTH[plan.objective]} of {other}"
