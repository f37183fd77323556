"""A plan for a mix is the best of what was evaluated, and is a plan where there is no mix."""

from dataclasses import replace

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.space.axes import complete
from jaxsim.space.deploy.candidates import gather
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, Unmet
from jaxsim.space.deploy.select import best_colocated
from jaxsim.space.deploy.sweep import sweep_phases
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.plan import plan
from tests.narrow import of, some

SPACE = jaxsim.Space(
    tp=(1, 4),
    ep=(8, 16, 32),
    pp=(1, 2),
    batch=(32, 128, 512, 2048),
    chunk=(1024, 4096, 16384),
    prefill_batch=(1, 4, 8),
)


def share(isl, osl, share):
    return jaxsim.Share(jaxsim.Workload(isl=float(isl), osl=float(osl)), share)


MIX = (share(16384, 2048, 3.0), share(2048, 256, 5.0), share(1024, 1024, 2.0))
F = np.array([0.3, 0.5, 0.2])
TOKENS = np.array([2047.0, 255.0, 1023.0])


@pytest.fixture(scope="module")
def setup():
    return setup_of("deepseek-r1", "gb200-nvl72")


@pytest.fixture(scope="module")
def plan_request():
    return PlanRequest(MIX, ftl_s=5.0, ttl_s=0.05)


@pytest.fixture(scope="module")
def mixed(setup, plan_request):
    return plan(setup, plan_request, SPACE)


def alone(setup, shape, one):
    """The chosen design by itself, evaluated for one workload: a grid of one."""
    axes = {name: (getattr(shape, name),) for name in ("tp", "ep", "pp")}
    axes |= {"batch": (shape.batch,), "prefill_batch": (shape.batch,)}
    space = jaxsim.Space(**axes, chunk=(shape.chunk or 1,))
    work = one.workload
    scenario = setup.scenario(work)
    filled = complete(space, scenario.model, scenario.hardware, work.isl)
    return evaluate_phase(shape.phase, scenario, filled, (work.isl,), (work.osl,))


def test_a_mix_of_one_workload_is_the_plan(setup, plan_request):
    """All of it: pools, proof, frontiers, levers; only the clock differs."""
    one = replace(plan_request, workload=(share(16384, 2048, 7.0),))
    alone = replace(plan_request, workload=jaxsim.Workload(isl=16384.0, osl=2048.0))
    ours, theirs = (replace(plan(setup, r, SPACE), elapsed_s=0.0) for r in (one, alone))
    assert ours.levers
    assert repr(ours) == repr(theirs)
    assert ours.gain_at_mean_ttl is None
    for kind in (ours.disaggregated, ours.colocated):
        assert isinstance(kind, Deployed)
        assert kind.mixed_ttl_s == kind.ttl_s == kind.by_workload[0].ttl_s
        assert kind.by_workload[0].ftl_s == kind.ftl_s


def test_equal_workloads_are_one(setup, plan_request):
    """A mix of a workload with itself goes through the mixing and gives the plan."""
    twice = replace(plan_request, workload=(share(16384, 2048, 1.0), share(16384, 2048, 3.0)))
    alone = replace(plan_request, workload=jaxsim.Workload(isl=16384.0, osl=2048.0))
    mixed, plain = plan(setup, twice, SPACE), plan(setup, alone, SPACE)
    assert mixed.points_evaluated == 2 * plain.points_evaluated
    assert mixed.valid_points == plain.valid_points
    assert mixed.probability == pytest.approx(plain.probability)
    assert mixed.gain_at_mean_ttl == pytest.approx(plain.gain, rel=1e-6)
    assert (mixed.isl, mixed.osl) == (plain.isl, plain.osl)
    for kind in ("disaggregated", "colocated"):
        ours, theirs = getattr(mixed, kind), getattr(plain, kind)
        for name in (
            "output_tokens_per_s_per_gpu", "interval", "ftl_s", "ttl_s", "gpus", "requests_per_s",
            "cost_usd_per_million_output_tokens", "output_tokens_per_joule",
        ):  # fmt: skip
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-6), name
        for own, other in zip(ours.instances, theirs.instances, strict=True):
            shapes = [(s.tp, s.ep, s.pp, s.batch, s.chunk, s.count) for s in (own, other)]
            assert shapes[0] == shapes[1]
            assert own.parts_s == pytest.approx(other.parts_s)
            assert own.memory_bytes == other.memory_bytes
    for name in ("kv_egress_bytes_per_s_per_gpu", "kv_ingress_bytes_per_s_per_gpu"):
        ours, theirs = (getattr(p.disaggregated, name) for p in (mixed, plain))
        assert ours == pytest.approx(theirs)
    for own, other in zip(mixed.curves, plain.curves, strict=True):
        for name in ("ttl_s", "output_tokens_per_s_per_gpu", "low", "high"):
            np.testing.assert_allclose(getattr(own, name), getattr(other, name), rtol=1e-6)


