"""How wide are the projections of a layer with a state, and how large is the state?"""

from functools import singledispatch

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.model import AbstractRecurrent, GatedDelta, KimiDelta, Lightning, Mamba2

# States are kept in 32 bits, whatever the format of the rest.
STATE_BYTES = 4.0


class Columns(Record):
    """Columns of the projections into one layer's state, by how tensor parallelism treats them.

    `channels` of them pass the convolution first, `second` parameters belong to the second step of
    low-rank gates, and `vectors` to biases, decays and norms.
    """

    by_head: Scalar
    by_key_head: Scalar
    replicated: Scalar
    channels: Scalar
    second: Scalar
    vectors: Scalar


@singledispatch
def columns_of(attention: AbstractRecurrent) -> Columns:
    """The columns of a kind of recurrent layer."""
    raise NotImplementedError(type(attention).__name__)


@columns_of.register
def _(attention: GatedDelta) -> Columns:
    """Values and output gate h·v each, two numbers a head; queries and keys h_k·k each."""
    values = attention.heads * attention.value_dim
    keys = 2.0 * attention.key_heads * attention.key_dim
    return Columns(
        by_head=2.0 * values + 2.0 * attention.heads,
        by_key_head=keys,
        replicated=0.0,
        channels=keys + values,
        second=0.0,
        vectors=2.0 * attention.heads + attention.value_dim,
    )


@columns_of.register
def _(attention: Mamba2) -> Columns:
    """Inputs and gate h·v each, a time step a head; input and output matrices g·N each."""
    values = attention.heads * attention.value_dim
    keys = 2.0 * attention.key_heads * attention.key_dim
    return Columns(
        by_head=2.0 * values + attention.heads,
        by_key_head=keys,
        replicated=0.0,
        channels=keys + values,
        second=0.0,
        vectors=3.0 * attention.heads + values,
    )


@columns_of.register
def _(attention: KimiDelta) -> Columns:
    """Queries, keys and values, a write strength a head, decays and output gate by low rank."""
    values = attention.heads * attention.value_dim
    keys = attention.heads * attention.key_dim
    low = 1.0 - attention.full_gate
    return Columns(
        by_head=2.0 * keys + (1.0 + attention.full_gate) * values + attention.heads,
        by_key_head=0.0,
        replicated=(1.0 + low) * attention.gate_rank,
        channels=2.0 * keys + values,
        second=attention.gate_rank * (keys + low * values),
        vectors=attention.heads + keys + attention.value_dim,
    )


@columns_of.register
def _(attention: Lightning) -> Columns:
    """Queries, keys, values and output gate."""
    values = attention.heads * attention.value_dim
    keys = attention.heads * attention.key_dim
    return Columns(2.0 * keys + 2.0 * values, 0.0, 0.0, 2.0 * keys + values, 0.0, values)


def state_elements(attention: AbstractRecurrent) -> Scalar:
    """Numbers in one layer's state of one sequence, all heads together: h · k · v."""
    return attention.heads * attention.key_dim * attention.value_dim


def conv_elements(attention: AbstractRecurrent) -> Scalar:
    """Numbers that the convolution keeps of earlier tokens."""
    return columns_of(attention).channels * (attention.conv_width - 1.0)


# Passes over a state that one token makes: multiply-adds count two, a decay one. Delta nets decay,
# read (k·S), write the outer product of what is new and read again (q·S); Mamba-2 and lightning
# attention decay, write and read.
STATE_FLOP: dict[type, float] = {GatedDelta: 7.0, KimiDelta: 7.0, Mamba2: 5.0, Lightning: 5.0}
