"""Are gains of disaggregation, and choices among measured designs, scored as by hand?"""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.repeats import departures, gain_floor, repeats, replaced
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.gain_errors import load_gain
from jaxsim.truth.decisions import decisions
from jaxsim.truth.gain_of_pairs import Pair, frontier, gain_summary, pairs, side_probability
from jaxsim.truth.joint import joint_error, judged, monthly_frac, pairs_left_out
from tests.narrow import untyped
from tests.truth.test_validate import row


class Fake:
    """What scores read of a prediction: a row, keys, values."""

    engine = "e"

    def __init__(self, number, mode, measured, predicted, **changes):
        tpot, rate = measured
        self.row = row(number, mode=mode, tpot_s=tpot, output_tokens_per_s_per_gpu=rate, **changes)
        self.values = dict(
            zip(("tpot", "output_tokens_per_s_per_gpu"), predicted, strict=True), ttft=0.1
        )

        self.gpu = "g"

    def key(self, name):
        return {"model": "m", "gpu": self.gpu, "precision": "p", "engine": self.engine}[name]


def runs(gain_measured, gain_predicted):
    """Two co-located and two disaggregated runs at 10 and 20 ms."""
    result = []
    for i, (tpot, rate) in enumerate(((0.01, 100.0), (0.02, 200.0))):
        result.append(Fake(i, "colocated", (tpot, rate), (tpot, rate)))
        result.append(
            Fake(
                10 + i, "disaggregated",
                (tpot, gain_measured * rate), (tpot, gain_predicted * rate),
            )
        )  # fmt: skip
    return result


def test_a_frontier_keeps_what_no_other_point_beats():
    x, y = frontier([(50.0, 200.0), (60.0, 150.0), (55.0, 100.0), (100.0, 50.0)])
    assert x.tolist() == [50.0, 60.0, 100.0]
    np.testing.assert_allclose(np.exp(y), [200.0, 150.0, 50.0])


def test_gains_are_compared_at_the_interactivities_that_both_cover():
    result = untyped(gain_summary(runs(1.5, 1.2)))
    assert (result["pairs"], result["points"]) == (1, 2)
    assert result["median"] == pytest.approx(1 - 1.2 / 1.5)
    assert result["side"] == {"points": 2, "right": 2}
    assert result["by_pair"][0]["measured"] == pytest.approx(1.5)
    wrong = untyped(gain_summary(runs(0.8, 1.3)))
    assert wrong["side"] == {"points": 2, "right": 0}
    stated = sum(step["points"] for step in wrong["reliability"])
    assert stated == 2


def test_pairs_of_one_engine_are_told_apart():
    """The frontier of another engine is in the pair of all, and in none of its own."""
    entries = runs(1.5, 1.2)
    one = gain_summary(entries)["one_engine"]
    assert isinstance(one, dict)
    assert one["pairs"] == 1
    for entry in entries[1::2]:
        entry.engine = "other"
    result = gain_summary(entries)
    assert (result["pairs"], result["one_engine"]) == (1, None)


def test_runs_of_other_months_are_predicted_with_the_software_of_their_dates():
    """A co-located run of half a year later is that much faster, and the gain that much less."""
    entries = runs(1.5, 1.5)
    for entry in entries:
        day = "2026-08-15" if entry.row.mode == "colocated" else "2026-02-15"
        entry.row = replace(entry.row, date=day)
    known = load_gain()
    later = known.progress("2026-08-15")
    assert later == pytest.approx(6 * known.monthly_frac, rel=0.02)
    assert known.progress("") == 0.0 == known.progress("2026-02-15")
    (one,) = pairs(entries)
    at, users = one.tokens_per_s, np.array([50.0, 100.0])
    own = np.interp(at, users, np.log([300.0, 150.0]))
    other = np.interp(at, users * np.exp(later), np.log([200.0, 100.0]) + later)
    np.testing.assert_allclose(one.predicted, own - other)
    np.testing.assert_allclose(one.measured, np.log(1.5))


def test_a_file_without_a_pair_says_so():
    result = untyped(gain_summary(runs(1.5, 1.2)[::2]))
    assert result["pairs"] == 0
    assert "no pair" in result["reason"]
    assert result["median"] is None
    assert decisions([])["reason"]


def test_the_gap_between_measured_points_is_interpolated_in_log_throughput():
    entries = runs(1.5, 1.5)
    middle = 2 / (1 / 0.01 + 1 / 0.02)
    entries.append(Fake(20, "disaggregated", (middle, 300.0), (middle, 300.0)))
    (one,) = pairs(entries)
    at = np.argmin(np.abs(one.tokens_per_s - 1 / middle))
    assert math.exp(one.measured[at]) == pytest.approx(300.0 / math.sqrt(100.0 * 200.0))


