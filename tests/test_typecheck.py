"""Are annotations checked while the tests run?"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jaxtyping import Float

import jaxsim
from jaxsim._scalar import Scalar, as_scalar
from jaxsim.catalog.hardware import PeakFlop
from jaxsim.space.program.interpret import run
from tests.narrow import untyped
from tests.typecheck import check, checked

if TYPE_CHECKING:
    from jaxsim.space.program.trace import Program as Unknown

Rows = Float[np.ndarray, "rows"]
by_tests = checked(typechecker=check)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: untyped(run)(1, [np.zeros(1)], 3),  # a function
        lambda: untyped(PeakFlop)("a", 1.0, 2.0),  # a record of JAX
        lambda: untyped(jaxsim.Space)(tp=8),  # a dataclass
        lambda: untyped(jaxsim.plan)(
            "llama-3.1-8b", "h100", 3, ftl_s=1.0, ttl_s=0.1
        ),  # a public name
    ],
)
def test_jaxsim_is_checked(wrong):
    with pytest.raises(Exception, match=r"violates type hint|Type-check error"):
        wrong()


def test_what_is_right_passes():
    assert PeakFlop(1.0, as_scalar(np.ones(2)), 3).fp4_flop_per_s == 1.0


def test_results_are_checked():
    @by_tests
    def half(x: int) -> int:
        return untyped(x / 2)

    with pytest.raises(Exception, match="violates type hint"):
        half(2)


def test_names_of_dimensions_still_bind():
    @by_tests
    def added(x: Rows, y: Rows) -> Scalar:
        return (x[0] + y[0]).item()

    assert added(np.ones(2), np.ones(2)) == 2.0
    with pytest.raises(Exception, match="Type-check error"):
        added(np.ones(2), np.ones(3))


def test_types_of_static_checkers_alone_are_let_pass():
    @by_tests
    def first(x: "Unknown", y: "int") -> None:
        pass

    first(object(), 1)
    with pytest.raises(Exception, match="violates type hint"):
        first(object(), untyped("1"))


def test_a_dataclass_is_checked_where_it_is_made():
    @by_tests
    @dataclasses.dataclass
    class One:
        x: float

    assert One(1).x == 1
    with pytest.raises(Exception, match="violates type hint"):
        One(untyped("1"))