def test_every_workload_meets_the_targets_where_it_is_looked_up_alone(setup, mixed):
    pools = mixed.disaggregated
    prompt, token = pools.instances
    for k, one in enumerate(MIX):
        prefill, decode = alone(setup, prompt, one), alone(setup, token, one)
        assert prefill.value("valid", 0)
        assert decode.value("valid", 0)
        assert pools.by_workload[k].ftl_s == pytest.approx(prefill.value("ftl_s", 0), rel=1e-5)
        assert pools.by_workload[k].ttl_s == pytest.approx(decode.value("ttl_s", 0), rel=1e-5)
        assert pools.by_workload[k].ftl_s <= 5.0
        assert pools.by_workload[k].ttl_s <= 0.05
    both = mixed.colocated
    (shape,) = both.instances
    for k, one in enumerate(MIX):
        result = alone(setup, shape, one)
        assert result.value(f"{shape.mode}_valid", 0)
        assert both.by_workload[k].ftl_s == pytest.approx(
            result.value(f"{shape.mode}_ftl_s", 0), rel=1e-5
        )
        assert both.by_workload[k].ttl_s == pytest.approx(
            result.value(f"{shape.mode}_ttl_s", 0), rel=1e-5
        )
        assert max(both.by_workload[k].ftl_s / 5.0, both.by_workload[k].ttl_s / 0.05) <= 1.0


def test_a_full_batch_makes_a_token_a_slot_and_step(mixed):
    """Little: batch = tokens/s × mean gap, so the mixed rate and the mixed TTL say the same."""
    for result in (mixed.disaggregated, mixed.colocated):
        shape = result.instances[-1]
        tokens_per_s = shape.requests_per_s * float(F @ TOKENS)
        assert tokens_per_s * result.mixed_ttl_s == pytest.approx(shape.batch, rel=1e-5)
        ttl = [one.ttl_s for one in result.by_workload]
        assert min(ttl) < result.mixed_ttl_s < max(ttl)


def test_nothing_evaluated_beats_the_answer(setup, plan_request, mixed):
    """Brute force over designs one at a time, with real-valued counts."""
    swept = sweep_phases(setup, plan_request, SPACE).each
    link = float(setup.hardware.hardware.scaleout.bytes_per_s)

    def seconds(phase, latency, target, extra, limit):
        """Least GPU seconds of a mean request over the designs that every workload can use."""
        best, tried = np.inf, 0
        grids = [getattr(one, phase) for one in swept]
        for n in range(grids[0].size):
            if all(
                g.value("valid", n) and g.value(latency, n) <= target and g.value(extra, n) <= limit
                for g in grids
            ):
                tried += 1
                mean = sum(f / g.value("requests_per_s", n) for f, g in zip(F, grids, strict=True))
                best = min(best, mean * grids[0].value("gpus", n))
        assert tried > 1
        return best

    total = seconds("prefill", "ftl_s", 5.0, "kv_link_frac", 1.0)
    total += seconds("decode", "ttl_s", 0.05, "kv_ingress_bytes_per_s_per_gpu", link)
    bound = mixed.disaggregated.certificate.upper_bound
    assert bound == pytest.approx(float(F @ TOKENS) / total, rel=1e-6)
    assert mixed.disaggregated.output_tokens_per_s_per_gpu <= bound * (1 + 1e-9)

    best = 0.0
    for mode in ("ifb", "piggybacked"):
        grids = [one.colocated for one in swept]
        rate = [g.full(f"{mode}_output_tokens_per_s_per_gpu") / t for g, t in zip(grids, TOKENS)]  # noqa: B905
        mean = sum(f / np.maximum(r, 1e-30) for f, r in zip(F, rate, strict=True))
        met = np.logical_and.reduce(
            [
                g.full(f"{mode}_valid")
                & (g.full(f"{mode}_ftl_s") <= 5.0)
                & (g.full(f"{mode}_ttl_s") <= 0.05)
                for g in grids
            ]
        )
        best = max(best, float(F @ TOKENS) / np.asarray(mean)[met].min(initial=np.inf))
    assert mixed.colocated.output_tokens_per_s_per_gpu == pytest.approx(best, rel=1e-5)


