"""What must a reducer provide, which keeps a part of every step of a block?"""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import jax

from jaxsim.space.program.inputs import Held

if TYPE_CHECKING:
    from jaxsim.space.grid.nest import Nest


@runtime_checkable
class Reducer(Protocol):
    """What is kept of every step of a block."""

    def like(self) -> object:
        """Shapes and types of what is kept of a step."""
        ...

    def start(self, nest: "Nest") -> tuple[jax.Array, ...]:
        """What is passed from step to step, before the first."""
        ...

    def __call__(
        self,
        nest: "Nest",
        true: Held,
        values: dict[int, Held],
        state: tuple[jax.Array, ...],
        /,
    ) -> tuple[object, tuple[jax.Array, ...]]:
        """What is kept of a step, and what is passed on."""
        ...
