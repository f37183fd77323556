"""Predictions of measured rows, their errors, and the fit of an engine."""

import dataclasses
import json

import numpy as np
import pytest

from jaxsim.catalog.engine_limits import batched_tokens
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import list_engines, load_engine
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.speculation import speculation_prior
from jaxsim.traffic.layout import Layout
from jaxsim.truth.cases import Case
from jaxsim.truth.engines.data import data_of
from jaxsim.truth.engines.fit import CENTRE, FREE, outputs, values_of
from jaxsim.truth.engines.held_out import fold_of, shrunk_sigma, sigma_of
from jaxsim.truth.engines.hierarchy import COMMON, HOST, fit
from jaxsim.truth.read.names import names_of
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.runs import load_of, runs_of
from jaxsim.truth.scripts import balanced, gathered, options_of
from jaxsim.truth.validate import score, summary, validate
from tests.narrow import some, untyped


def row(number, **changes):
    """A run of a small dense model."""
    fields = {
        "id": f"r{number}",
        "line": number + 2,
        "source": "test",
        "model": "llama-3.1-8b",
        "hardware": "h100",
        "framework": "vllm",
        "version": "",
        "precision": "fp8",
        "formats": ("fp8", "fp8"),
        "mode": "colocated",
        "load": "closed",
        "isl": 1024.0,
        "osl": 256.0,
        "isl_max": 1024.0,
        "osl_max": 256.0,
        "concurrency": float(2 ** (number % 7)),
        "requests_per_s": None,
        "decode": Layout(float(2 ** (number % 3)), 1.0),
        "prefill": None,
        "ttft_s": 0.05,
        "tpot_s": 0.01,
        "output_tokens_per_s_per_gpu": None,
    }
    return ServingRow(**{**fields, **changes})


ROWS = [row(i) for i in range(20)]


@pytest.fixture(scope="module")
def runs():
    return runs_of(ROWS)


@pytest.fixture(scope="module")
def truth(runs):
    """The rows as an engine with known factors would have shown them."""
    known = dict(gemm_factor=1.4, decode_step_s=2e-3, request_s=0.02, steps_waited=1.3)
    logs = np.asarray([free.log_of(known.get(free.name, free.centre)) for free in FREE])
    data = data_of(runs)
    exact = outputs(logs, data)
    weights = np.broadcast_to([10.0, 4.0, 0.0], exact.shape).copy()
    return dataclasses.replace(data, logs=exact, weights=weights)


LEAF = ("vllm", "hopper", "dense")


@pytest.fixture(scope="module")
def tree(truth):
    return fit(truth, [LEAF] * len(truth))


def test_a_fit_finds_an_engine_that_explains_its_rows(truth, tree):
    before = np.abs(outputs(CENTRE, truth) - truth.logs)[:, :2]
    after = np.abs(outputs(tree.logs(LEAF), truth) - truth.logs)[:, :2]
    assert np.median(before) > 0.08
    assert np.median(after) < 0.03
    assert after.max() < 0.15


def test_what_runs_teach_is_shared_by_kin_and_no_factor_passes_its_limit(tree):
    """An architecture without runs takes over the engine's part, and is less sure of it."""
    own, kin = tree.logs(LEAF), tree.logs(("vllm", "hopper", "latent"))
    stranger = tree.logs(("sglang", "cdna", "latent"))
    common = np.asarray([free.name in COMMON for free in FREE])
    np.testing.assert_array_equal(stranger[common], own[common])
    moved = (np.abs(own - CENTRE) > 0.05) & ~common
    assert moved.any()
    of_host = np.asarray([free.name in HOST for free in FREE])
    np.testing.assert_array_equal(kin[of_host], own[of_host])
    parts = moved & ~of_host
    assert (np.abs(kin - CENTRE)[parts] < np.abs(own - CENTRE)[parts]).all()
    assert (np.sign(kin - CENTRE) == np.sign(own - CENTRE))[moved].all()
    np.testing.assert_array_equal(stranger[~common], CENTRE[~common])
    assert (tree.deviations(LEAF) < tree.deviations(("vllm", "hopper", "latent")) + 1e-9).all()
    for departure in (-50.0, 50.0):
        values = values_of(own + departure)
        assert all(free.low <= float(values[free.name]) <= free.high * (1 + 1e-6) for free in FREE)
    for free in FREE:
        assert float(free.value(free.log_of(free.centre))) == pytest.approx(free.centre)


