"""Fits of kernel forms: they find known constants, hold shapes out, and refuse bad measurements."""

import hashlib
from dataclasses import fields, replace

import jax
import numpy as np
import pytest

from jaxsim.catalog.calibration import read_calibration
from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.fits import CollectiveFit, GemmFit, PeakShare, StreamFit
from jaxsim.catalog.load import load_hardware
from jaxsim.point.work import AllReduce, DecodeAttention, Gemm, ReduceScatter, Stream
from jaxsim.truth.kernels import fit as kernel_fit
from jaxsim.truth.kernels.calibrate import calibrate
from jaxsim.truth.kernels.doubts import doubtful_rows
from jaxsim.truth.kernels.fit import error_stats, fit_rows, predict_s
from jaxsim.truth.kernels.frames import pandas_module
from jaxsim.truth.kernels.rows import (
    KernelRows,
    is_unseen,
    joined_rows,
    shape_of,
    stacked,
    unseen_rows,
)
from jaxsim.truth.kernels.tables import Tables
from jaxsim.truth.kernels.tables_moe import balanced_routing, grouped_routing, message_rows
from jaxsim.truth.kernels.tables_selected import candidates, of_one_kernel, slow, slower
from tests.narrow import untyped

DECODE_COLUMNS = [f.name for f in fields(DecodeAttention) if f.name != "masked"]
HEADER = "op,shape,dtype,gpu,metric,value,unit,url,kind,notes\n"


@pytest.fixture(scope="module")
def card() -> HardwareCard:
    return load_hardware("b200")


# ---- what is held out ----------------------------------------------------------------------------


def test_the_split_is_the_published_rule():
    """SHA-256 of version, operation and shape; divisible by four is unseen."""
    for op in ("gemm", "moe"):
        for n in range(64, 2048, 64):
            digest = hashlib.sha256(f"split-v1|{op}|k=512,n={n}".encode()).hexdigest()
            assert is_unseen(op, shape_of({"n": n, "k": 512})) == (int(digest, 16) % 4 == 0)


def test_whole_shapes_are_held_out():
    """Rows that differ in tokens alone are on the same side."""
    n = np.repeat([128.0, 256.0, 384.0, 512.0, 640.0, 768.0, 896.0, 1024.0], 5)
    marks = unseen_rows(["gemm"] * len(n), {"n": n, "k": np.full_like(n, 4096.0)})
    per_shape = marks.reshape(8, 5)
    assert np.all(per_shape == per_shape[:, :1])
    assert 0 < marks.sum() < len(marks)


def test_records_have_an_entry_for_every_row():
    """Also in columns that a table leaves at their default."""
    work = stacked(DecodeAttention, **dict.fromkeys(DECODE_COLUMNS, np.ones(4)))
    assert {np.shape(leaf) for leaf in jax.tree.leaves(work)} == {(4,)}
    assert not np.any(work.masked)


# ---- routing of the tables -----------------------------------------------------------------------


@pytest.mark.parametrize("routing", [balanced_routing, grouped_routing])
@pytest.mark.parametrize("tokens", [1, 3, 8, 32, 100, 512])
def test_every_token_has_its_experts(routing, tokens):
    """One rank with all experts gets every copy, on no more experts than there are."""
    rows, active = routing(tokens, 256, 8, 1)
    assert rows == tokens * 8
    assert active <= min(256, rows)
    shares = [routing(tokens, 256, 8, ranks)[0] for ranks in (1, 2, 4, 8, 256)]
    assert shares == sorted(shares, reverse=True)


def test_ties_fill_the_first_experts():
    """Half of the groups is kept; the first few experts get every token."""
    rows, active = grouped_routing(4096, 256, 8, 2)
    assert (rows, active) == (4096 * 8, 128)
    assert grouped_routing(4096, 256, 8, 256)[0] == 4096
    assert balanced_routing(4096, 256, 8, 2) == (4096 * 4, 128)


# ---- launches that contradict others ------------------------------------------------------------


