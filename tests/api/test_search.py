"""Are the best designs of a search those of the whole evaluation?"""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import jaxsim
from jaxsim._scalar import as_scalar
from jaxsim.view.cli.main import BAD_INPUT, OK, main

SPACE = jaxsim.Space(
    tp=(1, 2, 4, 8), ep=(1, 8, 32), pp=(1, 2), batch=(1, 8, 64, 300, 1024), chunk=(1024, 4096),
    prefill_batch=(1, 4, 16),
)  # fmt: skip
LOADS = jaxsim.Workload(
    isl=as_scalar(np.array([2048.0, 8192.0])), osl=as_scalar(np.array([256.0, 1024.0]))
)


@pytest.fixture(scope="module")
def tree():
    return jaxsim.evaluate("deepseek-r1", "gb200-nvl72", LOADS, SPACE)


def _masked(dataset, value, ok):
    """All designs of every workload in one dimension, NaN where they do not count."""
    full = xr.broadcast(dataset[value].where(ok), dataset.batch)[0]
    axes = [d for d in full.dims if d not in ("isl", "osl")]
    return full.stack(design=axes).transpose(..., "design")


def test_decode_under_targets_is_the_best_of_all_designs(tree):
    targets = (0.01, 0.03, np.inf)
    result = jaxsim.search(
        "deepseek-r1", "gb200-nvl72", LOADS, SPACE, phase="decode", targets_s=targets, count=3
    )
    every = tree["decode"].to_dataset()
    name = "output_tokens_per_s_per_gpu"
    for i, target in enumerate(targets):
        ok = every.valid & every.transfer_fits & (every.ttl_s <= target)
        best = np.sort(-_masked(every, name, ok).values, axis=-1)[..., :3]
        np.testing.assert_allclose(result[name][:, :, i].values, -best, rtol=2e-6)
    one = result.isel(isl=0, osl=1, ttl_target=1, rank=0)
    design = {axis: one[axis].item() for axis in ("tp", "ep", "pp", "batch")}
    again = every.isel(isl=0, osl=1).sel(design)
    assert again[name].item() == pytest.approx(one[name].item(), rel=2e-6)
    assert result.ttl_target.attrs["units"] == "s"
    assert result[name].attrs["units"] == "tokens/s"
    assert result.attrs["points_evaluated"] == 4 * 3 * 2 * 5 * 4 * 3


def test_colocated_takes_the_better_mode(tree):
    result = jaxsim.search(
        "deepseek-r1", "gb200-nvl72", LOADS, SPACE, phase="colocated", targets_s=0.05, ftl_s=2.0
    )
    every = tree["colocated"].to_dataset()
    best = []
    for mode in ("ifb", "piggybacked"):
        ok = every[f"{mode}_valid"] & (every[f"{mode}_ttl_s"] <= 0.05)
        ok = ok & (every[f"{mode}_ftl_s"] <= 2.0)
        best.append(_masked(every, f"{mode}_output_tokens_per_s_per_gpu", ok).max("design"))
    expected = np.fmax(*(b.transpose("isl", "osl").values for b in best))
    got = result.output_tokens_per_s_per_gpu.isel(ttl_target=0).values
    np.testing.assert_allclose(got, expected, rtol=2e-6)


def test_frontiers_are_those_of_all_designs(tree):
    result = jaxsim.search(
        "deepseek-r1", "gb200-nvl72", LOADS, SPACE, phase="decode", frontier=True
    ).isel(isl=1, osl=0)
    every = tree["decode"].to_dataset().isel(isl=1, osl=0)
    ok = every.valid & every.transfer_fits
    x = every.ttl_s.where(ok).values.ravel()
    y = every.output_tokens_per_s_per_gpu.where(ok).values.ravel()
    kept = [
        (a, b)
        for a, b in zip(x, y, strict=True)
        if a == a and not ((x <= a) & (y >= b) & ((x < a) | (y > b))).any()
    ]
    pairs = sorted(set(kept))
    got = result.ttl_s.values[~np.isnan(result.ttl_s.values)]
    np.testing.assert_allclose(got, [a for a, _ in pairs], rtol=2e-6)


