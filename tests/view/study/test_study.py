"""Every claim of the study on a reduced grid, and the identities of matching on every point."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jaxsim
from jaxsim.view.cli import main as cli
from jaxsim.view.study import map as study_map
from jaxsim.view.study.claim import (
    NOT,
    PARTLY,
    REPRODUCED,
    Part,
    judge,
    least_of,
    rank_correlation,
    thirds,
)
from jaxsim.view.study.claims import (
    CLAIMS,
    base_finding,
    chosen,
    limit_finding,
    readings_for,
    robustness_of,
    try_readings,
)
from jaxsim.view.study.claims_gain import DENSE, FOUR, HEAVY, SIZES, TRAFFIC
from jaxsim.view.study.claims_pipeline import cpp_designs, cpp_rows
from jaxsim.view.study.claims_pools import rungs
from jaxsim.view.study.figures import PICTURES, draw, picture_of
from jaxsim.view.study.lengths import LengthSpread, spread_frontier
from jaxsim.view.study.settings import SELECTED, SWEPT, settings
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case, best_by_targets
from jaxsim.view.study.ties import least_changing
from tests.narrow import some, untyped
from tests.view.written import checked

GOLDEN = Path(__file__).parent / "verdicts.json"
VERDICTS = json.loads(GOLDEN.read_text(encoding="utf-8"))
LISTED = [f"C{n}" for n in (*range(1, 13), 14, 15, 17, 18, 20, 22, 23)]


@pytest.fixture(scope="module")
def study():
    return Study("reduced")


@pytest.fixture(scope="module")
def base():
    return settings().base


# ---- the settings ---------------------------------------------------------------------------


def test_every_claim_of_the_study_is_checked_described_and_drawn():
    assert list(CLAIMS) == LISTED
    assert list(settings().claims) == LISTED
    assert sorted(c for p in PICTURES for c in p.claims) == sorted(LISTED)


def test_every_choice_has_a_source():
    known = settings()
    for name in (*SWEPT, *SELECTED):
        assert known.provenance[f"unknowns.{name}"].source
    assert all(datum.source for datum in known.provenance.values())


def test_random_mixtures_try_every_level_equally_often():
    known = settings()
    mixtures = known.mixed(24)
    for name in SWEPT:
        levels = [getattr(mixture, name) for mixture in mixtures]
        counts = [levels.count(level) for level in known.unknowns[name]]
        assert max(counts) - min(counts) <= 1
    assert mixtures == known.mixed(24)


def test_readings_cover_every_cutoff_and_metric_of_every_mixture():
    known = settings()
    selected = np.prod([len(known.unknowns[name]) for name in SELECTED])
    assert len(known.readings(3)) == 4 * selected
    assert len(readings_for(CLAIMS["C8"], known.readings(0))) == 1
    assert len(readings_for(CLAIMS["C10"], known.readings(0))) == len(known.unknowns["ftl_s"])


def test_an_unknown_claim_is_refused_with_the_nearest():
    with pytest.raises(jaxsim.InputError, match="C13"):
        chosen(["C13"])


# ---- small parts -----------------------------------------------------------------------------


def test_best_by_targets_is_the_largest_of_those_that_meet_both():
    random = np.random.default_rng(0)
    y, ttl, ftl = random.random((3, 500))
    ttls, ftls = np.array([0.1, 0.4, 0.8]), np.array([0.2, 0.9])
    result = best_by_targets(y, ttl, ftl, ttls, ftls)
    for i, most_ftl in enumerate(ftls):
        for j, most_ttl in enumerate(ttls):
            met = (ttl <= most_ttl) & (ftl <= most_ftl)
            assert result[i, j] == (y[met].max() if met.any() else 0.0)


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    x = [1, 2, 3, 4, 5, 6, 7]
    y = [1.0, 1.0, 5.0, 4.0, 4.0, 9.0, 8.0]
    assert rank_correlation(x, y) == pytest.approx(untyped(spearmanr(x, y)).statistic)
    assert rank_correlation(x, [2.0] * 7) == 0.0


def test_thirds_are_geometric_means():
    assert thirds(np.array([1.0, 4.0, 2.0, 8.0, 1.0, 1.0])) == pytest.approx((2.0, 4.0, 1.0))


def test_a_verdict_follows_its_parts():
    yes, no = Part("a", True), Part("b", False)
    assert judge(yes, yes) == REPRODUCED
    assert judge(yes, no) == PARTLY
    assert judge(no, yes) == NOT
    assert judge(yes, no, yes, essential=2) == NOT


# ---- claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTED)
def test_a_claim_gives_a_verdict_from_its_parts(name, study, base):
    result = CLAIMS[name].check(study, base)
    assert result is not None
    # A change of a verdict is a result: it is written into the golden, and into the changelog.
    assert result.verdict == VERDICTS[name]
    assert (result.verdict == REPRODUCED) == all(part.holds for part in result.parts)
    assert result.value
    json.dumps(result.measures, default=float)


def test_a_trend_changes_least_among_equals():
    equals = [np.array(own) for own in ([4.0], [4.0, 8.0], [8.0, 16.0], [2.0, 8.0])]
    result = least_changing(np.array([4.0, 8.0, 16.0, 2.0]), equals)
    assert result.tolist() == [4.0, 4.0, 16.0, 2.0]


def test_what_would_have_to_be_true_is_where_a_claim_begins_to_hold(study, base):
    assert least_of(lambda x: x >= 0.3, 0.0, 1.0, steps=20) == pytest.approx(0.3, abs=1e-5)
    result = base_finding(study, CLAIMS["C14"])
    assert result.verdict == PARTLY
    assert "would start at 2.4 if attention took" in result.needed
    half = study.matched(HEAVY, base.mixed(decode_attention=0.5))
    whole = study.matched(HEAVY, base)
    assert half.ctx_gen_ratio[rungs(half)[0]] > 1.1 * whole.ctx_gen_ratio[rungs(whole)[0]]


def test_the_limit_of_the_chip_is_a_reading_beside_todays_kernels(study, base):
    case = Case("llama-3.1-70b", 4096.0, 512.0)
    today, limit = (study.matched(case, s) for s in (base, base.mixed(engine="limit")))
    served = today.served & limit.served
    assert served.any()
    assert (limit.y[served] > today.y[served]).all()
    assert some(limit_finding(study, CLAIMS["C2"])).verdict == REPRODUCED


def test_a_cutoff_that_nothing_meets_answers_nothing(study, base):
    long = Case("llama-3.1-405b", 1048576.0, 2048.0)
    strict = replace(base, ftl_s=0.5)
    assert not len(study.gain(long, strict))


def test_robustness_counts_the_readings_in_which_a_claim_holds(study):
    claims = chosen(["C2", "C10"])
    readings = settings().readings(0)
    tried = try_readings(study, claims, readings)
    robust = robustness_of(claims[0], tried["C2"])
    verdicts = [result.verdict for _, result in tried["C2"] if result is not None]
    assert robust.holds == pytest.approx(verdicts.count(REPRODUCED) / len(verdicts))
    assert robust.readings + robust.not_applicable == len(readings)
    assert set(robust.by_unknown["ftl_s"]) <= {"10", "5", "2", "1", "0.5"}
    assert robust.label in ("robust", "depends", "finding")


def test_a_pipeline_row_is_the_public_estimate(study, base):
    rows = cpp_rows(cpp_designs(study, base.mixture))
    chunks = cpp_designs(study, base.mixture).axes["chunk"]
    row = next(row for row in rows if row.pp == 16.0)
    point = jaxsim.estimate(
        "deepseek-r1", "gb200-nvl72", jaxsim.Workload(isl=262144.0, osl=2048.0),
        phase="prefill", tp=1, ep=4, pp=16, batch=4, chunk=float(chunks[3]), precision="study",
        engine="ideal",
    )  # fmt: skip
    assert row.ftl_s[3] == pytest.approx(point.outputs["ftl_s"], rel=1e-5)
    assert row.requests_per_s[3] == pytest.approx(point.outputs["requests_per_s"], rel=1e-5)


def test_lengths_that_do_not_spread_give_the_proxy(study, base):
    case = Case("llama-3.1-70b", 4096.0, 512.0)
    proxy = study.matched(case, base).y
    spread = spread_frontier(study, case, base, LengthSpread(1e-6))
    np.testing.assert_allclose(spread, proxy, rtol=1e-5)


# ---- identities ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", dict.fromkeys((*TRAFFIC, *SIZES, *FOUR)), ids=str)
def test_every_matched_point_obeys_the_identities(case, study, base):
    matched = study.matched(case, base)
    met = matched.served
    assert met.any()
    one, many = matched.prefill, {name: v[met] for name, v in matched.decode.items()}
    first = one["requests_per_s"] / one["gpus"]
    second = many["requests_per_s"] / many["gpus"]
    y, ratio = matched.y[met], matched.ctx_gen_ratio[met]
    np.testing.assert_allclose(y, (case.osl - 1) * first * second / (first + second), rtol=1e-6)
    np.testing.assert_allclose(ratio, second / first, rtol=1e-6)
    # n_p P = n_d D within the tolerance of the study.
    supply = many["prefill_instances"] * one["requests_per_s"]
    demand = many["decode_instances"] * many["requests_per_s"]
    np.testing.assert_allclose(supply, demand, rtol=settings().tolerance * 1.001)
    # A prompt's cache, from what leaves a prefill GPU and from what reaches a decode GPU.
    attention = jaxsim.load_model(case.model).model.groups[0].attention
    heads = float(np.asarray(getattr(attention, "kv_heads", 1.0)))  # a latent cache is one head

    def prompt_bytes(pool, flow):
        """Bytes/s per GPU, times the GPUs that hold distinct cache, over requests/s."""
        holders = pool["gpus"] * np.minimum(heads, pool["tp"]) / pool["tp"]
        return pool[flow] * holders / pool["requests_per_s"]

    sent = prompt_bytes(one, "kv_egress_bytes_per_s_per_gpu")
    into = many["kv_ingress_bytes_per_s_per_gpu"]
    np.testing.assert_allclose(
        prompt_bytes(many, "kv_ingress_bytes_per_s_per_gpu"), sent, rtol=1e-5
    )
    # The prompt's cache is read at every step.
    hbm = 8.0e12
    assert (into <= hbm / (case.osl - 1)).all()


@pytest.mark.parametrize("ratio", [3.5, 0.5])
def test_a_fixed_ratio_obeys_its_identity_and_is_never_above_the_best(ratio, study, base):
    fixed, best = study.matched(HEAVY, base, ratio=ratio), study.matched(HEAVY, base)
    met = fixed.served
    columns = {name: values[met] for name, values in fixed.decode.items()}
    first = columns["prefill_requests_per_s"] / columns["prefill_gpus"]
    second = columns["requests_per_s"] / columns["gpus"]
    expected = (HEAVY.osl - 1) * np.minimum(first * ratio, second) / (1 + ratio)
    np.testing.assert_allclose(fixed.y[met], expected, rtol=1e-6)
    assert (fixed.y <= best.y * (1 + 1e-9)).all()


def test_a_frontier_is_the_public_one(study, base):
    space = study.sweeper.space(DENSE)
    workload = jaxsim.Workload(isl=DENSE.isl, osl=DENSE.osl)
    tree = jaxsim.evaluate(
        DENSE.model, "gb200-nvl72", workload, space, precision="study", engine="ideal"
    )
    fronts = jaxsim.frontier(tree, ftl_s=base.ftl_s)
    curves = study.curves(DENSE, base.mixture)
    loose = replace(base, piggybacking="ttl_metric")
    lines = {"disaggregated": curves.matched(base).y, "colocated": curves.colocated(loose)}
    for name, y in lines.items():
        front = fronts[name]
        for rung in np.searchsorted(curves.interactivity, (10.0, 40.0, 80.0)):
            met = front.ttl_s.values <= (1 + 1e-9) / curves.interactivity[rung]
            public = front.output_tokens_per_s_per_gpu.values[met].max() if met.any() else 0.0
            # Both are computed in 32 bits.
            assert y[rung] == pytest.approx(public, rel=1e-5)


# ---- what leaves -----------------------------------------------------------------------------


def test_a_picture_is_drawn(study, base):
    svg = draw(picture_of("C8"), study, base)
    assert svg.startswith(b"<?xml")
    assert len(svg) > 20_000


def test_the_map_holds_the_gain_of_the_public_frontier(monkeypatch, base):
    monkeypatch.setattr(study_map, "ISL", (4096.0,))
    monkeypatch.setattr(study_map, "OSL", (512.0,))
    loose = replace(base, piggybacking="ttl_metric")
    gain = study_map.model_gain(Study("reduced"), "llama-3.1-8b", loose)
    workload = jaxsim.Workload(isl=4096.0, osl=512.0)
    tree = jaxsim.evaluate(
        "llama-3.1-8b", "gb200-nvl72", workload, study_map.SPACE, precision="study", engine="ideal"
    )
    fronts = jaxsim.frontier(tree, ftl_s=base.ftl_s)
    for k, ttl_s in enumerate(study_map.TTL_S):
        best = [
            float(front.output_tokens_per_s_per_gpu.where(front.ttl_s <= ttl_s).max())
            for front in (fronts["disaggregated"], fronts["colocated"])
        ]
        assert gain[0, 0, k] == pytest.approx(best[0] / best[1], rel=1e-5)


def test_the_map_is_a_labelled_dataset_with_its_uncertainty(monkeypatch):
    monkeypatch.setattr(study_map, "ISL", (2048.0, 16384.0))
    monkeypatch.setattr(study_map, "OSL", (256.0, 2048.0))
    chart = study_map.gain_map(Study("reduced"), ("llama-3.1-8b",), readings=1)
    data = chart.dataset
    assert data.gain.dims == ("model", "isl", "osl", "ttl")
    assert chart.designs > 10_000
    assert data.gain.attrs["units"] == "1"
    known = data.gain.notnull()
    assert (data.gain_low <= data.gain).where(known, True).all()
    assert (data.clear_share.where(known) >= 0).where(known, True).all()
    # Long prompts with short answers gain more than the converse.
    one = data.gain.sel(model="llama-3.1-8b", ttl=0.0125)
    assert float(one.sel(isl=16384, osl=256)) > float(one.sel(isl=2048, osl=2048))
    assert study_map.map_figure(chart).startswith(b"<?xml")


def test_reproduce_prints_one_json_object(capsys):
    assert cli.main(["reproduce", "C20", "--grid", "reduced", "--mixtures", "0",
                     "--format", "json"]) == 0  # fmt: skip
    said = checked("study", capsys.readouterr().out)
    (claim,) = said["claims"]
    assert claim["id"] == "C20"
    assert claim["verdict"] == VERDICTS["C20"]
    assert claim["robustness"]["readings"] == 1


def test_reproduce_writes_a_page_that_needs_no_network(tmp_path, capsys):
    folder = tmp_path / "study"
    arguments = ["C10", "C15", "--grid", "reduced", "--mixtures", "0", "-o", str(folder)]
    assert cli.main(["reproduce", *arguments]) == 0
    claims = checked("claims", folder / "claims.json")
    keys = {"id", "claim", "verdict", "value", "expected", "robustness", "figure"}
    assert [claim["id"] for claim in claims] == ["C10", "C15"]
    for claim in claims:
        assert keys <= set(claim)
        assert (folder / claim["figure"]).stat().st_size > 10_000
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "C10." in page
    assert "C15." in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert page.count("<svg") == 2
    assert "data:image" not in page
    assert "fill: var(--ink)" in page, "pictures are as dark or light as the page"
    assert "$" not in page.split("</style>")[1].split("<footer>")[0]
    assert "C10" in capsys.readouterr().out


def test_reproduce_refuses_what_it_does_not_know(capsys):
    assert cli.main(["reproduce", "C99"]) == cli.BAD_INPUT
    assert "C99" in capsys.readouterr().err
