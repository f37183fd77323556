"""Do costs follow prices, and do prices say where they come from?"""

import datetime
from typing import Any

import pytest

import jaxsim
from jaxsim.catalog.prices import check_used, given_prices, price_source, read_prices
from jaxsim.space.deploy.result import Deployed
from jaxsim.view.text.costs import costs_of
from tests.narrow import of, untyped

FILE = """
from = "quote"
h200 = 2.9
gb200 = { value = 3.2, note = "reserved" }

[sources.quote]
kind = "spec"
source = "Our contract"
date = 2026-11-01
"""


def test_a_price_file_has_sources(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    prices = read_prices(path)
    assert set(prices) == {"h200", "gb200-nvl72"}
    assert (prices["h200"].value, prices["h200"].source) == (2.9, "Our contract")
    for text, message in (
        (FILE.replace("2.9", "-1"), "more than 0"),
        (FILE.replace("h200 =", "h2000x ="), "Nearest known"),
        (FILE.replace('source = "Our contract"\n', ""), "source"),
    ):
        path.write_text(text)
        with pytest.raises(jaxsim.InputError, match=message):
            read_prices(path)


def test_prices_on_the_command_line():
    today = datetime.date(2026, 11, 26)
    assert given_prices(["gb200=3.2"], today)["gb200-nvl72"].value == 3.2
    for text in ("gb200", "gb200=free", "gb200=0", "=3"):
        with pytest.raises(jaxsim.InputError, match="HW=USD"):
            given_prices([text])


def test_a_price_of_hardware_that_is_not_there_is_refused():
    check_used(["gb200=3.2"], ["h200", "gb200-nvl72"])
    with pytest.raises(jaxsim.InputError, match="no pool is of h20; there is h200"):
        check_used(["h20=3.2"], ["h200"])


def test_costs_follow_prices():
    """Twice the price is twice the cost of every token; pools add up to the whole."""
    card = jaxsim.load_hardware("h200")
    space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(8.0,), chunk=(2048.0,))
    case: dict[str, Any] = {"space": space, "engine": "ideal"}
    work = jaxsim.Workload(2048, 256)
    work = jaxsim.PlanRequest(work, ftl_s=1.0, ttl_s=0.05, objective="cost")
    plan = jaxsim.plan("llama-3.1-8b", jaxsim.with_price(card, 2.0, "a quote"), work, **case)
    result = of(Deployed, plan.disaggregated)
    costs = untyped(costs_of(result, plan.isl))
    per_million = costs["usd_per_million_tokens"]
    assert per_million["output"] == pytest.approx(result.cost_usd_per_million_output_tokens)
    assert 1 / per_million["total"] == pytest.approx(
        1 / per_million["input"] + 1 / per_million["output"]
    )
    assert costs["tokens_per_usd"]["output"] * per_million["output"] == pytest.approx(1e6)
    pools = costs["by_pool"]
    rates = costs["tokens_per_usd"]
    whole = (
        pools["usd_per_million_input_tokens"] * rates["input"]
        + pools["usd_per_million_output_tokens"] * rates["output"]
    )
    assert whole == pytest.approx(1e6)
    assert "a quote" in costs["prices"][0]["source"]
    assert costs["tokens_per_joule"]["output"] == pytest.approx(result.output_tokens_per_joule)
    other = jaxsim.plan("llama-3.1-8b", jaxsim.with_price(card, 4.0), work, **case)
    doubled = untyped(costs_of(of(Deployed, other.disaggregated), plan.isl))[
        "usd_per_million_tokens"
    ]
    assert doubled["total"] == pytest.approx(2 * per_million["total"])
    assert "2.26" not in price_source(card)
    with pytest.raises(jaxsim.InputError, match="more than 0 dollars"):
        jaxsim.with_price(card, 0.0)
