"""What is one line of a layer's work?"""

from jaxsim._record import Record, static
from jaxsim._scalar import Scalar
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.work import AbstractMessage, AbstractWork, AllReduce, Gemm


class Item(Record):
    """`count` launches of one kernel, or of one message, in a forward pass.

    `part` is the line of a breakdown that it belongs to, `role` the fit that times it.
    """

    work: AbstractWork | AbstractMessage
    count: Scalar
    name: str = static()
    part: str = static()
    role: str = static()

    def times(self, count: Scalar) -> "Item":
        return Item(self.work, self.count * count, self.name, self.part, self.role)


class DecodeTokens(Record):
    """`sequences` that each add `queries` tokens to a cache of `context`."""

    sequences: Scalar
    queries: Scalar
    context: Scalar

    @property
    def rows(self):
        return self.sequences * self.queries


class ContextTokens(Record):
    """`sequences` prompts that each add `queries` tokens after `past` earlier ones.

    `projected` of the earlier tokens must be up-projected again (latent attention only).
    """

    sequences: Scalar
    queries: Scalar
    past: Scalar
    projected: Scalar

    @property
    def rows(self):
        return self.sequences * self.queries


def gemm_item(
    name: str,
    part: str,
    role: str,
    rows: Scalar,
    outputs: Scalar,
    inputs: Scalar,
    weight_bytes: Scalar,
    input_bytes: Scalar,
    count: Scalar = 1.0,
) -> Item:
    """A matrix product, with the part of a breakdown and the fit that it belongs to."""
    return Item(Gemm(rows, outputs, inputs, weight_bytes, input_bytes), count, name, part, role)


def all_reduce_item(
    name: str, rows: Scalar, hidden: Scalar, ranks: Scalar, element: ElementBytes
) -> Item:
    """The sum of one layer's partial results over a tensor-parallel group."""
    return Item(AllReduce(rows * hidden * element.wide, ranks), 1.0, name, "network", "all_reduce")
