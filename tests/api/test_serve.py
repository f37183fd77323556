"""What users see of a deployment under load: queues obey their laws, and limits are known ones."""

import json

import jax.numpy as jnp
import pytest

import jaxsim
from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli.main import main
from tests.narrow import some
from tests.view.written import checked

WORKLOAD = jaxsim.Workload(isl=2048.0, osl=256.0)
CASE = ("llama-3.1-8b", "h100")


def serve(**load):
    return jaxsim.serve(*CASE, WORKLOAD, tp=1, **load)


@pytest.mark.parametrize("prefill", [None, {"tp": 2, "instances": 2}])
@pytest.mark.parametrize("concurrency", [1, 24, 700])
def test_requests_in_the_system_are_rate_times_latency(prefill, concurrency):
    """N = X · T, whatever waits; and an open loop at that rate holds as many, at most, decoding."""
    result = serve(concurrency=concurrency, prefill=prefill, instances=2)
    in_system_s = result.ttft_s + (256 - 1) * result.tpot_s
    assert result.requests_per_s * in_system_s == pytest.approx(concurrency, rel=2e-3)
    assert result.concurrency == pytest.approx(concurrency, rel=2e-3)
    assert result.gpus == (2 if prefill is None else 6)
    assert result.output_tokens_per_s_per_gpu == pytest.approx(
        result.requests_per_s * 256 / result.gpus
    )
    assert result.decode_batch <= result.slots * (1 + 1e-5)
    for low, high in result.intervals.values():
        assert 0 < low < high


@pytest.mark.parametrize("engine", ["ideal", "vllm", "sglang"])
def test_alone_a_request_takes_what_its_phases_take(engine):
    """One request, pools apart: `estimate`, `serve` and `plan` give one latency, and its parts."""
    options = {"engine": engine, "precision": "fp8"}
    result = jaxsim.serve(
        *CASE, WORKLOAD, tp=1, prefill={"tp": 1}, concurrency=1, chunk=2048, **options
    )
    decode = jaxsim.estimate(*CASE, WORKLOAD, phase="decode", tp=1, **options).outputs
    prefill = jaxsim.estimate(*CASE, WORKLOAD, phase="prefill", tp=1, chunk=2048, **options)
    assert result.tpot_s == pytest.approx(decode["ttl_s"], rel=1e-3)
    assert result.ttft_s == pytest.approx(prefill.outputs["ftl_s"], rel=1e-3)
    parts = result.ttft_parts_s
    assert sum(parts.values()) == pytest.approx(result.ttft_s, rel=1e-3)
    assert parts["waiting"] < 1e-4
    assert prefill.outputs["host_s"] == pytest.approx(
        parts["host"] + parts["handover"] - prefill.outputs["kv_exposed_s"], rel=1e-3, abs=1e-6
    )
    space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1,), chunk=(2048,))
    planned = jaxsim.plan(
        *CASE, WORKLOAD, ftl_s=9.0, ttl_s=1.0, space=space, **options
    ).disaggregated
    assert isinstance(planned, jaxsim.Deployed)
    assert planned.ftl_s == pytest.approx(result.ttft_s, rel=1e-3)
    assert planned.ttl_s == pytest.approx(result.tpot_s, rel=1e-3)
    assert planned.host_s == pytest.approx(prefill.outputs["host_s"], rel=1e-3)
    assert (planned.host_s > 0.0) == (engine != "ideal")


def test_more_load_is_slower_for_users_and_a_rate_beyond_the_limit_says_so():
    light, heavy = serve(requests_per_s=0.5), serve(requests_per_s=4.0)
    assert light.sustained
    assert light.requests_per_s == pytest.approx(0.5, rel=1e-3)
    assert light.tpot_s < heavy.tpot_s
    assert light.ttft_s < heavy.ttft_s
    beyond = serve(requests_per_s=1e4)
    assert not beyond.sustained
    assert beyond.requests_per_s < 1e4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"requests_per_s": float("nan")}, "requests_per_s"),
        ({}, "load is missing"),
        ({"concurrency": 1, "requests_per_s": 1}, "twice"),
        ({"concurrency": 1, "ep": 8}, "dense"),
        ({"concurrency": 1, "prefill": {"width": 2}}, "prefill width"),
        ({"concurrency": 1, "prefill": {"tp": 1.5}}, "prefill tp"),
        ({"concurrency": 1, "instances": 0}, "instances"),
        ({"concurrency": 1, "osl_cv": 1.0}, "give prompts"),
        ({"concurrency": 1, "prompts": 8, "osl_cv": 9.0}, "from 0 to 2"),
    ],
)
def test_a_load_that_cannot_be_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        serve(**given)


def test_a_model_that_does_not_fit_says_by_how_much():
    with pytest.raises(InputError, match="GB a GPU"):
        jaxsim.serve("llama-3.1-405b", "h100", WORKLOAD, tp=1, concurrency=4)


