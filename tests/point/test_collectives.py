"""Laws of messages: monotone, nothing for one rank, bandwidth-bound when large, hierarchical."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.catalog.calibration import load_calibration, resolve_kernels
from jaxsim.catalog.hardware import Chip, Fabric, Hardware, PeakFlop
from jaxsim.catalog.load import load_hardware
from jaxsim.catalog.precision import Precision
from jaxsim.point.collectives import message_s, wire
from jaxsim.point.work import (
    AbstractMessage,
    AllGather,
    AllReduce,
    AllToAll,
    ReduceScatter,
    SendRecv,
)
from tests.units import in_other_units

CHIP = Chip(PeakFlop(9e15, 4.5e15, 2.25e15), 148.0, 1.8e11, 8e12)
HARDWARE = Hardware(CHIP, Fabric(9e11, 1e-6), Fabric(5e10, 5e-6), 8.0, 2.0, 1000.0)
KERNELS = [
    resolve_kernels(load_calibration(name), Precision()) for name in ("b200", "gb200-nvl72", "h100")
]
ROLES = {
    "all_reduce": AllReduce,
    "all_gather": AllGather,
    "reduce_scatter": ReduceScatter,
    "all_to_all": AllToAll,
}
seconds_of = jax.jit(message_s)
amounts = st.floats(0.0, 10.0).map(lambda power: 10.0**power)
ranks = st.floats(1.0, 512.0)
factors = st.floats(1.0, 50.0)
fits = st.sampled_from(KERNELS)


def message(role, data_bytes, ranks):
    one = ROLES[role](jnp.asarray(data_bytes), jnp.asarray(ranks))
    return replace(one, pieces=jnp.asarray(data_bytes) / 4096.0) if role == "all_to_all" else one


@pytest.mark.parametrize("role", ROLES)
@given(data_bytes=amounts, ranks=ranks, factor=factors, kernels=fits)
def test_more_bytes_are_never_faster(role, data_bytes, ranks, factor, kernels):
    """Inside a domain and across, from one byte up."""
    fit = getattr(kernels, role)
    before = seconds_of(message(role, data_bytes, ranks), fit, HARDWARE)
    after = seconds_of(message(role, data_bytes * factor, ranks), fit, HARDWARE)
    assert after >= before * (1.0 - 1e-12)


@given(data_bytes=amounts, ranks=ranks, factor=factors, kernels=fits)
def test_more_pieces_are_never_faster(data_bytes, ranks, factor, kernels):
    """The same bytes of smaller tokens; of a bulk transfer each piece counts."""
    one = message("all_to_all", data_bytes, ranks)
    more = replace(one, pieces=one.pieces * factor)
    before = seconds_of(one, kernels.all_to_all, HARDWARE)
    assert seconds_of(more, kernels.all_to_all, HARDWARE) >= before * (1.0 - 1e-12)
    bulk = message("all_to_all", 1e9, 8.0)
    halves = replace(bulk, pieces=bulk.pieces * 2.0)
    whole_s, halves_s = (seconds_of(m, kernels.all_to_all, HARDWARE) for m in (bulk, halves))
    assert halves_s > whole_s * 1.01


@pytest.mark.parametrize("role", ROLES)
@given(data_bytes=amounts, ranks=ranks, factor=factors, kernels=fits)
def test_more_ranks_are_never_faster(role, data_bytes, ranks, factor, kernels):
    """Also where they leave the domain, whose links are faster than those beyond it."""
    fit = getattr(kernels, role)
    before = seconds_of(message(role, data_bytes, ranks), fit, HARDWARE)
    after = seconds_of(message(role, data_bytes, ranks * factor), fit, HARDWARE)
    assert after >= before * (1.0 - 1e-12)


@pytest.mark.parametrize("role", ROLES)
@given(
    data_bytes=amounts,
    ranks=ranks,
    factor=factors,
    fabric=st.sampled_from(["scaleup", "scaleout"]),
)
def test_more_bandwidth_is_never_slower(role, data_bytes, ranks, factor, fabric):
    """Of either fabric."""
    fit = getattr(KERNELS[0], role)
    slow = getattr(HARDWARE, fabric)
    fast = replace(HARDWARE, **{fabric: replace(slow, bytes_per_s=slow.bytes_per_s * factor)})
    one = message(role, data_bytes, ranks)
    assert seconds_of(one, fit, fast) <= seconds_of(one, fit, HARDWARE) * (1.0 + 1e-12)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("data_bytes", [0.0, 1e6])
def test_one_rank_says_nothing(role, data_bytes):
    """0 seconds, with finite gradients, in 32 bits too."""
    for kernels in KERNELS:
        tree = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float32),
            (message(role, data_bytes, 1.0), getattr(kernels, role), HARDWARE),
        )
        seconds, slopes = jax.value_and_grad(lambda t: message_s(*t))(tree)
        assert seconds == 0.0
        assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("ranks", [2.0, 8.0, 9.0, 64.0])
def test_gradients_are_finite(ranks):
    """From no bytes to many, inside a domain and across."""
    for role in ROLES:
        for data_bytes in (0.0, 1.0, 1e10):
            tree = jax.tree.map(
                lambda x: jnp.asarray(x, jnp.float32),
                (message(role, data_bytes, ranks), getattr(KERNELS[0], role), HARDWARE),
            )
            slopes = jax.grad(lambda t: message_s(*t))(tree)
            assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slopes))


def test_a_large_message_runs_at_the_link_rate():
    """An all-reduce puts 2 (n - 1)/n of its data on the link of each GPU."""
    fit = KERNELS[0].all_reduce
    seconds = seconds_of(message("all_reduce", 1e11, 8.0), fit, HARDWARE)
    ideal = 2.0 * 7.0 / 8.0 * 1e11 / (fit.link_frac * 9e11)
    assert seconds == pytest.approx(ideal, rel=0.01)


@pytest.mark.parametrize(
    ("role", "inside", "across"),
    [
        ("all_reduce", 2.0 * 7.0 / 8.0, 2.0 * 3.0 / 4.0 / 8.0),
        ("all_gather", 7.0 / 8.0, 3.0 / 4.0 / 8.0),
        ("reduce_scatter", 7.0 / 8.0, 3.0 / 4.0 / 8.0),
        ("all_to_all", 7.0 / 8.0, 24.0 / 32.0),  # what arrives is passed on inside
    ],
)
def test_beyond_a_domain_messages_are_hierarchical(role, inside, across):
    """32 ranks in four domains of 8: shares of the data that each GPU sends on either fabric."""
    parts = wire(message(role, 1.0, 32.0), 8.0)
    assert parts.inside_bytes == pytest.approx(inside)
    assert parts.across_bytes == pytest.approx(across)
    assert parts.across_ranks == pytest.approx(4.0)


def test_a_neighbour_beyond_the_domain_is_slower():
    """Stages of an instance that spans more than a domain talk over the scale-out fabric."""
    fit = KERNELS[0].send_recv
    near = seconds_of(SendRecv(jnp.asarray(1e8), jnp.asarray(8.0)), fit, HARDWARE)
    far = seconds_of(SendRecv(jnp.asarray(1e8), jnp.asarray(16.0)), fit, HARDWARE)
    assert far > near
    assert far > 1e8 / 5e10


@pytest.mark.parametrize("role", ROLES)
@given(ranks=ranks, second=st.floats(0.1, 10.0), byte=st.floats(0.1, 10.0))
def test_the_answer_follows_the_units(role, ranks, second, byte):
    """Inputs restated in other units of time and data restate the answer."""
    tree = jax.tree.map(
        jnp.asarray, (message(role, 3e6, ranks), getattr(KERNELS[0], role), HARDWARE)
    )
    restated = seconds_of(*in_other_units(tree, second, byte))
    np.testing.assert_allclose(restated, second * seconds_of(*tree), rtol=1e-9)


def test_every_kind_of_message_is_known():
    """A kind that the wire does not know is named."""

    class Unknown(AbstractMessage):
        pass

    with pytest.raises(NotImplementedError, match="Unknown"):
        message_s(Unknown(1.0, 2.0), KERNELS[0].all_reduce, HARDWARE)


# DeepEP's low-latency kernels on H800: ranks, and microseconds of 128 tokens a rank to 8 experts.
LOW_LATENCY = {16: (118, 195), 32: (155, 273), 64: (173, None), 256: (194, 360)}


def test_dispatch_between_nodes_takes_what_deepep_measured():
    """Each copy by itself while tokens are few; once to each node where that is faster."""
    h800 = load_hardware("h800").hardware
    fit = resolve_kernels(load_calibration("h800"), Precision()).all_to_all

    def seconds(ranks, tokens, each_bytes):
        copies = ranks * (1.0 - (1.0 - 1.0 / ranks) ** 8)
        sent = (tokens * copies * each_bytes, ranks, tokens * copies, tokens * each_bytes, 8.0)
        return float(seconds_of(AllToAll(*map(jnp.asarray, sent)), fit, h800))

    for ranks, measured in LOW_LATENCY.items():
        for each_bytes, microseconds in zip((7168.0 + 224.0, 2.0 * 7168.0), measured, strict=True):
            if microseconds is not None:
                result = 1e6 * seconds(ranks, 128.0, each_bytes)
                assert result == pytest.approx(microseconds, rel=0.05)
    # Its normal kernels, combine over 4 nodes at 4,096 tokens: 57 GB/s of 3.6 nodes a token.
    measured = 4096.0 * 3.6 * 2.0 * 7168.0 / 57e9
    assert seconds(32.0, 4096.0, 2.0 * 7168.0) == pytest.approx(measured, rel=0.1)
