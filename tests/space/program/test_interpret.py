"""The interpreted form is the compiled one: same operations, no second physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim._record import replace_leaf
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, axes_of, complete
from jaxsim.space.designs import PHASES, evaluate_phase, name_of
from jaxsim.space.program.in_numpy import NotInNumpy
from jaxsim.space.program.interpret import interpreted

SMALL = Space(
    tp=(1, 4, 8), ep=(1, 8), pp=(1, 2), batch=(1, 8, 96), chunk=(512, 4096), prefill_batch=(1, 6)
)


@pytest.mark.parametrize(
    ("model", "phase"),
    [("llama-3.1-70b", "prefill"), ("deepseek-r1", "decode"), ("gpt-oss-120b", "colocated")],
)
def test_interpreted_equals_the_function_point_by_point(phase, model):
    """Every output, at every design of a small grid, against a plain call for that design."""
    workload = Workload(isl=4096.0, osl=512.0)
    scenario = setup_of(model, "gb200-nvl72").scenario(workload)
    space = complete(SMALL, scenario.model, scenario.hardware, 4096.0)
    designs = evaluate_phase(phase, scenario, space, (4096.0,), (512.0,))
    rng = np.random.default_rng(0)
    for flat in rng.choice(designs.size, size=8, replace=False).tolist():
        at = designs.at(flat)
        sizes = {name: at.get(name, 4096.0) for name in ("tp", "ep", "pp", "batch", "chunk")}
        point = replace_leaf(lambda s: s.design, scenario, Deployment(**sizes))
        expected = PHASES[phase](jax.tree.map(jnp.asarray, point))  # op by op
        for path, value in jax.tree_util.tree_flatten_with_path(expected)[0]:
            name = name_of(path)
            assert designs.value(name, flat) == pytest.approx(float(value), rel=3e-5, abs=1e-9), (
                name,
                at,
            )


def test_an_unknown_operation_is_refused():
    """What NumPy has no counterpart for is not guessed."""
    axes = [("x", lambda p: p["x"], np.array([1.0, 2.0]))]
    with pytest.raises(NotInNumpy, match="erf"):
        interpreted(lambda p: jax.scipy.special.erf(p["x"]), {"x": 1.0}, axes)


def test_outputs_keep_their_own_axes():
    """An output that does not depend on an axis does not carry it."""
    axes = [
        ("x", lambda p: p["x"], np.array([1.0, 2.0])),
        ("y", lambda p: p["y"], np.array([1.0, 2.0, 3.0])),
    ]
    outputs, dims = interpreted(
        lambda p: {"a": p["x"] * 2.0, "b": p["x"] + p["y"], "c": p["k"] * 1.0},
        {"x": 0.0, "y": 0.0, "k": 5.0},
        axes,
    )
    assert dims == {"a": ("x",), "b": ("x", "y"), "c": ()}
    np.testing.assert_allclose(outputs["b"], [[2, 3, 4], [3, 4, 5]])
    assert outputs["c"] == pytest.approx(5.0)


def test_axes_of_a_phase_leave_out_what_it_ignores():
    scenario = setup_of("llama-3.1-8b", "b200").scenario(Workload(isl=1024.0, osl=128.0))
    space = complete(None, scenario.model, scenario.hardware, 1024.0)
    assert "osl" not in [name for name, _, _ in axes_of(space, "prefill", (1024.0,), (128.0,))]
    assert "chunk" not in [name for name, _, _ in axes_of(space, "decode", (1024.0,), (128.0,))]