def test_the_gain_at_the_mean_ttl(setup, plan_request, mixed):
    """Brute force with counts of any size; held to less, neither kind gives less."""
    swept = sweep_phases(setup, plan_request, SPACE)
    link = float(setup.hardware.hardware.scaleout.bytes_per_s)
    slots = F * TOKENS / (F * TOKENS).sum()

    def least(phase, latency, valid, rate, mean):
        """Least GPU seconds of a mean request."""
        grids = [getattr(one, phase) for one in swept.each]
        ok = np.logical_and.reduce([valid(g) for g in grids])
        late = np.stack([g.full(latency) for g in grids])
        ok &= (np.tensordot(slots, late, 1) <= 0.05) if mean else (late <= 5.0).all(0)
        if phase == "colocated":
            ok &= np.all([g.full(latency.replace("ttl", "ftl")) <= 5.0 for g in grids], axis=0)
        rates = [np.maximum(rate(g, t), 1e-30) for g, t in zip(grids, TOKENS, strict=True)]
        seconds = sum(f / r for f, r in zip(F, rates, strict=True)) * grids[0].full("gpus")
        return seconds[ok].min(initial=np.inf)

    def own(g, _):
        return g.full("requests_per_s")

    disaggregated = least(
        "prefill", "ftl_s", lambda g: g.full("valid") & (g.full("kv_link_frac") <= 1), own, False
    ) + least(
        "decode", "ttl_s",
        lambda g: g.full("valid") & (g.full("kv_ingress_bytes_per_s_per_gpu") <= link), own, True,
    )  # fmt: skip
    colocated = min(
        least(
            "colocated", f"{mode}_ttl_s", lambda g, mode=mode: g.full(f"{mode}_valid"),
            lambda g, t, mode=mode: (
                g.full(f"{mode}_output_tokens_per_s_per_gpu") * g.full("gpus") / t
            ), True,
        )
        for mode in ("ifb", "piggybacked")
    )  # fmt: skip
    # Without a cap, a plan of whole instances gives up to 3 % less than the bound.
    assert mixed.gain_at_mean_ttl <= colocated / disaggregated * (1 + 1e-6)
    assert mixed.gain_at_mean_ttl >= 0.97 * colocated / disaggregated
    assert colocated <= (F @ TOKENS) / mixed.colocated.output_tokens_per_s_per_gpu * 1.00001


def test_only_the_ratios_of_shares_matter_and_no_order(setup, plan_request, mixed):
    shuffled = [replace(one, share=one.share * 1e-3) for one in (MIX[2], MIX[0], MIX[1])]
    again = plan(setup, replace(plan_request, workload=shuffled), SPACE)
    assert [one.share for one in again.mix] == pytest.approx([0.2, 0.3, 0.5])
    assert again.gain == pytest.approx(mixed.gain)
    assert of(Deployed, again.disaggregated).by_workload[0].ftl_s == pytest.approx(
        mixed.disaggregated.by_workload[2].ftl_s
    )


def test_a_budget_and_whole_domains_are_kept(setup, plan_request):
    capped = plan(setup, replace(plan_request, max_gpus=96), SPACE)
    for result in (capped.disaggregated, capped.colocated):
        assert of(Deployed, result).gpus <= 96
    assert some(of(Deployed, capped.disaggregated).certificate).gap == 0.0
    packed = plan(setup, replace(plan_request, exact_gpus=144, pack=True), SPACE)
    one = of(Deployed, packed.disaggregated)
    paid = one.requests_per_s * float(F @ TOKENS) / one.output_tokens_per_s_per_gpu
    assert paid == pytest.approx(144.0)


