"""`jaxsim search`: what it prints and writes is what the search found."""

import csv
import ctypes
import json
import os
import sys
import threading

import jax
import numpy as np
import pytest
import xarray as xr

import jaxsim
from jaxsim._scalar import as_scalar
from jaxsim.view.cli import device
from jaxsim.view.cli import main as cli
from jaxsim.view.cli.config import read_config
from tests.view.written import checked

MODEL = ["search", "llama-3.1-8b", "--hardware", "h100"]
HELD = {
    "decode": ["--batch", "1,8,64,256"],
    "prefill": ["--prefill-batch", "1,4", "--chunk", "512,4096"],
    "colocated": ["--batch", "1,8,64,256", "--chunk", "512,4096"],
}
SPACE = jaxsim.Space(
    tp=(1, 2, 4), pp=(1, 2), batch=(1, 8, 64, 256), chunk=(512, 4096), prefill_batch=(1, 4)
)


def words_of(*more, phase="decode", isl="1000,4000", osl="100,900"):
    axes = ["--tp", "1,2,4", "--pp", "1,2", *HELD[phase]]
    return [*MODEL, "--phase", phase, "--isl", isl, "--osl", osl, *axes, *more]


def searched(phase="decode", isl=(1000.0, 4000.0), osl=(100.0, 900.0), hardware="h100", **more):
    workload = jaxsim.Workload(isl=as_scalar(np.array(isl)), osl=as_scalar(np.array(osl)))
    return jaxsim.search("llama-3.1-8b", hardware, workload, SPACE, phase=phase, **more)


def test_few_designs_are_listed(capsys):
    assert cli.main(words_of("--ttl", "20ms", "--best", "2")) == 0
    out = capsys.readouterr().out
    expected = searched(targets_s=0.02, count=2)
    assert out.startswith("Best decode designs of llama-3.1-8b on h100")
    assert f"{expected.attrs['points_evaluated']:,} designs" in out
    assert "TTL ≤ 20 ms" in out
    rows = [line.split() for line in out.splitlines() if " TP" in line]
    assert len(rows) == 8
    first = expected.isel(ttl_target=0, isl=1, osl=0, rank=0)
    assert rows[4][:3] == ["4,000", "100", "1"]
    shape = [f"{n.upper()}{int(first[n])}" for n in ("tp", "ep", "pp")]
    assert rows[4][4:9] == [*shape, "batch", f"{int(first.batch):,}"]


def test_many_workloads_are_mapped_and_their_designs_counted(capsys):
    assert cli.main(words_of("--ttl", "3.2ms,50ms", isl="500..32000:10", osl="64..2048:9")) == 0
    out = capsys.readouterr().out
    assert out.count("Output tokens/s/GPU of the best design · TTL") == 2
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if "TTL ≤ 50 ms" in line)
    lengths = [float(line.split()[0].replace(",", "")) for line in lines[start + 2 : start + 9]]
    assert (lengths[0], lengths[-1]) == (500.0, 32000.0)
    isl, osl = np.geomspace(500.0, 32000.0, 10), np.geomspace(64.0, 2048.0, 9)
    expected = searched(isl=tuple(isl), osl=tuple(osl), targets_s=(0.0032, 0.05))
    best = expected.output_tokens_per_s_per_gpu
    corner = best.isel(ttl_target=1, isl=0, osl=0).item()
    shown = float(lines[start + 2].split()[1].replace(",", ""))
    assert shown == pytest.approx(corner, rel=5e-3)
    shares = [line for line in lines[start:] if " %" in line]
    assert shares
    none = int(best.isel(ttl_target=0).isnull().sum())
    assert 20 < none < 60  # 3.2 ms is too tight for long prompts
    assert f"({none} of 90 have none)" in out