def test_how_a_run_was_started_is_told_from_the_engine(runs):
    """Options of InferenceX's public scripts, by model, format and load; vLLM's passes on A100."""
    looks = {"hardware": "b200", "framework": "sglang", "client": "inferencex"}
    r1, glm = {**looks, "model": "deepseek-r1"}, {**looks, "model": "glm-5"}
    gathers = {"model": "llama-3.1-70b", "hardware": "h200", "framework": "trtllm"}
    gathers |= {"client": "inferencex", "osl": 1024.0, "osl_max": 1024.0, "concurrency": 1e-6}
    started = [row(0, **r1, concurrency=n) for n in (8.0, 64.0)]
    started += [row(0, **glm), row(0, **gathers), row(3, **{**gathers, "osl_max": 8192.0})]
    own = [load_of(Case(one, names_of(one))).polled_steps for one in (*started, ROWS[0])]
    assert own == pytest.approx([4.5, 14.5, 0.0, 20.0, 0.0, 0.0], rel=1e-4)
    # As counted: the first waits 20 steps, those that come meanwhile for what is left of them.
    random, each_step = np.random.default_rng(0), 0.1
    waits = [[20.0, *random.uniform(0, 20, random.poisson(20 * each_step))] for _ in range(20_000)]
    counted = sum(map(sum, waits)) / sum(map(len, waits))
    assert gathered(20.0, each_step) == pytest.approx(counted, rel=0.01)
    # Data-parallel ranks: counted, as each prompt comes to one at random.
    ranks, most, more = 4, 60, 5
    total, count = 0.0, 0
    for _ in range(1_500):
        waiting, held, step = np.zeros(ranks), [], 0
        for step in range(most):
            new = random.poisson(0.1 / ranks, ranks)
            waiting += new
            held += [step + 0.5] * int(new.sum())
            if (waiting > 0).all():
                held += [
                    step + 1 + random.uniform(0, more) for _ in range(random.poisson(0.1 * more))
                ]
                step += more
                break
        total, count = total + sum(step + 1 - own for own in held), count + len(held)
    assert balanced(most, more, 0.1, ranks) == pytest.approx(total / count, rel=0.03)
    assert balanced(60.0, 0.0, 0.0, 8.0) == 30.0
    r1 = {
        "model": "deepseek-r1",
        "hardware": "b200",
        "framework": "trtllm",
        "mode": "disaggregated",
    }
    r1 |= {"client": "inferencex", "isl_max": 1024.0, "osl_max": 1024.0, "concurrency": 4.0}
    pools = {"prefill": Layout(1.0, 8.0), "decode": Layout(8.0, 1.0, workers=3.0)}
    options = [
        options_of(Case(one, names_of(one)))
        for one in (row(0, **r1, **pools), row(0, **{**r1, "concurrency": 32.0}, **pools),
                    row(0, **{**r1, "client": ""}, **pools))
    ]  # fmt: skip
    assert [own.most_sequences for own in options] == [1.0, 12.0, 1e9]
    assert [own.pass_tokens for own in options] == [16384.0, 16384.0, 8192.0]
    oss = {"model": "gpt-oss-120b", "hardware": "b200", "framework": "vllm", "client": "inferencex"}
    graphs = [
        options_of(Case(one, names_of(one))).graph_tokens
        for one in (
            row(0, **oss, version="0.15.1"),
            row(0, **oss),
            row(0, **oss, date="2026-01-02"),
        )
    ]
    assert graphs == [2048.0, 0.0, 2048.0]
    tokens = [batched_tokens(*pair) for pair in (("vllm", load_hardware("a100")),
              ("vllm", load_hardware("h100")), ("sglang", load_hardware("a100")))]  # fmt: skip
    assert tokens == [2048.0, 8192.0, 8192.0]


def test_too_few_rows_are_refused(truth):
    with pytest.raises(InputError, match="5 rows are too few"):
        fit(truth.take(np.arange(5)), [LEAF] * 5)


def test_few_errors_are_drawn_to_those_of_the_engine():
    few, many = np.full(2, 1e-3), np.random.default_rng(0).normal(0.0, 0.2, 2000)
    assert shrunk_sigma(few, many) > 0.15
    assert shrunk_sigma(np.full(2000, 1e-3), many) < 0.05


def test_more_concurrency_is_slower_for_users(runs):
    data = data_of(runs)
    logs = outputs(CENTRE, data)
    for width in (1.0, 2.0, 4.0):
        own = [i for i, case in enumerate(runs.cases) if case.row.decode.tp == width]
        order = sorted(own, key=lambda i: runs.cases[i].row.concurrency)
        assert (np.diff(logs[order, 0]) >= -1e-5).all()
        assert (np.diff(logs[order, 1]) >= -1e-5).all()


def test_every_row_is_predicted_or_has_a_reason():
    strange = [
        row(50, framework="mystery"),
        row(51, refused="lengths not stated"),
        row(52, model="llama-3.1-405b", decode=Layout(1.0, 1.0)),
    ]
    result = validate([*ROWS, *strange])
    assert result.rows == len(result.predicted) + len(result.left_out)
    assert len(result.predicted) == len(ROWS)
    reasons = result.reasons
    assert reasons["lengths not stated"] == 1
    assert reasons["weights do not fit the stated layout"] == 1
    assert any("mystery" in reason for reason in reasons)
    text = json.dumps(summary(result), allow_nan=False)
    assert json.loads(text)["coverage"]["predicted"] == len(ROWS)
    with pytest.raises(InputError, match="No row can be predicted: lengths not stated"):
        validate(strange[1:2])


