"""A sweep's store is the sweep: whole, labelled, and the same however often it was interrupted."""

import os
import platform
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
import zarr

from jaxsim.catalog.errors import InputError
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.program import process_memory
from jaxsim.view.cli.config import read_config
from jaxsim.view.cli.main import main
from jaxsim.view.cli.verbs import sweep
from jaxsim.view.cli.verbs.sweep import parse_shard
from jaxsim.view.files import store
from jaxsim.view.files.atomic import replace_netcdf
from jaxsim.view.files.run_text import run_text
from jaxsim.view.files.store_frontiers import frontiers_of
from jaxsim.view.files.store_left import clear_aside, filling
from jaxsim.view.files.store_pending import pending
from jaxsim.view.files.sweep_config import read_sweep
from tests.view.written import checked

CONFIG = """
model: llama-3.1-8b
hardware: b200
workload: {isl: [512, 2048], osl: [64, 128, 256]}
space: {tp: [1, 8], pp: [1, 2], batch: [1, 16], chunk: [256, 512], prefill_batch: [1, 4]}
block_workloads: 2
"""

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(CONFIG)
    return read_sweep(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The store of the whole sweep, filled once: read it, or copy it to change it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "space.yaml").write_text(CONFIG)
    fill(read_sweep(folder / "space.yaml"), folder / "whole.zarr")
    return folder / "whole.zarr"


def opened(path) -> xr.DataTree:
    return xr.open_datatree(path, engine="zarr", consolidated=False).load()


def fill(config, path, blocks=None, shard=(1, 1)):
    config, root = store.open_store(config, path, resume=True)
    for block in pending(root, config, shard)[:blocks]:
        store.write_block(root, block, store.evaluate_block(config, block))


def test_the_store_holds_what_an_evaluation_gives(config, whole):
    tree = opened(whole)
    scenario = config.setup.scenario(config.workload)
    for phase in config.phases:
        every = evaluate_phase(phase, scenario, config.space, config.isl, config.osl)
        for name, (array, dims) in every.outputs.items():
            held = tree[phase][name]
            assert held.dims == dims
            np.testing.assert_array_equal(held.values, array, err_msg=f"{phase} {name}")
            assert held.attrs["units"]


def test_an_interrupted_sweep_goes_on(config, tmp_path, whole):
    """Killed between any two blocks, and even within one, the store ends the same."""
    path = tmp_path / "part.zarr"
    fill(config, path, blocks=3)
    config, root = store.open_store(config, path, resume=True)
    left = pending(root, config, (1, 1))
    assert len(left) == len(store.blocks_of(config)) - 3
    half = store.evaluate_block(config, left[0])
    name, (array, _) = next(iter(half.outputs.items()))
    assert array.size
    assert name in root[left[0].phase]  # a kill here leaves the block unmarked
    fill(config, path)
    xr.testing.assert_identical(opened(path), opened(whole))


def test_shards_fill_one_store(config, tmp_path, whole):
    path = tmp_path / "shards.zarr"
    for i in (2, 1, 3):
        fill(config, path, shard=(i, 3))
    xr.testing.assert_identical(opened(path), opened(whole))


def test_shards_that_begin_together_make_one_store(tmp_path, whole):
    """Whoever is first makes it, whole; nothing is left beside it."""
    (tmp_path / "space.yaml").write_text(CONFIG + "phases: [decode]\n")
    config = read_sweep(tmp_path / "space.yaml")
    path, begun = tmp_path / "x.zarr", threading.Barrier(6)

    def begin(number):
        begun.wait()
        fill(config, path, shard=(number, 6))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(1, 7)))
    made = opened(path)
    assert made[store.DONE].all()
    xr.testing.assert_identical(made["decode"].to_dataset(), opened(whole)["decode"].to_dataset())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["space.yaml", "x.zarr"]


def test_a_store_is_of_the_numbers_behind_a_name(tmp_path):
    """An edited hardware file is another sweep, though the options read the same."""
    chip = tmp_path / "own.toml"
    text = (files("jaxsim.catalog") / "data/hardware/b200.toml").read_text()
    chip.write_text(text)
    (tmp_path / "space.yaml").write_text(CONFIG.replace("b200", str(chip)))
    first = read_sweep(tmp_path / "space.yaml")
    fill(first, tmp_path / "x.zarr", blocks=1)
    assert text.count("value = 8.0e12") == 1
    chip.write_text(text.replace("value = 8.0e12", "value = 9.0e12"))
    with pytest.raises(InputError, match="other numbers behind their names"):
        fill(read_sweep(tmp_path / "space.yaml"), tmp_path / "x.zarr")
    chip.write_text(text)
    fill(read_sweep(tmp_path / "space.yaml"), tmp_path / "x.zarr", blocks=1)