def expert_times(slow=()):
    """Every split of a model over ranks: as long as its share of the work; `slow` ones thrice."""
    tokens, split, ranks = (
        x.ravel() for x in np.meshgrid(2.0 ** np.arange(11), [1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    )
    seconds = 1e-5 + 1e-6 * tokens / (split * ranks)
    for one in slow:
        seconds[(split == one[0]) & (ranks == one[1])] *= 3.0
    cell = (10.0 * split + ranks).astype(int)
    return seconds, tokens, split, ranks, cell


def doubts(seconds, tokens, split, ranks, cell, judges=None):
    model = np.zeros(len(seconds), dtype=int)
    judges = np.ones(len(seconds), dtype=bool) if judges is None else judges
    return doubtful_rows(seconds, [tokens], [split, ranks], model, cell, judges)


def test_sound_tables_are_not_doubted():
    assert not doubts(*expert_times()).any()


def test_a_split_slower_than_twice_its_work_is_doubted_whole():
    """The one that fell back, with all of its launches, and no other."""
    times = expert_times([(2.0, 2.0)])
    assert set(times[-1][doubts(*times)]) == {22}


def test_only_judges_count():
    """A launch that no fit may see makes no other doubtful."""
    times = expert_times([(4.0, 4.0)])
    everyone = doubts(*times)
    assert everyone.any()
    assert not doubts(*times, judges=times[-1] == 44).any()


def test_a_fit_does_not_read_what_is_doubted(card):
    """Half of the rows ten times too slow, and the constants are still found."""
    rows = stream_rows(card)
    wrong = np.arange(200) % 2 == 0
    seconds = np.where(wrong, 10.0, 1.0) * rows.seconds
    fit = fit_rows(replace(rows, seconds=seconds, doubtful=wrong), card.hardware)
    assert fit.constants["hbm_frac"] == pytest.approx(STREAM.hbm_frac, rel=0.02)
    assert fit.errors["n"] == rows.unseen.sum()
    assert fit.sigma < 0.03


# ---- fits ----------------------------------------------------------------------------------------

STREAM = StreamFit(launch_s=3e-6, hbm_frac=0.6)
GEMM = GemmFit(
    peak=PeakShare(0.0, 0.0, 1.0),
    multiprocessors=148.0,
    launch_s=4e-6,
    peak_frac=0.7,
    tile_rows=96.0,
    tile_outputs=128.0,
    pad_power=2.5,
    tile_s=4e-7,
    walk_s=2e-9,
    split_inputs=3000.0,
    split_power=0.4,
    wave_power=1.7,
    spill_frac=0.2,
    spill_bytes=5e8,
    hbm_frac=0.75,
    overlap_power=3.0,
    quantise_passes=2.0,
)


def stream_rows(card, count=200, noise=0.02):
    rng = np.random.default_rng(1)
    work = stacked(Stream, hbm_bytes=10.0 ** rng.uniform(4, 9, count), launches=1.0)
    unseen = rng.random(count) < 0.25
    empty = KernelRows("stream", "any", work, np.ones(count), unseen, "synthetic")
    seconds = predict_s(empty, STREAM, card.hardware) * np.exp(rng.normal(0, noise, count))
    return replace(empty, seconds=seconds)


def gemm_rows(card, noise=0.03):
    rng = np.random.default_rng(2)
    m, n, k = (2.0 ** rng.uniform(low, 14, 1200) for low in (0, 7, 7))
    work = stacked(
        Gemm,
        rows=m,
        outputs=n,
        inputs=k,
        weight_bytes_per_element=2.0,
        activation_bytes_per_element=2.0,
    )
    unseen = rng.random(1200) < 0.25
    empty = KernelRows("gemm", "bf16", work, np.ones(1200), unseen, "synthetic")
    seconds = predict_s(empty, GEMM, card.hardware) * np.exp(rng.normal(0, noise, 1200))
    return replace(empty, seconds=seconds)


def test_a_fit_finds_known_constants(card):
    """Within what its own covariance says, and the spread of the noise that was added."""
    fit = fit_rows(stream_rows(card), card.hardware)
    for i, name in enumerate(fit.free):
        truth = getattr(STREAM, name)
        assert fit.constants[name] == pytest.approx(truth, rel=0.02)
        spread = np.sqrt(fit.covariance[i, i])
        assert abs(np.log(fit.constants[name] / truth)) < 4.0 * spread
    assert fit.sigma == pytest.approx(0.02, rel=0.4)
    assert fit.errors["n"] + fit.rows == 200


def test_a_fit_predicts_what_it_never_saw(card):
    """A form of fourteen free constants predicts held-out rows to about the noise in them."""
    fit = fit_rows(gemm_rows(card), card.hardware)
    assert fit.errors["mean"] < 0.035
    assert abs(fit.errors["bias"]) < 0.01
    for name in ("launch_s", "peak_frac", "hbm_frac"):
        assert fit.constants[name] == pytest.approx(getattr(GEMM, name), rel=0.1)


def test_what_ran_beside_is_taken_off(card):
    """The same constants where every measurement also holds other kernels, of known time."""
    rows = stream_rows(card, noise=0.0)
    beside_s = np.linspace(0.0, 1e-4, len(rows))
    both = replace(rows, seconds=rows.seconds + beside_s, beside_s=beside_s)
    assert fit_rows(both, card.hardware).constants["hbm_frac"] == pytest.approx(0.6, rel=1e-3)
    joined = joined_rows([both, rows])
    assert len(joined) == 2 * len(rows)
    assert joined.beside_s is not None
    assert not joined.beside_s[len(rows) :].any()


def test_outliers_do_not_move_a_fit(card):
    """One row in ten off by a factor of five leaves the constants where they were."""
    rows = stream_rows(card)
    seconds = rows.seconds.copy()
    seconds[::10] *= 5.0
    fit = fit_rows(replace(rows, seconds=seconds), card.hardware)
    assert fit.constants["hbm_frac"] == pytest.approx(STREAM.hbm_frac, rel=0.06)


def test_too_few_rows_are_refused(card):
    rows = gemm_rows(card)
    few = replace(rows, unseen=np.arange(1200) >= 20)
    with pytest.raises(InputError, match=r"Too few rows .* gemm in bf16.* 20 seen rows"):
        fit_rows(few, card.hardware)


def test_a_fit_that_does_not_converge_is_refused(card, monkeypatch):
    """A fit that is still moving when it is given up says so, rather than where it got to."""
    monkeypatch.setattr(kernel_fit, "STEPS", 1)
    with pytest.raises(InputError, match="did not converge"):
        fit_rows(gemm_rows(card), card.hardware)


@pytest.mark.parametrize("value", [np.inf, np.nan, 0.0, -1e-6])
def test_impossible_times_are_refused(card, value):
    rows = stream_rows(card)
    seconds = rows.seconds.copy()
    seconds[6] = value
    with pytest.raises(InputError, match="Row 7 of stream"):
        fit_rows(replace(rows, seconds=seconds), card.hardware)


def test_error_statistics():
    stats = error_stats(np.asarray([1.1, 0.8, 1.0]), np.ones(3))
    assert stats["n"] == 3
    assert stats["mean"] == pytest.approx(0.1)
    assert stats["median"] == pytest.approx(0.1)
    assert stats["bias"] == pytest.approx(0.0)
    assert error_stats(np.ones(0), np.ones(0)) == {"n": 0}


# ---- files ---------------------------------------------------------------------------------------

LINK = CollectiveFit(
    launch_s=5e-6,
    hops=0.5,
    ring_hops=0.0,
    eager_frac=0.5,
    setup_s=1e-5,
    link_frac=0.7,
    piece_s=0.0,
    own_passes=0.0,
    switch_power=4.0,
    across_hops=2.0,
    across_frac=0.8,
)


def measured(card, tmp_path, extra=""):
    """A CSV file of all-reduces with known constants."""
    ranks, size = (x.ravel() for x in np.meshgrid([2.0, 4.0, 6.0], 2.0 ** np.arange(6, 28)))
    work = stacked(AllReduce, data_bytes=2.0 * size, ranks=ranks)
    rows = KernelRows("all_reduce", "any", work, np.ones(66), np.zeros(66, bool), "")
    seconds = predict_s(rows, LINK, card.hardware)
    lines = [
        f'custom_all_reduce,"{n:.0f} GPUs; message_size={s:.0f}",bf16,B200 SXM,latency,'
        f"{t * 1e6:.6f},us,,measured,\n"
        for n, s, t in zip(ranks, size, seconds, strict=True)
    ]
    path = tmp_path / "own.csv"
    path.write_text(HEADER + "".join(lines) + extra, encoding="utf-8")
    return path


def test_a_csv_file_becomes_a_calibration(card, tmp_path):
    """What it measures is fitted; the rest is taken over, and the file says so."""
    said = []
    ignored = "mega_moe,EP8,nvfp4,B200 SXM,latency,50,us,,measured,\n"
    ignored += 'gemm,"m=1,n=64,k=64",bf16,H200 SXM,latency,4,us,,measured,\n'
    source = measured(card, tmp_path, ignored)
    output = calibrate(source, "b200", tmp_path / "own.toml", report=said.append)
    own = read_calibration(output)
    family = own.family("all_reduce")
    assert family.constants["link_frac"] == pytest.approx(0.7, rel=0.02)
    assert own.sources[family.source]["kind"] == "fitted"
    assert "own.csv" in untyped(own.sources[family.source]["source"])
    assert family.rows == 66
    assert own.sources[own.family("gemm", "fp8").source]["kind"] == "assumed"
    assert len(said) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own.csv", "own.toml"]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('gemm,"m=1,n=2,k=3",bf16,B200,latency,-4,us,,measured,', "line 2, column value: is -4"),
        ('gemm,"m=1,n=2,k=3",bf16,B200,latency,nan,us,,measured,', "line 2, column value"),
        ('gemm,"m=1,n=2,k=3",bf16,B200,latency,0,us,,measured,', "column value: is 0"),
        ('gemm,"m=1,n=2,k=3",bf16,B200,latency,4,fortnight,,measured,', "column unit"),
        ('gemm,"m=1,n=2,k=3",bf16,B200,latency,4,GB/s,,measured,', "for a latency"),
        ('gemm,"m=1,n=2",bf16,B200,latency,4,us,,measured,', "column shape.* k"),
        ('gemm,"m=1,n=2,k=3",int9,B200,latency,4,us,,measured,', "column dtype: is 'int9'"),
        ('gemm,"m=1,n=2,k=3",bf16,H200,latency,4,us,,measured,', "no measured latency"),
    ],
)
def test_a_bad_line_is_named(card, tmp_path, line, match):
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=match) as caught:
        calibrate(path, card, tmp_path / "out.toml")
    assert "bad.csv" in str(caught.value)
    assert not (tmp_path / "out.toml").exists()


