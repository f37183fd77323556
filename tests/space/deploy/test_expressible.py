"""Does a search keep to the shapes that an engine can express?"""

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.shapes import RULES, handed_over, why_not
from jaxsim.space.deploy.expressible import expressible, shape_mask
from jaxsim.space.deploy.result import Deployed
from jaxsim.space.designs import Designs

SPACE = {"tp": (1, 2, 4, 8), "ep": (1, 2, 4, 8), "pp": (1, 2)}


def designs(phase):
    axes = {name: np.asarray(values, float) for name, values in SPACE.items()}
    axes["batch"] = np.asarray([1.0, 2.0])
    valid = np.ones((4, 2), dtype=bool)  # on ep and batch alone
    return Designs(phase, axes, {"valid": (valid, ("ep", "batch"))})


@pytest.mark.parametrize("rules", RULES)
def test_the_mask_is_the_rule_at_every_shape(rules):
    setup = setup_of("deepseek-r1", "h200", "fp8", "ideal")
    made = designs("decode")
    mask = shape_mask(made, rules, setup)
    left = expressible(made, rules, setup).full("valid")
    for i, tp in enumerate(SPACE["tp"]):
        for j, ep in enumerate(SPACE["ep"]):
            for k, pp in enumerate(SPACE["pp"]):
                said = why_not(rules, tp, ep, pp, True, "decode", 8)
                allowed = not said and handed_over(rules, pp, "decode", windows=False)
                assert mask[i, j, k] == allowed
                assert (left[i, j, k] == allowed).all()


def test_a_plan_for_distserve_is_of_pairs():
    """As many prefill as decode instances, prompts whole, in 16 bits; else it says what to do."""
    work, space = jaxsim.Workload(isl=1000, osl=128), jaxsim.Space(tp=(1, 2), pp=(1,), batch=(16,))

    def planned(precision="bf16", **more):
        keywords = {"ftl_s": 1.0, "ttl_s": 0.02, "deployable": "distserve", **more}
        return jaxsim.plan(
            "llama-3.1-8b", "h100", work, space=space, precision=precision, **keywords
        )

    result = planned(gpus=13).disaggregated
    assert isinstance(result, Deployed)
    prefill, decode = result.instances
    assert prefill.count == decode.count >= 3
    assert prefill.chunk == 1000
    with pytest.raises(InputError, match="16-bit weights and caches only, not fp8"):
        planned("fp8")
    with pytest.raises(InputError, match="as many prefill instances"):
        planned(fixed_ratio=1.0)


def test_a_restricted_plan_is_expressible():
    space = jaxsim.Space(tp=(1, 4), ep=(2, 4), pp=(1,), batch=(8.0,), chunk=(2048.0,))
    work = jaxsim.Workload(isl=2048, osl=256)

    def planned(rules, space=space):
        request = jaxsim.PlanRequest(work, ftl_s=10.0, ttl_s=0.1, deployable=rules)
        return jaxsim.plan("qwen3-30b-a3b", "h200", request, space=space, precision="fp8")

    held = planned("vllm")
    for result in (held.disaggregated, held.colocated):
        assert isinstance(result, Deployed)
        for shape in result.instances:
            assert not why_not("vllm", shape.tp, shape.ep, shape.pp, True, shape.phase, 8)
    with pytest.raises(InputError, match="DistServe serves dense models only"):
        planned("distserve")
    with pytest.raises(InputError, match="no valid design of the space can be deployed"):
        planned("neuron", jaxsim.Space(tp=(1,), ep=(4,), pp=(1,), batch=(8.0,), chunk=(2048.0,)))
    with pytest.raises(InputError, match="it is one of"):
        planned("nothing")