def test_several_chips_are_one_more_axis():
    one = jaxsim.Workload(isl=4096.0, osl=512.0)
    chips = ["gb200-nvl72", "h200"]
    request = {"phase": "decode", "targets_s": 0.05}
    both = jaxsim.search("deepseek-r1", chips, one, SPACE, **request)
    assert list(both.hardware.values) == chips
    for i, chip in enumerate(chips):
        alone = jaxsim.search("deepseek-r1", chip, one, SPACE, **request)
        np.testing.assert_allclose(
            both.output_tokens_per_s_per_gpu.isel(setup=i), alone.output_tokens_per_s_per_gpu,
            rtol=2e-6,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"phase": "training"}, "prefill, decode, colocated"),
        ({"phase": "decode", "count": 0}, "count"),
        ({"phase": "decode", "targets_s": (0.1, -1.0)}, "targets_s"),
        ({"phase": "decode", "model": ["deepseek-r1", "llama-3.1-8b"]}, "structures"),
    ],
)
def test_impossible_searches_are_refused(keywords, says):
    model = keywords.pop("model", "deepseek-r1")
    with pytest.raises(jaxsim.InputError, match=says):
        jaxsim.search(model, "gb200-nvl72", LOADS, SPACE, **keywords)


CONFIG = """\
model: llama-3.1-8b
hardware: h200
workload: {isl: [1024, 2048], osl: 256}
space: {tp: [1, 2], pp: [1], batch: [1, 16, 64], chunk: [512], prefill_batch: [1, 4]}
"""


def test_the_command_writes_the_best_of_every_phase(tmp_path, capsys):
    (tmp_path / "space.yaml").write_text(CONFIG)
    out = tmp_path / "best.nc"
    request = ["sweep", str(tmp_path / "space.yaml"), "-o", str(out), "--best", "2"]
    assert main([*request, "--ttl", "20ms,50ms", "--format", "json"]) == OK
    said = json.loads(capsys.readouterr().out)
    assert said["points_evaluated"] == 2 * (2 * 2 + 2 * 3 * 2 + 2 * 3 * 2)
    with xr.open_datatree(out, engine="h5netcdf") as result:
        assert set(result.children) == {"prefill", "decode", "colocated"}
        assert dict(result["decode"].sizes) == {"isl": 2, "osl": 1, "ttl_target": 2, "rank": 2}
    assert not list(tmp_path.glob(".best*"))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--best", "none"], "whole number"),
        (["--best", "2", "--shard", "1/2"], "--shard"),
        (["--ttl", "20ms"], "--best"),
        (["--best", "2", "--ttl", "soon"], "--ttl"),
    ],
)
def test_bad_searches_leave_nothing(tmp_path, capsys, extra, says):
    (tmp_path / "space.yaml").write_text(CONFIG)
    out = tmp_path / "best.nc"
    assert main(["sweep", str(tmp_path / "space.yaml"), "-o", str(out), *extra]) == BAD_INPUT
    assert says in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("phase", ["decode", "colocated"])
def test_exact_is_the_best_of_every_batch(phase):
    """Against every whole batch, one by one: better than the grid, and as good as any."""
    space = jaxsim.Space(tp=(1, 2), pp=(1,), chunk=(2048,))
    loads = jaxsim.Workload(isl=1500.0, osl=300.0)
    wanted = {"phase": phase, "targets_s": (0.013, 0.021), "ftl_s": 2.0}
    grid, exact = (
        jaxsim.search("llama-3.1-8b", "h100", loads, space, exact=own, **wanted)
        for own in (False, True)
    )
    name = "output_tokens_per_s_per_gpu"
    whole = replace(space, batch=tuple(float(b) for b in range(1, 600)))
    dense = jaxsim.search("llama-3.1-8b", "h100", loads, whole, **wanted)
    assert float(dense.batch.max()) < 590
    np.testing.assert_allclose(exact[name], dense[name], rtol=4e-4)
    assert float((exact[name] / grid[name]).max()) > 1.01
    with pytest.raises(jaxsim.InputError, match="leave out count and frontier"):
        jaxsim.search("llama-3.1-8b", "h100", loads, space, exact=True, count=2, **wanted)