@pytest.mark.parametrize(
    ("phase", "more", "options"),
    [
        ("decode", ["--ttl", "10ms,50ms"], {"targets_s": (0.01, 0.05)}),
        ("colocated", ["--ttl", "50ms", "--ftl", "1s"], {"targets_s": 0.05, "ftl_s": 1.0}),
        ("prefill", ["--ftl", "200ms,1s"], {"targets_s": (0.2, 1.0)}),
    ],
)
def test_json_holds_what_the_search_found(capsys, phase, more, options):
    osl = "100" if phase == "prefill" else "100,900"
    assert cli.main(words_of(*more, "--format", "json", phase=phase, osl=osl)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    told = checked("search", out)
    expected = searched(phase, osl=(100.0,) if phase == "prefill" else (100.0, 900.0), **options)
    rate = "input" if phase == "prefill" else "output"
    for name in (f"{rate}_tokens_per_s_per_gpu", "tp", "pp", "batch"):
        values = np.array(told[name], dtype=float)[..., 0]
        np.testing.assert_allclose(values, expected[name].values, rtol=1e-6)
    assert told["dims"][:-1] == [
        f"{dim}_s" if dim.endswith("target") else dim for dim in expected.tp.dims
    ]
    assert told["points_evaluated"] == expected.attrs["points_evaluated"]
    assert told["coordinates"]["isl"] == [1000.0, 4000.0]
    assert told["device"] == device.name()


def test_files_hold_what_the_search_found(tmp_path, capsys):
    expected = searched(targets_s=0.02, count=2)
    paths = [tmp_path / name for name in ("best.csv", "best.nc")]
    for path in paths:
        assert cli.main(words_of("--ttl", "20ms", "--best", "2", "-o", str(path))) == 0
        assert f"All of it is in {path}" in capsys.readouterr().out
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert list(rows[0])[:5] == ["model", "precision", "engine", "isl", "osl"]
    for row in rows:
        place = {"isl": float(row["isl"]), "osl": float(row["osl"])}
        own = expected.sel(place).isel(ttl_target=0, rank=int(row["rank"]) - 1)
        assert float(row["ttl_target_s"]) == 0.02
        assert float(row["batch"]) == own.batch
        rate = float(row["output_tokens_per_s_per_gpu"])
        assert rate == pytest.approx(own.output_tokens_per_s_per_gpu.item(), rel=1e-5)
    with xr.open_dataset(paths[1], engine="h5netcdf") as written:
        xr.testing.assert_equal(written.load(), expected)
    # Either says how it was made, and is made again from it.
    assert read_config(paths[0]) == read_config(paths[1])
    again = tmp_path / "again.csv"
    assert cli.main(["run", str(paths[1]), "-o", str(again)]) == 0
    assert again.read_bytes() == paths[0].read_bytes()


def test_several_chips_are_one_search(capsys):
    words = words_of("--ttl", "20ms")
    words[words.index("h100")] = "h100,h200"
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "on h100, h200" in out
    h100, h200 = (
        searched(hardware=name, targets_s=0.02).output_tokens_per_s_per_gpu[0, 0, 0].item()
        for name in ("h100", "h200")
    )
    assert h200 > 1.1 * h100
    parts = out.split("of the best design · h")
    assert [part[:3] for part in parts[1:]] == ["100", "200"]
    for part, rate in zip(parts[1:], (h100, h200), strict=True):
        shown = float(part.splitlines()[2].split()[2].replace(",", ""))
        assert shown == pytest.approx(rate, rel=5e-3)


def test_a_gpu_is_for_more_designs_than_its_start_is_worth(monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 2)
    assert [device.pays(designs) for designs in (1e6, 5e8, 1e9)] == [False, False, True]


@pytest.mark.parametrize(
    ("words", "platforms", "started"),
    [
        (["models"], "cpu", []),
        (words_of(), "", []),
        (["run", "search.yaml"], "", []),
        (words_of("--device", "gpu"), "", [0]),
    ],
)
def test_only_verbs_with_a_device_may_start_a_gpu(words, platforms, started, monkeypatch):
    class Driver:
        def __init__(self, name: str):
            assert name == "libcuda.so.1"

        cuInit = cuDeviceGet = staticmethod(lambda *args: 0)

        def cuDevicePrimaryCtxRetain(self, context: object, device: ctypes.c_int):
            contexts.append(device.value)

    contexts: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", Driver)
    args = cli.build_parser().parse_args(words)
    monkeypatch.delitem(sys.modules, "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "")
    for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name)
    before = set(threading.enumerate())
    device.prepare(args)
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert os.environ.get("JAX_PLATFORMS", "") == platforms
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert contexts == started


def test_nothing_within_the_target_has_a_status_of_its_own(capsys):
    assert cli.main(words_of("--ttl", "1us")) == 3
    out, err = capsys.readouterr()
    assert "no design is valid within the target" in out
    assert "no workload has a design within the targets" in err
    assert cli.main(words_of("--ttl", "1us", "--format", "json")) == 3
    assert "within the targets" in json.loads(capsys.readouterr().out)["error"]
    words = ["search", "llama-3.1-405b", "--hardware", "h100", "--phase", "decode"]
    assert cli.main([*words, "--isl", "1000", "--osl", "100", "--tp", "1", "--pp", "1"]) == 3
    assert "no design is valid for its memory" in capsys.readouterr().out


def test_what_was_asked_is_told(capsys):
    more = ("--ttl", "50ms", "--ftl", "200ms", "--imbalance", "1.5", "--ep", "1,8")
    assert cli.main(words_of(*more, phase="colocated")) == 0
    out = " ".join(capsys.readouterr().out.split())
    for told in ("FTL of all designs within 200ms.", "--imbalance 1.5", "ep 1,8", "dense"):
        assert told in out
    assert cli.main(words_of(*more, "--format", "json", phase="colocated")) == 0
    assert any("200ms" in note for note in json.loads(capsys.readouterr().out)["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ftl", "1s"], "--ftl does not limit decode instances: give --ttl"),
        (["--ttl", "20"], "--ttl '20' is ambiguous"),
        (["--chunk", "512"], "--chunk: decode instances do not depend on it"),
        (["--best", "0"], "--best '0' must be at least 1"),
        (["--best", "two"], "--best 'two' is not a whole number"),
        (["--best", "9" * 5000], "must be at most 1,000,000,000,000"),
        (["-o", "best.txt"], "best.txt: give a name that ends in .csv or .nc"),
        (["-o", "nowhere/best.csv"], "there is no folder nowhere"),
        (["--tp", "0"], "--tp '0' must be at least 1"),
        pytest.param(
            ["--device", "gpu"],
            "--device gpu: ",
            marks=pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a GPU"),
        ),
    ],
)
def test_bad_input_is_refused(capsys, words, said):
    assert cli.main([*words_of(), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"isl": "4000..1000"}, "write LOW..HIGH with LOW < HIGH"),
        ({"isl": "1000..4000:1"}, "LOW..HIGH:N"),
        ({"isl": "1000..4000:x"}, "'x' is not a whole number"),
        ({"isl": "1..4:1000000000"}, "only 4 whole numbers"),
        ({"isl": ""}, "a value is needed"),
        ({"isl": "1..2000000000:2000000000"}, "at most 1,000,000 lengths"),
        ({"osl": "1,8"}, "at least 2 tokens"),
        ({"isl": "1024,200000"}, "beyond the context of"),
        ({"phase": "prefill"}, "prefill does not depend on it"),
    ],
)
def test_bad_lengths_are_refused(capsys, lengths, said):
    assert cli.main(words_of(**lengths)) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_chip_is_named(capsys):
    words = words_of()
    words[words.index("h100")] = "h100,h101"
    assert cli.main(words) == 2
    assert "h101" in capsys.readouterr().err