def test_the_joint_error_is_of_pairs_left_out_by_system():
    rng = np.random.default_rng(0)
    result = [
        Pair(f"m{k}", "g", "p", 1.0, 1.0, np.ones(5), np.zeros(5), rng.normal(0, 0.3, 5))
        for k in range(300)
    ]
    fitted = judged(result)
    assert (fitted["pairs"], fitted["systems"], fitted["points"]) == (300, 300, 1500)
    assert fitted["log_sigma"] == pytest.approx(0.3, rel=0.05)
    assert fitted["interval80"] == pytest.approx(0.8, abs=0.03)
    assert side_probability(np.array([0.0, 0.3]), 0.3) == pytest.approx([0.5, 0.8413], abs=1e-3)


def test_a_choice_by_prediction_is_judged_by_what_was_measured():
    """At 15 ms the slower design is chosen: 100 of 180; at 20 ms and 30 ms nothing is lost."""
    entries = [
        Fake(0, "colocated", (0.008, 100.0), (0.008, 150.0)),
        Fake(1, "colocated", (0.014, 180.0), (0.016, 180.0)),
        Fake(2, "colocated", (0.04, 300.0), (0.04, 300.0)),
    ]
    result = decisions(entries)
    # Targets 10, 15, 20 and 30 ms; only that of 15 ms loses.
    assert result["choices"] == 4
    assert result["mean"] == pytest.approx((1 - 100 / 180) / 4)
    assert result["missed"] == 0.0
    late = [*entries, Fake(3, "colocated", (0.022, 250.0), (0.018, 250.0))]
    assert decisions(late)["missed"] == pytest.approx(1 / 4)


def test_the_joint_error_is_data_with_a_source():
    known = load_gain()
    assert 0.05 < known.log_sigma < 1.0
    assert known.source
    assert known.most["isl"] >= 1024


def test_the_months_constant_is_of_other_systems():
    """Engines that get 4 % faster a month on one chip, and not at all on another."""
    entries = []
    for gpu, faster in (("g", 0.04), ("h", 0.0)):
        for entry in runs(1.5, 1.5):
            for month in (1, 5):
                again = Fake(0, entry.row.mode, (1.0, 1.0), (1.0, 1.0))
                tpot = entry.row.tpot_s * math.exp(-faster * month)
                rate = entry.row.output_tokens_per_s_per_gpu
                again.row = replace(entry.row, date=f"2026-0{month}-15", tpot_s=tpot)
                again.values = {**entry.values, "output_tokens_per_s_per_gpu": rate}
                again.gpu = gpu
                entries.append(again)
    own = [entry for entry in entries if entry.key("gpu") == "g"]
    assert monthly_frac(own) == pytest.approx(0.04, rel=0.02)
    assert monthly_frac(entries) == pytest.approx(0.02, rel=0.02)
    assert monthly_frac(own[:1]) == 0.0
    told = {one.gpu: one for one in pairs_left_out(entries)}
    assert set(told) == {"g", "h"}
    still = pairs(own, monthly=0.0)[0]
    np.testing.assert_allclose(told["g"].predicted, still.predicted)  # h stands still
    assert joint_error(entries)["systems"] == 2
    with pytest.raises(InputError, match="pairs of 1 systems"):
        joint_error(own)


def test_the_floor_of_errors_is_what_another_record_would_leave():
    """Two records 10 % apart predict one another 10 % off; a record published twice is one."""
    one = row(1, version="1.0", tpot_s=0.010, output_tokens_per_s_per_gpu=100.0)
    groups = repeats([one, replace(one, tpot_s=0.011), replace(one, tpot_s=0.011)])["same version"]
    assert [len(own) for own in groups] == [2]
    errors = [math.expm1(entry.log_error("tpot") or 0.0) for entry in replaced(groups)]
    np.testing.assert_allclose(sorted(errors), [0.010 / 0.011 - 1.0, 0.1], rtol=1e-6)
    apart = np.log(1.1) * np.array([-1.0, 1.0])
    np.testing.assert_allclose(np.sort(departures(groups)), apart)
    points = ((0.01, 100.0), (0.014, 125.0), (0.02, 150.0))
    runs = [replace(one, tpot_s=t, output_tokens_per_s_per_gpu=rate) for t, rate in points]
    runs += [replace(run, mode="disaggregated", prefill=run.decode) for run in runs]
    assert gain_floor(runs, np.zeros(1), 2) == (0.0, 0.0)
    # Half of the draws move both frontiers alike; else throughputs move 21 % apart, and more at
    # one interactivity.
    median, _ = gain_floor(runs, apart, 20)
    assert 0.1 < median < 0.3
    with pytest.raises(InputError, match="no pair"):
        gain_floor(runs[:3], apart, 2)
