"""Do keywords and request records say the same, and does a wrong keyword name its function?"""

from dataclasses import fields
from typing import get_type_hints

import pytest

import jaxsim
from jaxsim.api import keywords
from jaxsim.api.request import SETUP, request_of
from jaxsim.api.simulate import SimulateKeywords
from jaxsim.traffic.synthetic.load import LoadKeywords, LoadRequest

WORK = jaxsim.Workload(isl=1024, osl=128)
LOAD = jaxsim.load_of(isl=256, osl=32, requests_per_s=2.0, duration_s=10.0).drawn(0)
CASE = ("llama-3.1-8b", "h100", WORK)
PAIRS = {
    "estimate": (jaxsim.EstimateRequest, keywords.EstimateKeywords, set()),
    "search": (jaxsim.SearchRequest, keywords.SearchKeywords, set()),
    "serve": (jaxsim.ServeRequest, keywords.ServeKeywords, set()),
    "simulate": (jaxsim.SimulateRequest, SimulateKeywords, set()),
    "plan": (jaxsim.PlanRequest, keywords.PlanKeywords, {"gpus"}),
}


@pytest.mark.parametrize("verb", PAIRS)
def test_keywords_are_the_fields_of_the_request(verb):
    record, typed, aliases = PAIRS[verb]
    own = get_type_hints(record)
    given = get_type_hints(typed)
    first = fields(record)[0].name
    assert set(given) - set(SETUP) - aliases == set(own) - {first}
    if verb != "plan":  # a target may be None there: it is missing, which a sentence says
        assert all(given[name] == own[name] for name in own if name != first)


def test_a_load_has_the_keywords_of_its_request():
    assert get_type_hints(LoadKeywords) == get_type_hints(LoadRequest)
    with pytest.raises(TypeError, match=r"^jaxsim.load_of\(\) has no keyword 'peak'; did you mean"):
        jaxsim.load_of(isl=1, osl=1, peak=2.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("estimate", {"phase": "decode", "tpp": 1}),
        ("search", {"phase": "decode", "target_s": 1.0}),
        ("serve", {"tp": 1, "concurency": 4}),
        ("simulate", {"ftl": 1.0}),
        ("plan", {"ftl_s": 1.0, "ttl": 0.05}),
        ("sensitivity", {"ftl_s": 1.0, "ttl": 0.05}),
    ],
)
def test_a_misspelt_keyword_names_the_public_function(verb, given):
    with pytest.raises(TypeError, match=rf"^jaxsim\.{verb}\(\) has no keyword .*did you mean"):
        getattr(jaxsim, verb)(*CASE[:2], LOAD if verb == "simulate" else WORK, **given)


def test_what_is_missing_or_given_twice_is_said():
    with pytest.raises(TypeError, match=r"jaxsim.estimate\(\) lacks tp: .*EstimateRequest"):
        jaxsim.estimate(*CASE, phase="decode")
    request = jaxsim.EstimateRequest(WORK, "decode", tp=1)
    assert request_of("estimate", jaxsim.EstimateRequest, request, {"engine": "ideal"}) is request
    with pytest.raises(jaxsim.InputError, match="batch: the EstimateRequest has its own"):
        jaxsim.estimate(*CASE[:2], request, batch=4)
    with pytest.raises(jaxsim.InputError, match="ttl_s: missing"):
        jaxsim.plan(*CASE, ftl_s=1.0)
