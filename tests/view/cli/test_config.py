"""Does a file ask for what the command line asks, and does a folder say how it was made?"""

import io
import json
import shlex

import jsonschema
import pytest
import xarray as xr
import yaml

from jaxsim.view.cli import process
from jaxsim.view.cli.config import (
    changed,
    config_schema,
    parser_of,
    read_config,
    resolved,
    words_of,
)
from jaxsim.view.cli.main import BAD_INPUT, BROKEN_PIPE, OK, build_parser, main
from jaxsim.view.cli.provenance import command
from jaxsim.view.files.sweep_config import EXAMPLE, SCHEMA

FILE = """
verb: plan
model: llama-3.1-8b
hardware: h200
isl: 2048
osl: 256
ftl: 1s
ttl: 50ms
tp: [1, 2]
pp: 1
pack: true
price: {h200: 2.9}
"""


@pytest.fixture(scope="module")
def parsers():
    return build_parser()


def parsed(text, parsers, *settings):
    raw = changed(yaml.safe_load(text), settings)
    verb = str(raw["verb"])
    own = parser_of(parsers, verb)
    return parsers.parse_args([verb, *words_of(raw, own, "x.yaml")])


def test_a_file_asks_for_the_same_as_words(parsers):
    words = "plan llama-3.1-8b --hardware h200 --isl 2048 --osl 256 --ftl 1s --ttl 50ms"
    told = parsers.parse_args(
        [*words.split(), *["--tp", "1,2", "--pp", "1", "--pack", "--price", "h200=2.9"]]
    )
    assert vars(parsed(FILE, parsers)) == vars(told)


def test_settings_change_keys_and_go_into_tables(parsers):
    result = parsed(FILE, parsers, "ttl=30ms", "price.h100=1.5", "tp=[4]", "pack=false")
    assert (result.ttl, result.tp, result.pack) == ("30ms", "4", False)
    assert result.price == ["h200=2.9", "h100=1.5"]


def test_what_is_resolved_asks_for_the_same_again(parsers):
    own = parser_of(parsers, "plan")
    first = parsed(FILE, parsers)
    again = parsed(yaml.safe_dump(resolved(first, own)).replace("jaxsim: ", "# "), parsers)
    assert vars(again) == vars(first)


@pytest.mark.parametrize(
    "words",
    [
        "traffic day.csv llama-3.1-8b --hardware h200 --ftl 1s --ttl 50ms --prefix-cache "
        "--fail decode@5min,count=2 --fail prefill@9min --colocated tp=1,instances=2",
        "traffic llama-3.1-8b --users 4 --isl 512 --osl 32 --hardware h200 --ftl 1s --ttl 50ms",
        "reproduce C1 C2 --mixtures 8 --no-map",
        "search llama-3.1-8b --hardware h200 --phase decode --isl 1024..4096:3 --osl 128 "
        "--ttl 20ms,50ms",
        "validate runs.csv --hit-frac 20% --tp 8",
    ],
)
def test_every_verb_that_writes_is_repeated_by_its_file(parsers, words):
    first = parsers.parse_args(words.split())
    own = parser_of(parsers, first.verb)
    again = parsed(yaml.safe_dump(resolved(first, own)).replace("jaxsim: ", "# "), parsers)
    assert vars(again) == vars(first)
    jsonschema.validate(
        {k: v for k, v in resolved(first, own).items() if k != "jaxsim"},
        config_schema(first.verb, own),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE.replace("ttl:", "tll:"), "did you mean 'ttl'"),
        (FILE.replace("verb: plan", "verb: plann"), "Did you mean 'plan'"),
        (FILE.replace("pack: true", "pack: 3"), "plan.pack: 3 is not true or false"),
        (FILE + "engine: ''\n", "plan.engine: '' is no value"),
        (FILE + "precision: []\n", "plan.precision: [] is no value"),
        (FILE + f"batch: {'9' * 5000}\n", "not valid YAML: a number of 5000 digits."),
        ("model: x", "key 'verb'"),
        ("verb: [", "not valid YAML"),
    ],
)
def test_bad_files_are_refused_by_path(tmp_path, capsys, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert main(["run", str(path)]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_schemas_take_good_files_and_refuse_others(parsers, capsys):
    schema = config_schema("plan", parser_of(parsers, "plan"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(FILE), schema)
    for broken in (FILE.replace("ttl:", "tll:"), FILE.replace("pack: true", "pack: often")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(broken), schema)
    jsonschema.validate(yaml.safe_load(EXAMPLE), SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"model": "x", "hardware": "y", "workload": {"isl": 1, "osx": 2}}, SCHEMA
        )
    assert main(["schema", "run-plan"]) == OK
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema))
    assert main(["schema", "run-pln"]) == BAD_INPUT
    assert "plan" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bare.toml", "bare.csv", "bare.nc", "bare.json"])
def test_a_file_that_says_nothing_of_its_run_is_refused(tmp_path, capsys, name):
    path = tmp_path / name
    if name.endswith(".nc"):
        xr.Dataset(attrs={"other": "x"}).to_netcdf(path, engine="h5netcdf")
    else:
        path.write_text("a = 1\n" if name.endswith(".toml") else '{"a": 1}')
    assert main(["run", str(path)]) == BAD_INPUT
    assert name in capsys.readouterr().err


def test_a_folder_reproduces_itself(tmp_path, capsys):
    """`run.yaml` of a deployment writes the same files into another folder."""
    from tests.view.deploy.made import PLANS

    first, second = tmp_path / "first", tmp_path / "second"
    words = ["deploy", str(PLANS / "dense.json"), "--target", "sglang", "-o", str(first)]
    assert main(words) == OK
    raw = read_config(first / "run.yaml")
    assert (raw["verb"], raw["target"]) == ("deploy", "sglang")
    # A plan.json or deploy.json stands for the folder that it lies in.
    assert read_config(first / "deploy.json") == raw
    assert main(["run", str(first / "run.yaml"), "-o", str(second)]) == OK
    capsys.readouterr()
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_a_reader_that_goes_loses_no_file(tmp_path, monkeypatch):
    """As with `| head`: the answer is printed first, and all files are written after it."""

    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(process, "give_up_output", lambda: None)
    monkeypatch.setattr("sys.stdout", Gone())
    words = "plan llama-3.1-8b --hardware h100 --isl 1024 --osl 128 --ftl 1s --ttl 20ms"
    small = ["--tp", "1", "--pp", "1", "--batch", "1,16,64", "--chunk", "1024"]
    assert main([*words.split(), *small, "-o", str(tmp_path / "plan")]) == BROKEN_PIPE
    written = {path.name for path in (tmp_path / "plan").iterdir()}
    assert written >= {"plan.json", "report.html", "run.yaml"}


def test_the_command_of_a_plan_makes_the_same_plan():
    words = ["plan", "llama-3.1-8b", "--hardware", "h100", "--isl", "2048", "--osl", "256"]
    words += [
        "--ftl",
        "1s",
        "--ttl",
        "20ms",
        "--gpus",
        "exactly:8",
        "--price",
        "h100=2.5",
        "--pack",
    ]
    args = build_parser().parse_args(words)
    args.made_by = "verb: plan\nmodel: llama-3.1-8b\n"  # what `main` adds, for files
    program, *again = shlex.split(command(args))
    assert program == "jaxsim"
    same = build_parser().parse_args(again)
    assert vars(same) == {k: v for k, v in vars(args).items() if k != "made_by"}