@pytest.fixture
def ask(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(*words):
        code = main(["estimate", *CASE[:1], "--hardware", CASE[1], "--isl", "2048", "--osl", "256",
                     "--tp", "1", *words])  # fmt: skip
        return code, capsys.readouterr()

    return run


def test_the_verb(ask):
    code, said = ask("--phase", "colocated", "--concurrency", "24", "--format", "json")
    assert code == 0
    result = checked("load", said.out)
    assert result["phase"] == "colocated"
    assert result["concurrency"] == pytest.approx(24, rel=2e-3)
    assert result["ttft_interval"][0] < result["ttft_s"] < result["ttft_interval"][1]
    code, said = ask("--phase", "disaggregated", "--rate", "0.5", "--prefill-instances", "2")
    assert code == 0
    assert "TTL (TPOT)" in said.out
    assert "0.500" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--phase", "decode", "--concurrency", "4"), "--phase colocated"),
        (("--phase", "disaggregated"), "needs a load"),
        (("--phase", "colocated", "--rate", "1", "--concurrency", "4"), "one of them"),
        (("--phase", "colocated", "--rate", "1", "--prefill-tp", "4"), "--prefill-tp"),
        (("--phase", "colocated", "--rate", "1", "--batch", "4"), "--batch"),
        (("--phase", "colocated", "--rate", "-1"), "--rate"),
        (("--phase", "colocated", "--concurrency", "1.5"), "--concurrency"),
        (("--phase", "decode", "--instances", "2"), "--instances"),
        (("--phase", "colocated", "--concurrency", "4", "--osl-cv", "1"), "--prompts"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(ask, words, message):
    code, said = ask(*words)
    assert code == 2
    assert message in said.err


def test_a_pool_that_breaks_a_rule_or_a_context_is_refused():
    """As designs are: heads that do not divide, in either pool, and requests beyond the context."""
    with pytest.raises(InputError, match="TP that does not divide the attention heads"):
        jaxsim.serve(*CASE, WORKLOAD, tp=3, concurrency=8)
    with pytest.raises(InputError, match="prefill instances TP3"):
        serve(concurrency=8, prefill={"tp": 3})
    long = jaxsim.Workload(isl=200_000.0, osl=256.0)
    with pytest.raises(InputError, match=r"beyond the context of llama-3\.1-8b"):
        jaxsim.serve(*CASE, long, tp=8, concurrency=1)
    with pytest.raises(InputError, match="beyond the context"):
        jaxsim.plan(*CASE, long, ftl_s=10.0, ttl_s=0.1)
    mixed = jaxsim.Workload(isl=jnp.asarray([1024.0, 200_000.0]), osl=256.0)
    with pytest.raises(InputError, match="beyond the context"):
        jaxsim.evaluate(*CASE, mixed)
    with pytest.raises(InputError, match="beyond the context"):
        jaxsim.search(*CASE, mixed, phase="decode")


def test_limits_of_the_engine_are_obeyed_and_told():
    free = serve(concurrency=200)
    few = serve(concurrency=200, limits=Limits(max_sequences=16.0))
    assert few.slots == 16 < free.slots
    assert few.ttft_s > 2.0 * free.ttft_s  # those beyond the cap wait
    small = serve(concurrency=200, limits=Limits(memory_frac=0.5))
    assert small.limits["kv_tokens"] < 0.6 * free.limits["kv_tokens"]
    assert few.limits["max_sequences"] == 16
    ampere = jaxsim.serve("llama-3.1-8b", "a100", WORKLOAD, tp=1, engine="vllm", concurrency=400)
    assert ampere.limits["max_sequences"] == 256  # vLLM's default there
    parts_s = sum(free.ttft_parts_s.values())
    assert parts_s == pytest.approx(free.ttft_s, rel=1e-4)
    with pytest.raises(InputError, match="memory_frac"):
        Limits(memory_frac=1.5)


def test_a_run_of_so_many_prompts_has_a_start_and_an_end():
    """All at once: the queue is in its TTFT, its tail in its rate, both below the steady state."""
    steady = serve(concurrency=64)
    run = serve(concurrency=64, prompts=64)
    assert run.requests_per_s < steady.requests_per_s
    assert run.duration_s == pytest.approx(64 / run.requests_per_s)
    spread = serve(concurrency=64, prompts=64, osl_cv=1.0)
    assert some(spread.duration_s) > 1.5 * some(
        run.duration_s
    )  # the longest answers decode alone at the end
    long = serve(concurrency=64, prompts=64 * 40)
    assert long.requests_per_s == pytest.approx(steady.requests_per_s, rel=0.15)
    with pytest.raises(InputError, match="concurrency"):
        serve(requests_per_s=1.0, prompts=64)


def test_prompts_that_come_together_share_passes():
    """Eight data-parallel ranks with SGLang: in rounds each rank has a prompt in a pass."""

    def rate(osl_cv):
        found = jaxsim.serve(
            "deepseek-v3", "h200", jaxsim.Workload(isl=4096.0, osl=128.0), tp=1, ep=8,
            engine="sglang", concurrency=64, prompts=512, osl_cv=osl_cv,
        )  # fmt: skip
        return float(found.requests_per_s)

    assert rate(0.0) > 1.3 * rate(0.1)


def test_a_broken_rule_is_the_status_of_the_command(capsys):
    design = [
        "estimate",
        *("llama-3.1-8b", "--hardware", "h100", "--phase", "decode", "--batch", "8"),
    ]
    lengths = ["--isl", "1024", "--osl", "128", "--format", "json"]
    assert main([*design, "--tp", "3", *lengths]) == 3
    assert not checked("estimate", capsys.readouterr().out)["feasible"]
    assert main([*design, "--tp", "2", "--max-context", "1100", *lengths]) == 3
    assert not json.loads(capsys.readouterr().out)["flags"]["within_context"]
    assert main([*design, "--tp", "2", *lengths]) == 0


def test_piggybacking_that_cannot_be_sustained_is_flagged():
    """A chunk of 64 tokens for prompts of 2,048, at a large batch: the other mode still works."""
    result = jaxsim.estimate(*CASE, WORKLOAD, phase="colocated", tp=1, batch=128, chunk=64)
    assert not result.rules["piggybacking_sustained"]
    assert result.feasible