def test_unknown_columns_are_refused(card, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(HEADER.replace("value", "value_ms") + ",,,,,,,,,\n", encoding="utf-8")
    with pytest.raises(InputError, match="value_ms"):
        calibrate(path, card, tmp_path / "out.toml")


def test_missing_tables_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match="pip install"):
        calibrate(tmp_path, "b200", tmp_path / "out.toml")
    with pytest.raises(InputError, match="No kernel tables of 'tpu7x'"):
        Tables(tmp_path, "tpu7x")
    with pytest.raises(InputError, match="neither a folder"):
        calibrate(tmp_path / "rows.txt", "b200", tmp_path / "out.toml")


def test_a_scatter_learns_from_the_gather(tmp_path):
    """Rows of both, each held out by its own name."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    folder = tmp_path / "b200_sxm" / "comm" / "nccl" / "2.0"
    folder.mkdir(parents=True)
    table = pandas.DataFrame(
        [
            {"op_name": op, "num_gpus": ranks, "message_size": 1024, "latency": 0.01 * ranks}
            for op in ("all_gather", "reduce_scatter", "alltoall")
            for ranks in (2, 4, 8)
        ]
    ).assign(nccl_dtype="half")
    table.to_parquet(folder / "nccl_perf.parquet")
    result = {rows.kind: rows for rows in message_rows(Tables(tmp_path, "b200"))}
    scatter = result["reduce_scatter"]
    assert isinstance(scatter.work, ReduceScatter)
    np.testing.assert_array_equal(scatter.work.ranks, [2, 4, 8, 2, 4, 8])
    marks = [
        is_unseen(op, f"num_gpus={ranks}")
        for op in ("reduce_scatter", "all_gather")
        for ranks in (2, 4, 8)
    ]
    np.testing.assert_array_equal(scatter.unseen, marks)
    assert len(result["all_gather"]) == 3


def test_a_table_is_read_in_our_terms(tmp_path):
    """The newest version that is not a small supplement; repeats of a GEMM become their median."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    from jaxsim.truth.kernels.tables import gemm_rows as read

    for version, count in (("1.9.0", 40), ("1.10.0", 30), ("1.11.0", 2)):
        folder = tmp_path / "b200_sxm" / "gemm" / "trtllm" / version
        folder.mkdir(parents=True)
        m = np.repeat(np.arange(1, count // 2 + 1), 2)
        table = pandas.DataFrame({"m": m, "n": 4096, "k": 1024, "gemm_dtype": "fp8"})
        table = table.assign(op_name="gemm", latency=np.tile([1.0, 3.0], count // 2))
        table.to_parquet(folder / "gemm_perf.parquet")
    (rows,) = read(Tables(tmp_path, "b200"))
    assert (rows.kind, rows.number_format, len(rows)) == ("gemm", "fp8", 15)
    assert "1.10.0" in rows.source
    np.testing.assert_allclose(rows.seconds, 2e-3)
    assert set(np.asarray(untyped(rows.work).inputs)) == {1024.0}
    assert set(rows.unseen) == {is_unseen("gemm", "k=1024,n=4096")}


def test_tables_that_wait_for_a_host_are_passed_over(tmp_path):
    """Of engines in order, the first whose shortest launch is not twice another's."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for engine, shortest in (("trtllm", 0.30), ("vllm", 0.15), ("sglang", 0.10)):
        folder = tmp_path / "h200_sxm" / "msa" / engine / "1.0"
        folder.mkdir(parents=True)
        table = pandas.DataFrame({"model": "MiniMaxAI/MiniMax-M3", "latency": [shortest, 9.0]})
        table.to_parquet(folder / "msa_context_module_perf.parquet")
    found = candidates(Tables(tmp_path, "h200"), "msa", "msa_context_module")
    assert [where.split("/")[2] for _, where in found] == ["vllm", "sglang"]


def launches(seconds, **columns):
    """A table of launches of one prompt, at these lengths."""
    count = len(seconds)
    same = {
        "op_name": "dsa",
        "model": "zai-org/GLM-5",
        "num_heads": 8,
        "batch_size": 1,
        "step": 0,
        **columns,
    }
    lengths = 1024 * np.arange(1, count + 1)
    pytest.importorskip("pyarrow")
    return pandas_module().DataFrame({**same, "isl": lengths, "latency": seconds})


def test_a_kernel_that_is_not_made_for_the_chip_is_passed_over():
    """By launches that both tables have, all together; others say nothing."""
    table = launches([1.0, 2.0, 4.0])
    assert slower(launches([1.5, 5.0, 9.0]), table)
    assert slow({"a": (table, ""), "b": (launches([1.5, 5.0, 9.0]), "")}) == {"b"}
    assert not slower(launches([3.0, 4.0, 5.0]), table)
    assert not slower(launches([2.5, 5.0, 9.0], num_heads=16), table)


def test_prompts_of_another_kernel_are_left_out():
    named = ["x_dense_mha_fa3", "x_dense_mha_fa4", "x_indexer_flashmla_sparse"]
    table = launches([1.0, 2.0, 4.0], kernel_source=named)
    assert list(of_one_kernel(table, "context")["latency"]) == [4.0]
    assert len(of_one_kernel(table, "decode")) == 3
    assert len(of_one_kernel(launches([1.0, 2.0]), "context")) == 2