def test_what_is_nearest_can_be_met(setup, plan_request):
    """The targets that the mixed names are targets that a plan meets, and the tightest of them."""
    fast = replace(plan_request, ttl_s=0.001)
    unmet = plan(setup, fast, SPACE)
    assert unmet.recommended is None
    assert unmet.gain is None
    for kind in ("disaggregated", "colocated"):
        named = getattr(unmet, kind)
        assert isinstance(named, Unmet)
        assert named.ftl_s is None
        ttl_s = some(named.ttl_s)
        just = plan(setup, replace(plan_request, ttl_s=ttl_s * 1.0001), SPACE)
        assert isinstance(getattr(just, kind), Deployed)
        short = plan(setup, replace(plan_request, ttl_s=ttl_s * 0.9999), SPACE)
        assert isinstance(getattr(short, kind), Unmet)


def test_one_grid_reaches_the_longest_prompt(setup, plan_request):
    few = replace(SPACE, chunk=())
    two = replace(plan_request, workload=(share(500, 100, 1.0), share(9000, 100, 1.0)))
    swept = sweep_phases(setup, two, few).each
    chunks = [one.prefill.axes["chunk"] for one in swept]
    np.testing.assert_array_equal(chunks[0], chunks[1])
    assert 4096 < chunks[0].max() <= 9000


def test_a_workload_that_no_design_can_serve_is_named(setup, plan_request):
    long = replace(plan_request, workload=(MIX[0], share(900_000_000, 64, 1.0)))
    with pytest.raises(InputError, match=r"ISL 900,000,000, OSL 64: No .* design obeys every rule"):
        plan(setup, long, SPACE)


def test_mixes_that_make_no_sense_are_refused(plan_request):
    with pytest.raises(InputError, match="at least one"):
        replace(plan_request, workload=())
    with pytest.raises(InputError, match="positive"):
        replace(plan_request, workload=(share(1024, 64, 0.0),))
    with pytest.raises(InputError, match="one workload, and a mix of 3"):
        plan_request.only_workload  # noqa: B018


def test_a_mix_has_frontiers_and_says_why_it_has_no_levers(mixed):
    """A frontier's point at the target is the plan's, but for whole instances."""
    assert mixed.levers == ()
    for curve, result in zip(mixed.curves, (mixed.disaggregated, mixed.colocated), strict=False):
        best = curve.output_tokens_per_s_per_gpu[curve.ttl_s <= 0.05].max()
        assert best == pytest.approx(result.output_tokens_per_s_per_gpu, rel=0.03)


def test_time_shared_instances_finish_the_mix(setup, plan_request):
    """Serve 10,000 requests of random kinds one after another, and count the time."""
    swept = sweep_phases(setup, plan_request, SPACE)
    kinds = np.random.default_rng(1).choice(3, 10_000, p=F)
    index = np.flatnonzero(swept.prefill.full("valid"))[::97]
    own = [one.prefill.full("requests_per_s").ravel()[index] for one in swept.each]
    seconds = sum(np.count_nonzero(kinds == k) / own[k] for k in range(3))
    rate = swept.prefill.full("requests_per_s").ravel()[index]
    np.testing.assert_allclose(rate, 10_000 / seconds, rtol=0.02)


def test_a_mix_has_the_best_of_every_batch():
    """Against every whole batch in the grid: as good, and better than the grid of octaves."""
    setup = setup_of("llama-3.1-8b", "h100")
    mix = (share(900, 200, 0.6), share(2600, 120, 0.4))
    request = PlanRequest(mix, ftl_s=0.5, ttl_s=0.0155)
    widths = jaxsim.Space(tp=(1, 2), ep=(1,), pp=(1,), chunk=(512.0, 2048.0))
    every = replace(
        widths,
        batch=tuple(float(b) for b in range(1, 201)),
        prefill_batch=tuple(float(b) for b in range(1, 17)),
    )
    ours, dense = (plan(setup, request, space) for space in (widths, every))
    swept = sweep_phases(setup, request, widths)
    grid = of(Deployed, best_colocated(swept, gather(swept))[0])
    for kind in ("disaggregated", "colocated"):
        best, all_ = of(Deployed, getattr(ours, kind)), of(Deployed, getattr(dense, kind))
        assert best.ttl_s <= 0.0155
        near = pytest.approx(all_.output_tokens_per_s_per_gpu, rel=1e-3)
        assert best.output_tokens_per_s_per_gpu == near
        assert len(best.by_workload) == 2
    # The grid of four batches to an octave loses 6 % of co-location here.
    gained = of(Deployed, ours.colocated).output_tokens_per_s_per_gpu
    assert gained > 1.05 * grid.output_tokens_per_s_per_gpu
    assert len(ours.curves[0].ttl_s) > 12