def test_another_sweep_is_not_overwritten(config, tmp_path, whole):
    path = tmp_path / "s.zarr"
    shutil.copytree(whole, path)
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("2048", "1024"))
    with pytest.raises(InputError, match="another sweep"):
        store.open_store(read_sweep(other), path, resume=True)
    with pytest.raises(InputError, match="--resume"):
        store.open_store(config, path, resume=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("model: llama-3.1-8b", "modle: llama-3.1-8b"), "modle"),
        (("isl: [512, 2048]", "isl: [512, -1]"), "workload.isl"),
        (("isl: [512, 2048]", "isl: []"), "empty"),
        (("block_workloads: 2", "block_workloads: 0"), "block_workloads"),
        (("isl: [512, 2048]", "isl: [512, 200000]"), "beyond the context of llama-3.1-8b"),
        (("block_workloads: 2", "max_context: [4096]"), "max_context"),
        (("block_workloads: 2", "phases: []"), "phases: the list is empty"),
        (("block_workloads: 2", "engine: ''"), "engine: '' is no name"),
        (("model: llama-3.1-8b", "model: [llama-3.1-8b]"), "is no name"),
        (("tp: [1, 8]", "width: [1, 8]"), "space.width"),
        (("hardware: b200", "hardware: b2000"), "b200"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(change, message, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(InputError, match=message):
        read_sweep(path)


def test_a_longer_context_can_be_stated(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(CONFIG.replace("2048", "200000") + "max_context: 262144\n")
    assert read_sweep(path).setup.model.max_context_tokens == 262144.0


def test_nothing_in_a_file_is_executed(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("model: !!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="not valid YAML"):
        read_sweep(path)


@pytest.mark.parametrize("text", ["0/2", "3/2", "a/b", "2", "-1/2"])
def test_shards_are_checked(text):
    with pytest.raises(InputError, match="--shard"):
        parse_shard(text)


def test_the_verb_writes_and_reports(config, tmp_path, capsys):
    path = tmp_path / "space.yaml"
    out = tmp_path / "cli.zarr"
    assert main(["sweep", str(path), "-o", str(out), "--format", "json"]) == 0
    assert '"points_evaluated"' in capsys.readouterr().out
    assert main(["sweep", str(path), "-o", str(out)]) == 2
    assert main(["sweep", str(path), "-o", str(out), "--resume"]) == 0
    assert "nothing left" in capsys.readouterr().out


def test_what_killed_processes_left_is_removed(tmp_path):
    path = tmp_path / "all[1].zarr"
    names = [f".{path.name}-{platform.node()}-{k}" for k in (2**22 + 1, os.getpid(), "x")]
    gone, own, odd = (tmp_path / name for name in names)
    for folder in (gone, own, odd):
        folder.mkdir()
    clear_aside(path)
    assert not gone.exists()
    assert own.exists()
    assert odd.exists()


def test_frontiers_of_a_store(config, tmp_path, capsys, whole):
    path, out = tmp_path / "all.zarr", tmp_path / "front.nc"
    fill(config, path, blocks=2)
    assert main(["frontier", str(path), "--ftl", "5s"]) == 2
    assert "blocks are missing" in capsys.readouterr().err
    path = whole
    assert (
        main(
            [
                "frontier",
                str(path),
                "--ftl",
                "5s",
                "--ttl",
                "50ms",
                "-o",
                str(out),
                "--format",
                "json",
            ]
        )
        == 0
    )
    (rows,) = checked("frontier", capsys.readouterr().out)["frontiers"]
    assert "disaggregated" in rows[0]
    table = xr.load_dataset(out, engine="h5netcdf")
    assert "ftl: 5s" in table.attrs["run"]
    with xr.open_datatree(path, engine="zarr") as plain:  # warnings are errors
        assert set(plain.children) == {"prefill", "decode", "colocated"}
    assert table.gain.dims == ("isl", "osl", "ttl_target")
    np.testing.assert_allclose(table.gain, table.disaggregated / table.colocated)
    tree = opened(path)
    one = tree["colocated"].sel(isl=512, osl=64).to_dataset()
    for_mode = [
        one[f"{mode}_output_tokens_per_s_per_gpu"].where(
            one[f"{mode}_valid"] & (one[f"{mode}_ttl_s"] <= 0.05) & (one[f"{mode}_ftl_s"] <= 5.0)
        )
        for mode in ("ifb", "piggybacked")
    ]
    best = max(float(values.max()) for values in for_mode)
    assert float(table.colocated.sel(isl=512, osl=64, ttl_target=0.05)) == pytest.approx(best)
    for kind in ("disaggregated", "colocated"):
        held = table[kind].notnull()
        assert held.any()
        low, value, high = table[f"{kind}_low"], table[kind], table[f"{kind}_high"]
        assert bool((((low < value) & (value < high)) | ~held).all())
        np.testing.assert_allclose((low * high).where(held), (value**2).where(held), rtol=1e-6)


def test_a_frontier_is_as_sure_as_a_plan(config):
    """The Python frontier carries the intervals that a plan's curves have, design by design."""
    import jaxsim

    workload = jaxsim.Workload(isl=2048.0, osl=128.0)
    tree = jaxsim.evaluate("llama-3.1-8b", "b200", workload, config.space)
    front = jaxsim.frontier(tree, ftl_s=5.0)
    plan = jaxsim.plan("llama-3.1-8b", "b200", workload, ftl_s=5.0, ttl_s=0.05, space=config.space)
    curves = {curve.name: curve for curve in plan.curves}
    for kind, name in (("disaggregated", "disaggregated"), ("colocated", "co-located")):
        curve, own = curves[name], front[kind]
        np.testing.assert_allclose(own.ttl_s, curve.ttl_s, rtol=1e-6)
        for end in ("low", "high"):
            result = own[f"output_tokens_per_s_per_gpu_{end}"]
            np.testing.assert_allclose(result, getattr(curve, end), rtol=1e-6)
            assert result.attrs["units"]
            assert "80 %" in result.attrs["description"]


def test_a_tree_that_does_not_say_how_sure_it_is_is_refused(config):
    import jaxsim

    tree = jaxsim.evaluate(
        "llama-3.1-8b", "b200", jaxsim.Workload(isl=512.0, osl=64.0), config.space
    )
    del tree.attrs["log_sigma_sources"]
    with pytest.raises(InputError, match="log_sigma_sources"):
        jaxsim.frontier(tree)


def test_a_store_says_how_it_was_made(whole, tmp_path, monkeypatch):
    """`jaxsim run STORE` sweeps the same, with what --set changes; a store of others says no."""
    assert read_sweep_of(whole, [], tmp_path, monkeypatch).options == yaml.safe_load(CONFIG)
    longer = read_sweep_of(whole, ["--set", "config.workload.isl=4096"], tmp_path, monkeypatch)
    assert longer.isl == (4096.0,)
    other = tmp_path / "other.zarr"
    zarr.open_group(other, mode="w")
    with pytest.raises(InputError, match="does not say how it was made"):
        read_config(other)


def read_sweep_of(path, more, folder, monkeypatch):
    """The sweep that `jaxsim run` asks for."""
    result = []
    monkeypatch.setattr(
        sweep, "run", lambda args: result.append(read_sweep(Path(args.config))) or 0
    )
    assert main(["run", str(path), *more, "-o", str(folder / "new.zarr")]) == 0
    return result[0]


def test_the_best_of_a_sweep_say_how_they_were_found(tmp_path):
    path = tmp_path / "best.nc"
    tree = xr.DataTree.from_dict({"/decode": xr.Dataset()})
    tree.attrs["run"] = run_text({"verb": "sweep", "config": {"model": "x"}, "best": "2"})
    replace_netcdf(path, tree)
    assert read_config(path) == {"verb": "sweep", "config": {"model": "x"}, "best": "2"}


def chunk_of(path, name="decode/ttl_s"):
    return next(p for p in sorted((path / name / "c").rglob("*")) if p.is_file())


def damaged(whole, tmp_path, change):
    """What `jaxsim frontier` says of a copy of a store, after a change."""
    path = tmp_path / "damaged.zarr"
    shutil.copytree(whole, path)
    change(path)
    with pytest.raises(InputError) as said:
        frontiers_of(path, 5.0, [0.05])
    assert str(path) in str(said.value)
    return path, str(said.value)


def test_a_deleted_chunk_is_no_zero(config, whole, tmp_path):
    """It is named on reading, and made again by --resume."""
    path, said = damaged(whole, tmp_path, lambda path: chunk_of(path).unlink())
    assert "decode/ttl_s/c/" in said
    fill(config, path)
    xr.testing.assert_identical(opened(path), opened(whole))


@pytest.mark.parametrize("place", [0, -1, 7])
def test_a_flipped_bit_in_a_chunk_is_an_error(place, whole, config, tmp_path):
    """Also in a finished block: --resume computes that one again."""

    def flip(path):
        chunk = chunk_of(path)
        raw = bytearray(chunk.read_bytes())
        raw[place] ^= 16
        chunk.write_bytes(raw)

    path, said = damaged(whole, tmp_path, flip)
    assert "a chunk is damaged" in said
    if place != 7:
        return
    config, root = store.open_store(config, path, resume=True)
    told = []
    assert pending(root, config, (1, 1), told.append) == told
    assert [block.phase for block in told] == ["decode"]
    store.write_block(root, told[0], store.evaluate_block(config, told[0]))
    assert chunk_of(path).read_bytes() == chunk_of(whole).read_bytes()


def test_what_resuming_finds_damaged_is_said(config, whole, tmp_path, capsys):
    path, mark = tmp_path / "x.zarr", b"damaged"
    shutil.copytree(whole, path)
    # As it was written, with a checksum of its own, but of another array.
    chunk_of(path).write_bytes(chunk_of(whole, "decode/valid").read_bytes())
    run = ["sweep", str(tmp_path / "space.yaml"), "-o", str(path), "--resume"]
    assert main(run) == 0
    assert "1 finished blocks are not as they were written" in capsys.readouterr().err
    assert chunk_of(path).read_bytes() == chunk_of(whole).read_bytes()
    chunk_of(path, "decode/tp").write_bytes(mark)
    chunk_of(path, "decode/isl").unlink()
    assert main(run) == 0
    assert re.search("decode/(tp|isl), decode/(tp|isl) are missing or not", capsys.readouterr().err)
    for axis in ("decode/tp", "decode/isl"):
        assert chunk_of(path, axis).read_bytes() == chunk_of(whole, axis).read_bytes()


@pytest.mark.parametrize("name", ["zarr.json", "decode/zarr.json", "decode/ttl_s/zarr.json"])
def test_what_describes_a_store_is_as_it_was_written(name, whole, tmp_path):
    """Units, axes and the options of the run decide what numbers mean."""

    def change(path):
        text = (path / name).read_text()
        (path / name).write_text(text.replace("attributes", "attributez", 1))

    damaged(whole, tmp_path, change)
    shutil.rmtree(tmp_path / "damaged.zarr")
    assert (
        "not valid JSON" in damaged(whole, tmp_path, lambda p: (p / "zarr.json").write_text("{"))[1]
    )


def test_a_store_of_another_version_is_refused(whole, tmp_path):
    def older(path):
        root = path / "zarr.json"
        root.write_text(root.read_text().replace(store.SCHEMA, "jaxsim.sweep/1"))

    assert "schema" in damaged(whole, tmp_path, older)[1]


def test_a_store_says_what_made_it(whole):
    held = opened(whole).attrs
    assert held["jaxsim_version"]
    assert len(held["calibration_sha256"]) == 64
    assert held["machine"]


def test_blocks_shrink_to_the_memory_that_may_be_used(config, monkeypatch):
    def fits(most):
        monkeypatch.setattr(store, "free_bytes", lambda: most)
        monkeypatch.setattr(process_memory, "free_bytes", lambda: most)
        return store.fitting(config).block_workloads

    assert fits(float("inf")) == 2
    one = store.needed_bytes("colocated", config.setup.scenario(config.workload), config.space,
                             config.isl[:1], config.osl[:1])  # fmt: skip
    assert fits(1.5 * one) == 1
    with pytest.raises(InputError, match="are free: restrict"):
        fits(0.5 * one)


def test_half_written_chunks_of_killed_processes_are_removed(tmp_path):
    """By a process that is alone with the store; of several, by the last to end."""
    old, new = (tmp_path / f"decode/x/c/0.{name}.partial" for name in ("old", "new"))
    old.parent.mkdir(parents=True)

    def leave():
        for left in (old, new):
            left.write_bytes(b"half")
        os.utime(old, (0, 0))

    leave()
    with filling(tmp_path):
        assert not new.exists()
        leave()
        with filling(tmp_path):
            assert (old.exists(), new.exists()) == (False, True)  # an hour old, or of the other
        assert new.exists()
    assert not new.exists()
