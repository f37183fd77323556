"""What is written has the types that `jaxsim schema` prints; what is refused breaks them."""

import json
import tomllib
from dataclasses import replace

import jsonschema
import msgspec
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.names import DATA, resolve_hardware
from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.result import Latencies
from jaxsim.view.cli import main as cli
from jaxsim.view.cli.verbs.schema import NAMES
from jaxsim.view.files.mix_file import read_mix
from jaxsim.view.files.plan_json import plan_dict
from jaxsim.view.files.schemas import names
from jaxsim.view.files.schemas.plan import Plan
from jaxsim.view.text.plain_json import dumps
from tests.view.written import checked_file


def printed(name, capsys):
    assert cli.main(["schema", name]) == cli.OK
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_verb_knows_every_file():
    assert set(NAMES) == set(names.FILES)


@pytest.fixture
def plans(plan, unmet_plan, half_met_plan):
    mix = (Share(Workload(64.0, 32.0), 0.5), Share(Workload(65.0, 16.0), 0.5))
    own = {"by_workload": (Latencies(0.5, 0.01), Latencies(0.6, 0.02)), "mixed_ttl_s": 0.015}
    kinds = {kind: replace(getattr(plan, kind), **own) for kind in ("disaggregated", "colocated")}
    return [plan, unmet_plan, half_met_plan, replace(plan, mix=mix, gain_at_mean_ttl=1.1, **kinds)]


def test_plans_have_their_schema(plans, capsys):
    schema = printed("plan", capsys)
    for plan in plans:
        text = dumps(plan_dict(plan))
        schema.validate(json.loads(text))
        assert msgspec.json.decode(text, type=Plan).model == plan.model


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("recommended",), "both"),
        (("objective",), None),
        (("workload", "isl"), 0),
        (("disaggregated", "instances", 0, "count"), 1.5),
        (("colocated", "interval"), [1.0]),
        (("unknown",), 1),
    ],
)
def test_what_no_plan_has_breaks_the_schema(where, value, plan, capsys):
    written = json.loads(dumps(plan_dict(plan)))
    table = written
    for key in where[:-1]:
        table = table[key]
    table[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        printed("plan", capsys).validate(written)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, Plan)


@pytest.mark.parametrize(
    ("rows", "good"),
    [
        ([{"isl": 1, "osl": 2, "share": 0.1}], True),
        ([{"isl": 16384, "osl": 2048, "share": 3}, {"isl": 8, "osl": 4, "share": 1e3}], True),
        ([], False),
        ({"mix": []}, False),
        ([{"isl": 0, "osl": 2, "share": 1}], False),
        ([{"isl": 1, "osl": 1, "share": 1}], False),
        ([{"isl": 1, "osl": 2, "share": 0}], False),
        ([{"isl": 1, "osl": 2}], False),
        ([{"isl": 1, "osl": 2, "share": 1, "hit": 0}], False),
        ([{"isl": True, "osl": 2, "share": 1}], False),
        ([{"isl": "1k", "osl": 2, "share": 1}], False),
    ],
)
def test_a_mix_is_read_where_its_schema_holds(rows, good, tmp_path, capsys):
    path = tmp_path / "mix.json"
    path.write_text(json.dumps(rows))
    assert printed("mix", capsys).is_valid(rows) == good
    if good:
        assert len(read_mix(path)) == len(rows)
    else:
        with pytest.raises(InputError):
            read_mix(path)


CATALOGUE = {"model-file": "models", "hardware-file": "hardware"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_file_of_the_catalogue_has_its_schema(name):
    files = sorted((DATA / CATALOGUE[name]).glob("*.toml"))
    assert len(files) > 10
    for path in files:
        checked_file(name, path)


@pytest.mark.parametrize(
    ("name", "entry", "table", "key", "value"),
    [
        ("model-file", "llama-3.1-8b", ("attention", "full"), "heads", None),
        ("model-file", "llama-3.1-8b", ("attention", "full"), "kind", "Mean"),
        ("model-file", "llama-3.1-8b", ("sources", "config"), "kind", "guessed"),
        ("model-file", "deepseek-r1", ("precision",), "heads", "fp8"),
        ("hardware-file", "h100", ("chip",), "hbm_bytes", -1.0),
        ("hardware-file", "h100", ("scaleup",), "latency_s", {"seconds": 1e-6}),
        ("hardware-file", "h100", (), "vendor", None),
    ],
)
def test_what_no_file_of_the_catalogue_has_breaks_its_schema(name, entry, table, key, value):
    own = CATALOGUE[name]
    path = DATA / own / f"{entry if own == 'models' else resolve_hardware(entry)}.toml"
    raw = tomllib.loads(path.read_text("utf-8"))
    place = raw
    for step in table:
        place = place[step]
    if value is None:
        del place[key]
    else:
        place[key] = value
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, type=names.FILES[name][0])
