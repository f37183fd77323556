"""What is read from traces and logs, what is drawn, and what is refused?"""

import json
import tarfile
from typing import Any

import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read.files import read_trace
from jaxsim.traffic.synthetic.load import load_of
from tests.narrow import some

MOONCAKE = [
    {"timestamp": 0, "input_length": 1000, "output_length": 5, "hash_ids": [7, 9]},
    {"timestamp": 1500, "input_length": 600, "output_length": 50, "hash_ids": [7, 4]},
    {"timestamp": 3000, "input_length": 20, "output_length": 1, "hash_ids": [8]},
]
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2024-05-10 00:00:00.009930+00:00,3180,8
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,0,1087,Conversation log
118,GPT-4,417,276,693,Conversation log
"""


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_mooncake_has_blocks_and_milliseconds(tmp_path):
    result = read_trace(written(tmp_path, "t.jsonl", lines(MOONCAKE)))
    np.testing.assert_allclose(result.arrival_s, [0.0, 1.5, 3.0])
    assert result.isl.tolist() == [1000, 600, 20]
    assert result.osl.tolist() == [5, 50, 1]
    ids, start = some(result.blocks).ids, some(result.blocks).start
    assert ids[start[0]] == ids[start[1]] != ids[start[2]]
    part = result.between(1.0, 9.0)
    assert len(part) == 2
    assert some(part.blocks).start.tolist() == [0, 2, 3]


def test_azure_and_burstgpt(tmp_path):
    azure = read_trace(written(tmp_path, "a.csv", AZURE))
    assert azure.arrival_s[0] == 0.0
    # 175 days and a half: the fraction and the offset of the second line are written otherwise.
    assert azure.duration_s == pytest.approx(175 * 86400 + 20576.03, abs=0.01)
    burst = read_trace(written(tmp_path, "b.csv", BURST))
    assert burst.isl.tolist() == [472, 417]
    assert burst.skipped.count == 1
    assert "line 3" in burst.skipped.named[0]


def test_logs_of_requests(tmp_path):
    rows = [
        {
            "request_id": str(k), "input_toks": 10 + k, "output_toks": 3, "arrival_time": 1e9 + k,
            "queued_ts": 5.0 + k, "first_token_ts": 5.2 + k, "last_token_ts": 5.8 + k,
        }
        for k in range(3)
    ]  # fmt: skip
    vllm = read_trace(written(tmp_path, "r.jsonl", lines(rows)))
    np.testing.assert_allclose(vllm.measured["ttft_s"], 0.2)
    np.testing.assert_allclose(vllm.measured["e2e_s"], 0.8)
    bench = {
        "input_lens": [5, 6], "output_lens": [2, 0], "start_times": [9.0, 8.0],
        "ttfts": [0.3, 0.0], "itls": [[0.1], []],
    }  # fmt: skip
    result = read_trace(written(tmp_path, "bench.json", json.dumps(bench)))
    assert (len(result), result.skipped.count) == (1, 1)
    assert result.measured["e2e_s"].tolist() == pytest.approx([0.4])
    life = [
        {
            "start_time": 2.0, "end_time": 4.0, "error": None,
            "info": {"input_tokens": 7, "output_tokens": 2, "output_token_times": [2.5, 4.0]},
        },
        {"start_time": 2.5, "end_time": 4.0, "error": {"error_type": "timeout"}, "info": {}},
    ]  # fmt: skip
    result = read_trace(written(tmp_path, "life.json", json.dumps(life)))
    assert result.measured["ttft_s"].tolist() == [0.5]
    assert result.skipped.count == 1


def test_servegen_draws_rates_and_lengths(tmp_path):
    folder = tmp_path / "r1"
    folder.mkdir()
    trace = "0,2.0,1.0,Gamma,1.0,0.5\n600,0,0,,0,0\n1200,4.0,0.9,Weibull,1.2,0.27\n"
    (folder / "chunk-0-trace.csv").write_text(trace)
    lengths = {
        "0": {"input_tokens": "{100: 0.5, 300: 0.5}", "output_tokens": "{7: 1.0}"},
        "1200": {"input_tokens": "{50: 1.0}", "output_tokens": "{}"},
    }
    (folder / "chunk-0-dataset.json").write_text(json.dumps(lengths))
    result = read_trace(folder, seed=3)
    early = (result.arrival_s < 600).sum()
    late = (result.arrival_s >= 1200).sum()
    assert early + late == len(result)
    assert early == pytest.approx(1200, abs=4 * 1200**0.5)
    assert late == pytest.approx(2400, abs=4 * 2400**0.5)
    assert set(result.isl.tolist()) == {100, 300}
    with tarfile.open(tmp_path / "r1.tar.xz", "w:xz") as archive:
        archive.add(folder, "r1")
    packed = read_trace(tmp_path / "r1.tar.xz", seed=3)
    np.testing.assert_array_equal(packed.arrival_s, result.arrival_s)
    assert len(read_trace(folder, seed=4)) != len(result)
    whole = (tmp_path / "r1.tar.xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(whole[:200])
    with pytest.raises(InputError, match=r"cut off|not a whole"):
        read_trace(tmp_path / "cut.tar.xz")


def bad(row, **changed):
    rows = [dict(entry) for entry in MOONCAKE]
    rows[row] |= changed
    return lines(rows)


BAD = {
    "negative time": (bad(0, timestamp=-5), "line 1: time = -0.005"),
    "unsorted": (bad(2, timestamp=5), "line 3: time"),
    "zero length": (bad(1, input_length=0), "line 2: isl = 0"),
    "not a number": (bad(1, output_length=float("nan")), "line 2: osl = nan"),
    "half a token": (bad(1, output_length=1.5), "line 2: osl = 1.5"),
    "since 1970": (
        lines([{**row, "timestamp": 1_700_000_000 + i} for i, row in enumerate(MOONCAKE)]),
        "another moment",
    ),
    "seconds": (bad(1, timestamp=1.5), "--time-unit"),
    "truncated": (lines(MOONCAKE)[:-20], "middle of line 3"),
    "a header": (lines([{"version": 1}, *MOONCAKE]), "its keys are version"),
    "unreadable": (lines(MOONCAKE) + "{oops}\n{oops}\n", "line 4"),
    "empty": ("", "empty"),
    "other columns": ("a,b\n1,2\n", "its columns are a, b"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name, tmp_path):
    text, message = BAD[name]
    with pytest.raises(InputError, match=message):
        read_trace(written(tmp_path, "t.jsonl", text))


def test_what_may_be_allowed(tmp_path):
    cut = written(tmp_path, "t.jsonl", lines(MOONCAKE)[:-20])
    assert len(read_trace(cut, allow_truncated=True)) == 2
    back = written(tmp_path, "u.jsonl", bad(2, timestamp=5))
    assert read_trace(back, sort=True).isl.tolist() == [1000, 20, 600]
    one = written(tmp_path, "v.jsonl", lines(MOONCAKE) + "{oops}\n")
    assert read_trace(one).skipped.count == 1
    seconds = written(tmp_path, "w.jsonl", bad(1, timestamp=1.5))
    assert read_trace(seconds, time_unit="s").arrival_s[1] == 1.5


def test_another_unit_is_noticed(tmp_path):
    rows = [{**MOONCAKE[0], "timestamp": k} for k in range(100)]
    slow = "".join(f"{k * 1e6},5,5\n" for k in range(100))
    assert len(read_trace(written(tmp_path, "t.jsonl", lines(rows)))) == 100
    with pytest.raises(InputError, match="another unit"):
        read_trace(written(tmp_path, "t.csv", "arrival_s,isl,osl\n" + slow))


# ---- drawn ----


def test_a_poisson_load_has_its_rate_and_lengths():
    load = load_of(
        requests_per_s=20, duration_s=1000, isl="lognormal:2000:0.8", osl="uniform:10:20"
    )
    result = load.drawn(0)
    gaps = np.diff(result.arrival_s)
    assert len(result) == pytest.approx(20_000, abs=600)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.03)
    assert result.isl.mean() == pytest.approx(2000, rel=0.03)
    assert (result.osl.min(), result.osl.max()) == (10, 20)
    np.testing.assert_array_equal(result.arrival_s, load.drawn(0).arrival_s)
    scaled = result.at_rate(5.0)
    assert len(scaled) == len(result)
    assert scaled.requests_per_s == pytest.approx(5.0)


def test_bursts_days_and_drift():
    burst = load_of(requests_per_s=50, duration_s=400, isl=10, osl=10, cv=3.0).drawn(0)
    gaps = np.diff(burst.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(3.0, rel=0.1)
    day = load_of(
        requests_per_s=10, duration_s=1000, isl=100, osl=100, peak_over_mean=1.8,
        period_s=1000, drift=(4.0, 0.25),
    ).drawn(0)  # fmt: skip
    counts = np.histogram(day.arrival_s, np.linspace(0, 1000, 11))[0]
    assert counts.max() / counts.mean() == pytest.approx(1.75, abs=0.15)
    late = day.arrival_s > 900
    assert day.isl[late].mean() > 3.0 * day.isl[day.arrival_s < 100].mean()
    assert day.osl[late].mean() < 0.4 * day.osl[day.arrival_s < 100].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requests_per_s": 0}, "rate"),
        ({"isl": "lognormal:5"}, "ISL"),
        ({"osl": "uniform:9:3"}, "smaller length first"),
        ({"cv": -1}, "cv"),
        ({"peak_over_mean": 3}, "peak"),
        ({"duration_s": float("nan")}, "duration"),
    ],
)
def test_impossible_loads_are_refused(change, message):
    given: dict[str, Any] = {"requests_per_s": 1, "isl": 10, "osl": 10, **change}
    with pytest.raises(InputError, match=message):
        load_of(**given)
