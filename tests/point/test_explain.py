"""Do the parts of a design add up to its time?"""

import pytest

from jaxsim.point.explain import explain
from tests.scenarios import MODELS, PLAIN_ENGINE, REAL_ENGINE, scenario


@pytest.mark.parametrize(
    ("model", "phase"),
    [*((model, "colocated") for model in MODELS), ("mla_moe", "prefill"), ("mla_moe", "decode")],
)
def test_parts_sum_to_the_total_and_the_engine_adds_never_less_than_nothing(phase, model):
    for engine in (PLAIN_ENGINE, REAL_ENGINE):
        s = scenario(model, tp=4.0, ep=8.0 if "moe" in model else 1.0, engine=engine)
        result = explain(s, phase)
        assert sum(part.seconds for part in result.parts) == pytest.approx(result.total_s, rel=1e-9)
        assert all(part.seconds >= -1e-3 * result.total_s for part in result.parts)


def test_an_unknown_phase_is_named():
    with pytest.raises(ValueError, match="it is one of prefill, decode, colocated"):
        explain(scenario(), "training")
