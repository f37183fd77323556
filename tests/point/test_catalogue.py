"""Every model of the catalogue, on every accelerator, in both phases: finite, and sane."""

import collections
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.load import list_hardware, list_models, load_model
from jaxsim.catalog.precision_presets import load_precision
from jaxsim.catalog.setup import default_precision, setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill

# The first is the base; each other asks for more of one thing.
CASES = (
    (4096.0, 8.0, 1.0),
    (4096.0, 64.0, 1.0),  # batch
    (32768.0, 8.0, 1.0),  # context
    (4096.0, 8.0, 2.0),  # memory bandwidth
)


# Scenarios that run at once, of one structure. Fewer would leave JAX little but overhead to do.
ROWS = 512


def _scenarios():
    """By structure: names, and the base scenario of every model on every accelerator."""
    first = load_model("llama-3.1-8b")
    setups = [setup_of(first, name, engine="ideal") for name in list_hardware()]
    result = collections.defaultdict(lambda: ([], []))
    design = Deployment(tp=1.0, ep=1.0, pp=1.0, batch=8.0, chunk=2048.0)
    workload = Workload(isl=4096.0, osl=512.0)
    for name in list_models():
        card = load_model(name)
        for one in setups:
            precision = load_precision(default_precision(card, one.hardware), card)
            setup = replace(one, model=card, precision=precision)
            names, scenarios = result[jax.tree.structure(card.model)]
            names.append(f"{name} on {one.hardware.name}")
            scenarios.append(setup.scenario(workload, design))
    return result


def _every_case(scenarios):
    """One record whose leaves hold every case of every scenario, and copies up to `ROWS`."""

    def column(values):
        return jax.numpy.asarray(np.resize(np.asarray(values, float), ROWS))

    def repeated(*leaves):
        return column(np.repeat(np.asarray(leaves, float), len(CASES)))

    isl, batch, faster = (column(values * len(scenarios)) for values in zip(*CASES, strict=True))
    base = jax.tree.map(repeated, *scenarios)
    chip = base.hardware.chip
    chip = replace(chip, hbm_bytes_per_s=chip.hbm_bytes_per_s * faster)
    return replace(
        base,
        workload=replace(base.workload, isl=isl),
        design=replace(base.design, batch=batch),
        hardware=replace(base.hardware, chip=chip),
    )


def _both(scenario):
    first, second = prefill(scenario), decode(scenario)
    return {
        "prefill": (first.parts.total_s, first.memory.total_bytes, first.transfer.kv_prompt_bytes),
        "decode": (second.parts.total_s, second.memory.total_bytes, second.ttl_s),
    }


@pytest.fixture(scope="module")
def result():
    """Names, and for each phase an array of (quantity, pair, case).

    Every operation runs on many scenarios of a structure at once, as many for each structure, so
    that it is compiled once for all: tracing 26 structures takes longer.
    """
    names, outputs = [], collections.defaultdict(list)
    size = ROWS // len(CASES)
    for own, scenarios in _scenarios().values():
        names += own
        for start in range(0, len(own), size):
            part = scenarios[start : start + size]
            rows = len(part) * len(CASES)
            for phase, values in _both(_every_case(part)).items():
                flat = [np.broadcast_to(np.asarray(v), ROWS)[:rows] for v in values]
                shape = (len(values), len(part), len(CASES))
                outputs[phase].append(np.reshape(np.stack(flat), shape))
    return names, {phase: np.concatenate(own, axis=1) for phase, own in outputs.items()}


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_every_pair_is_finite_and_monotone(result, phase):
    names, outputs = result
    assert len(names) == len(list_models()) * len(list_hardware())
    seconds, memory, last = outputs[phase]
    for quantity in (seconds, memory, last):
        assert np.isfinite(quantity).all()
        assert (quantity > 0.0).all()

    def broken(holds):
        return [name for name, fine in zip(names, holds, strict=True) if not fine][:5]

    little = 1.0 - 1e-5
    assert not broken(seconds[:, 1] >= little * seconds[:, 0]), "a larger batch is faster"
    assert not broken(seconds[:, 2] >= little * seconds[:, 0]), "a longer context is faster"
    assert not broken(seconds[:, 3] <= seconds[:, 0] / little), "more bandwidth is slower"
    assert not broken(memory[:, 1] >= little * memory[:, 0]), "a larger batch needs less memory"
    assert not broken(memory[:, 2] >= little * memory[:, 0]), "a longer context needs less memory"
    if phase == "decode":
        # Between a tenth of a millisecond and a minute for eight sequences on one accelerator.
        assert (seconds[:, 0] > 1e-4).all()
        assert (seconds[:, 0] < 60.0).all()
