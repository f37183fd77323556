"""Is the limit of the chip one?  No kernel of today is faster, and the datasheet is not beaten."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxsim.catalog.calibration import fit_of, load_calibration
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.setup import limit_of, setup_of
from jaxsim.catalog.silicon_limit import at_the_limit, limit_constants
from jaxsim.catalog.workload import Workload
from jaxsim.point.collectives import message_s
from jaxsim.point.roofline import kernel_s
from tests.laws.test_chip import (
    MESSAGES,
    SIZES,
    SLACK,
    bound_s,
    combined,
    full,
    hardware,
    stack,
    works,
)
from tests.narrow import untyped

CHIPS = ("h200", "gb200-nvl72")  # with kernels of their own, of two generations
KINDS = {
    "gemm": ("nvfp4", "fp8", "bf16"),
    "experts": ("nvfp4", "fp8"),
    "context_latent": ("fp8", "bf16"),
    "decode_latent": ("fp8", "bf16"),
    "stream": ("any",),
    "dsa_context": ("any",),
    "compressed_decode": ("any",),
}
IDEAL = float(load_engine("ideal").engine.launch_factor)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kernel_of_today_is_faster(kind):
    """Beside the part of a launch floor that the ideal engine hides."""
    today, limits, chips = [], [], []
    for name in CHIPS:
        own = load_calibration(hardware(name).calibration)
        for number_format in KINDS[kind]:
            fit = fit_of(own, kind, number_format)
            if kind == "decode_latent":
                fit = dataclasses.replace(fit, cache_bytes=0.0)
            today.append(fit)
            limits.append(fit_of(at_the_limit(own), kind, number_format))
            chips.append(hardware(name).hardware.chip)

    @jax.jit
    def ratios(today, limits, chips, work):
        def one(fit, limit, chip, own):
            least = kernel_s(own, limit, chip)
            hidden = (1.0 - IDEAL) * fit.launch_s
            return least / (kernel_s(own, fit, chip) - hidden), least / bound_s(own, limit, chip)

        each = jax.vmap(one, (None, None, None, 0))
        return jax.vmap(each, (0, 0, 0, None))(today, limits, chips, work)

    over_today, over_peak = ratios(stack(today), stack(limits), stack(chips), works(kind))
    # Where one token attends to a million, alone on a chip, the smooth maximum differs by 3 %.
    assert np.asarray(over_today).max() <= 1.035
    assert np.asarray(over_peak).min() >= SLACK


@pytest.mark.parametrize("kind", ["all_reduce", "all_to_all"])
def test_no_message_of_today_is_faster(kind):
    sizes = combined(data_bytes=SIZES**1.7, ranks=np.array([2.0, 8.0, 64.0]))
    extra = {"pieces": 0.0} if kind == "all_to_all" else {}
    work = full(MESSAGES[kind], **sizes, **extra)
    work = jax.tree.map(lambda leaf: np.broadcast_to(leaf, np.shape(work.data_bytes)), work)
    for name in CHIPS:
        own = load_calibration(hardware(name).calibration)
        today, limit = (
            jax.vmap(message_s, (0, None, None))(
                work, untyped(fit_of(c, kind)), hardware(name).hardware
            )
            for c in (own, at_the_limit(own))
        )
        inside = np.asarray(work.ranks) <= float(hardware(name).hardware.domain_gpus)
        assert np.asarray(limit / today)[inside].max() <= 1.01


def test_every_constant_has_a_source():
    constants, provenance = limit_constants()
    assert {datum.kind for datum in provenance.values()} <= {"spec", "measured", "assumed"}
    assert all(datum.source for datum in provenance.values())
    assert len(provenance) >= max(len(own) for own in constants.values())


def test_an_engine_chooses_the_limit(tmp_path):
    work, design = Workload(isl=1024.0, osl=128.0), Deployment(1.0, 1.0, 1.0, 8.0, 1024.0)
    named = setup_of("llama-3.1-8b", "h100", engine="limit")
    other = limit_of(setup_of("llama-3.1-8b", "h100", engine="vllm"))
    assert named.calibration.name == other.calibration.name == "h100, limit"
    a, b = (one.scenario(work, design) for one in (named, other))
    assert jax.tree.leaves(a) == jax.tree.leaves(b)
    assert float(a.kernels.stream.launch_s) == 0.0 < float(a.kernels.all_reduce.launch_s)
    wrong = tmp_path / "own.toml"
    wrong.write_text('title = "Own"\nkernels = "best"\n', encoding="utf-8")
    with pytest.raises(InputError, match="kernels: is 'best'; 'limit' is allowed"):
        load_engine(str(wrong))
