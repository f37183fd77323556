"""Mix files: what is read, what is refused and how; and `plan --mix` from file to exit status."""

import dataclasses
import json

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.result import Latencies, Plan, Unmet
from jaxsim.view.cli import main as cli
from jaxsim.view.cli.verbs import plan as verb
from jaxsim.view.deploy.plan_file import order_of
from jaxsim.view.files.mix_file import read_mix
from jaxsim.view.files.plan_json import plan_dict
from jaxsim.view.report.page import render_report
from jaxsim.view.text.layout import Page
from jaxsim.view.text.plan import render_plan
from tests.narrow import untyped

ASK = ["plan", "deepseek-r1", "--hardware", "gb200-nvl72", "--ftl", "5s", "--ttl", "50ms"]
HEADER = "isl,osl,share\n"
MIX = (Share(Workload(16384.0, 2048.0), 0.25), Share(Workload(1024.0, 512.0), 0.75))


def file(tmp_path, content, name="mix.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "isl,osl,share\n16384,2048,1\n1024,512,3\n",
        "\ufeffshare, ISL ,osl\r\n1e1,16384,2048\r\n\r\n30,1024,512\r\n",
        "isl,osl,share\n16384,2048,1\n1024,512,1\n1024,512,2\n",
        '[{"isl": 16384, "osl": 2048, "share": 0.1}, {"share": 0.3, "osl": 512, "isl": 1024.0}]',
    ],
)
def test_csv_and_json_say_the_same(content, tmp_path):
    """In any order of columns, with a byte-order mark, blank lines, and rows that repeat."""
    result = read_mix(file(tmp_path, content))
    assert [(one.workload.isl, one.workload.osl) for one in result] == [(16384, 2048), (1024, 512)]
    assert [one.share for one in result] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no workload"),
        (HEADER, "no workload"),
        ("[]", "no workload"),
        ("isl,osl,share,hit\n1,2,3,4\n", r"mix\.csv, row 1: unknown column 'hit'"),
        ("isl,osl\n1,2\n", r"row 1: no column 'share'"),
        ("isl,osl,share,osl\n1,2,3,4\n", "there twice"),
        (HEADER + "1024,512\n", r"row 2: 2 cells for the 3 columns"),
        (HEADER + "1024,512,1\n\n1024,513,0\n", r"row 4, column share: 0 is not positive"),
        (HEADER + "1024,512,-2\n", r"row 2, column share: -2 is not positive"),
        (HEADER + "1024,512,nan\n", r"row 2, column share: 'nan' is not a finite number"),
        (HEADER + "inf,512,1\n", r"row 2, column isl: 'inf' is not a finite number"),
        (HEADER + "1024,512,half\n", r"row 2, column share: 'half' is not a number"),
        (HEADER + "1024,512,\n", r"row 2, column share: '' is not a number"),
        (HEADER + "0,512,1\n", r"row 2, column isl: '0' is not a length"),
        (HEADER + "1024,1,1\n", r"row 2, column osl: '1' is not a length; .* from 2"),
        (HEADER + "1024.5,512,1\n", r"row 2, column isl: '1024.5' is not a length"),
        (HEADER + "1e300,512,1\n", r"column isl: '1e300' is not a length"),
        (HEADER + "1024,512,1e308\n1025,512,1e308\n", "shares add up to inf"),
        (HEADER + '"1024,512,1\n', "not a CSV table"),
        (b"isl,osl,share\n\xff\xfe,1,1\n", "not text in UTF-8"),
        ("[1, 2", r"line 1: not JSON"),
        ('{"mix": []}', "a JSON object"),
        ("[[1024, 512, 1]]", r"row 1: not an object"),
        ('[{"isl": 1024, "osl": 512, "share": NaN}]', r"row 1, column share: NaN is not a finite"),
        ('[{"isl": true, "osl": 512, "share": 1}]', r"row 1, column isl: true is not a number"),
        ('[{"isl": 1024, "osl": null, "share": 1}]', r"column osl: null is not a number"),
        ('[{"isl": 1024, "osl": 512, "share": [1]}]', r"column share: \[1\] is not a number"),
        ('[{"isl": 1024, "osl": 512, "weight": 1}]', r"row 1: unknown key 'weight'"),
        ('[{"isl": 1' + "0" * 5000 + ', "osl": 512, "share": 1}]', "not JSON that can be read"),
        ('[{"isl": 1' + "0" * 400 + ', "osl": 512, "share": 1}]', "a number of 401 digits"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is(content, says, tmp_path):
    with pytest.raises(InputError, match=says):
        read_mix(file(tmp_path, content))


def test_a_file_that_is_not_there_is_bad_input(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match=r"no such file|a directory"):
            read_mix(path)


@pytest.fixture
def mixed(plan) -> Plan:
    """A plan for a mix made by hand, of the deployments of a plan made by hand."""
    own = {
        "by_workload": (Latencies(1.93, 0.041), Latencies(0.41, 0.031)), "mixed_ttl_s": 0.037,
    }  # fmt: skip
    kinds = {
        k: dataclasses.replace(getattr(plan, k), **own) for k in ("disaggregated", "colocated")
    }
    return dataclasses.replace(plan, mix=MIX, gain_at_mean_ttl=1.1, levers=(), **kinds)


@pytest.fixture
def unmet(mixed) -> Plan:
    why = Unmet("No pair meets the targets.", None, 0.0061)
    return dataclasses.replace(
        mixed, disaggregated=why, colocated=why, probability=None, gain_at_mean_ttl=None
    )


@pytest.mark.parametrize("width", [60, 80, 110])
def test_the_page_has_the_answer_first_and_fits(mixed, unmet, width):
    text = render_plan(mixed, Page(width))
    flat = " ".join(text.split())
    assert flat.startswith("Deploy disaggregated: 6 prefill instances TP1 EP8 PP2 + 1 decode")
    assert "16,384 2,048 25 % 1.93 s 41 ms 1,024 512 75 % 410 ms 31 ms" in flat
    assert "Disaggregated gives 1.25× the throughput per GPU of co-located" in flat
    assert "disaggregated would give 1.10× the throughput per GPU of co-located" in flat
    assert "plan a workload of the mix by itself to see it" in flat
    assert "every pair of designs considered: proved optimal." in flat
    nothing = render_plan(unmet, Page(width))
    assert nothing.startswith("No design meets both targets")
    assert max(map(len, (text + "\n" + nothing).splitlines())) <= width


def test_the_report_has_the_mix(mixed):
    page = render_report(mixed, (), "jaxsim plan …")
    assert "a mix of 2 workloads" in page
    assert "<td>1,024</td><td>512</td><td>75 %</td><td>410 ms</td><td>31 ms</td>" in page
    assert "FTL (TTFT), worst" in page
    assert "by itself to see it" in page


def test_json_has_the_schema_of_a_plan(mixed, unmet):
    result = untyped(plan_dict(mixed))
    assert result["schema"] == "jaxsim.plan/1"
    assert result["objective"] == "gpu"
    plain = {"hit_frac": 0, "draft_tokens": 0, "accept_frac": 0, "images": 0, "imbalance": 1}
    lengths = [{"isl": 16384, "osl": 2048, "share": 0.25}, {"isl": 1024, "osl": 512, "share": 0.75}]
    assert result["workload"] == {
        "isl": 4864,
        "osl": 896,
        **plain,
        "mix": [{**one, **plain} for one in lengths],
    }
    assert result["gain"] == pytest.approx(mixed.gain)
    disaggregated = result["disaggregated"]
    assert disaggregated["workloads"][1] == {
        **lengths[1],
        "ftl_s": 0.41,
        "ttl_s": 0.031,
    }
    assert disaggregated["certificate"]["gap"] == 0
    assert disaggregated["instances"][0]["count"] == 6
    assert "certificate" not in result["colocated"]
    nothing = untyped(plan_dict(unmet))
    assert nothing["disaggregated"] is None
    assert nothing["nearest"]["colocated"] == {"ftl_s": None, "ttl_s": 0.0061}
    assert "every workload" in nothing["error"]
    assert "nearest attainable is TTL 6.10 ms at FTL ≤ 5 s" in nothing["error"]


def test_a_deployment_is_sized_for_the_longest_workload(mixed, tmp_path):
    path = file(tmp_path, json.dumps(plan_dict(mixed)), "plan.json")
    order = order_of(path)
    assert (order.isl, order.osl) == (16384, 2048)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_line_says_and_writes_it(form, mixed, unmet, tmp_path, monkeypatch, capsys):
    request = [*ASK, "--mix", str(file(tmp_path, HEADER + "1024,512,3\n")), "--format", form]
    seen = []
    monkeypatch.setattr(verb, "solve", lambda *given: (seen.append(given[-1]), mixed)[1])
    assert cli.main([*request, "--hit-frac", "20%", "-o", str(tmp_path / "out")]) == cli.OK
    assert seen == [(Share(Workload(1024.0, 512.0, hit_frac=0.2), 1.0),)]
    said = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert any("20 %" in note for note in written["notes"])
    if form == "json":
        assert json.loads(said) == written
    else:
        assert "Wrote plan.json" in said
    monkeypatch.setattr(verb, "solve", lambda *given: unmet)
    assert cli.main(request) == cli.UNMET
    assert "no design of deepseek-r1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "give both --isl N and --osl N, or --mix FILE"),
        (["--isl", "1024"], "give both"),
        (["--mix", "m.csv", "--isl", "1024"], "leave out --isl, or --mix"),
        (["--mix", "m.csv", "--isl", "1", "--osl", "2"], "leave out --isl and --osl"),
        (["--mix", "not-there.csv"], "no such file"),
    ],
)
def test_lengths_or_a_mix_but_not_both(more, says, capsys):
    assert cli.main([*ASK, *more]) == cli.BAD_INPUT
    assert says in capsys.readouterr().err


def test_a_small_mix_from_file_to_answer(tmp_path, capsys):
    """Nothing replaced: the shares of the file reach the answer, and a note says what was tried."""
    path = file(tmp_path, HEADER + "4096,512,1\n1024,256,3\n")
    few = ["--tp", "1,4,8", "--pp", "1", "--batch", "8,64", "--prefill-batch", "1", "--gpus", "32"]
    ask = ["plan", "llama-3.1-70b", "--hardware", "h200", "--ftl", "2s", "--ttl", "60ms"]
    status = cli.main([*ask, *few, "--chunk", "1024", "--mix", str(path), "--format", "json"])
    result = json.loads(capsys.readouterr().out)
    assert status == cli.OK
    assert [one["share"] for one in result["workload"]["mix"]] == [0.25, 0.75]
    assert result["disaggregated"]["gpus"] <= 32
    for one in result["disaggregated"]["workloads"]:
        assert one["ftl_s"] <= 2.0
        assert one["ttl_s"] <= 0.06
    assert any("Only these values were tried" in note for note in result["notes"])