def test_speculation_that_a_record_only_names_widens_intervals():
    """By the prior's spread in what a step yields, and not in the time to the first token."""
    prior = speculation_prior()
    drafts = {"draft_tokens": prior.draft_tokens, "accept_frac": prior.accept_frac}
    why = "speculation, unstated acceptance"
    rows = [row(0, **drafts, excluded=why), row(0)]
    with_drafts, without = validate(rows).predicted
    assert with_drafts.values["tpot"] < 0.9 * without.values["tpot"]
    for name in ("tpot", "output_tokens_per_s_per_gpu"):
        wider = np.hypot(without.sigmas[name], prior.log_sigma)
        assert with_drafts.sigmas[name] == pytest.approx(wider)
    assert with_drafts.sigmas["ttft"] == without.sigmas["ttft"]


def test_a_rate_is_predicted_as_an_open_loop():
    """A row at a rate has the latencies of a deployment that bears it, and fewer at a lower one."""
    import jaxsim

    one = {"load": "open", "concurrency": None, "decode": Layout(1.0, 1.0)}
    rows = [row(0, requests_per_s=rate, **one) for rate in (0.5, 4.0)]
    slow, fast = validate(rows).predicted
    assert slow.values["output_tokens_per_s_per_gpu"] == pytest.approx(128.0, rel=1e-3)
    assert slow.values["tpot"] < fast.values["tpot"]
    assert slow.values["ttft"] < fast.values["ttft"]
    served = jaxsim.serve(
        "llama-3.1-8b", "h100", jaxsim.Workload(isl=1024.0, osl=256.0), tp=1, requests_per_s=4.0,
        precision="fp8", engine="vllm",
    )  # fmt: skip
    assert fast.values["tpot"] == pytest.approx(served.tpot_s, rel=1e-4)
    assert fast.values["ttft"] == pytest.approx(served.ttft_s, rel=1e-4)


def test_errors_are_those_of_the_predictions():
    result = validate(ROWS)
    exact = [
        dataclasses.replace(entry, case=dataclasses.replace(entry.case, row=measured(entry, 1.0)))
        for entry in result.predicted
    ]
    high = [
        dataclasses.replace(entry, case=dataclasses.replace(entry.case, row=measured(entry, 0.8)))
        for entry in result.predicted
    ]
    assert some(score(exact, "tpot")["median"]) < 1e-6
    assert score(exact, "tpot")["interval80"] == 1.0
    np.testing.assert_allclose(some(score(high, "tpot")["median"]), 0.25, rtol=1e-6)
    np.testing.assert_allclose(some(score(high, "tpot")["bias"]), 0.25, rtol=1e-6)
    groups = untyped(summary(result)["groups"])
    assert sum(group["tpot"]["n"] for group in groups) == len(ROWS)
    assert {"model", "gpu", "engine", "mode", "precision"} <= set(groups[0])


def measured(entry, factor):
    """The row as if it had measured `factor` of what is predicted."""
    return dataclasses.replace(entry.row, tpot_s=factor * entry.values["tpot"])


def test_a_queue_is_not_scored_as_a_first_token_latency():
    assert row(0, ttft_s=30.0).queued
    assert not row(0).queued


def test_intervals_hold_as_many_as_they_say():
    errors = np.random.default_rng(0).normal(0.0, 0.2, 20000)
    np.testing.assert_allclose(sigma_of(errors), 0.2, rtol=0.03)
    inside = np.abs(errors) <= 1.2816 * sigma_of(errors)
    np.testing.assert_allclose(inside.mean(), 0.8, atol=0.005)


def test_rows_of_one_curve_share_a_fold(runs):
    assert len({fold_of(case) for case in runs.cases}) == 1


@pytest.mark.parametrize("engine", ["trtllm", "vllm", "sglang"])
@pytest.mark.parametrize("hardware", ["h100", "b200", "mi355x", "tpu-v6e"])
def test_catalogue_engines_are_measured_and_sure_of_themselves(engine, hardware):
    assert engine in list_engines()
    card = load_engine(engine, hardware, load_model("llama-3.1-8b"))
    assert 0.02 < card.log_sigma < 1.0
    assert 0.02 < card.sigmas["ttft"] < 2.0
    assert card.engine.decode_step_s > 0
    fitted = [datum for datum in card.provenance.values() if datum.kind == "fitted"]
    assert fitted
    assert all("rows" in datum.source for datum in fitted)


def test_a_file_without_a_predictable_row_says_why():
    big = row(1, model="llama-3.1-405b", precision="bf16")
    with pytest.raises(InputError, match=r"do not fit.*--precision"):
        validate([big])
    with pytest.raises(InputError, match=r"Unknown model.*--model"):
        validate([row(1, model="/models/snapshots/b5c9")])
