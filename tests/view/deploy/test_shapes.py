"""What cannot be expressed is refused, with the nearest that can; and so is what is no plan."""

import errno
from dataclasses import replace

import pytest

from jaxsim.catalog.checkpoints import checkpoint_of
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.flags import ENGINES, load_flags, versions_of
from jaxsim.catalog.load import load_model
from jaxsim.catalog.shapes import handed_over, has_windows, why_not
from jaxsim.view.cli.main import BAD_INPUT, FAILED, OK, main
from jaxsim.view.deploy.arguments import kv_name, trtllm_config
from jaxsim.view.deploy.plan_file import order_of
from jaxsim.view.deploy.registry import target_of
from jaxsim.view.deploy.shapes import check_shapes, nearest_shape, pool_why_not
from tests.narrow import some
from tests.view.deploy.made import PLANS, order, plan_with, settings
from tests.view.written import checked


def with_pool(made, role, **changed):
    pools = (replace(p, **changed) if p.role == role else p for p in made.pools)
    return replace(made, pools=tuple(pools))


@pytest.mark.parametrize(
    ("engine", "shape", "nearest"),
    [
        ("vllm", (8, 2, 1), (8, 1, 1)),
        ("vllm", (1, 4, 2), None),
        ("trtllm", (2, 8, 1), (1, 8, 1)),
        ("trtllm", (8, 2, 1), None),
        ("sglang", (2, 8, 1), None),
        ("sglang", (8, 4, 1), None),
    ],
)
def test_shapes(engine, shape, nearest):
    tp, ep, pp = shape
    pool = order("moe", "colocated").pools[0]
    pool = replace(pool, tp=tp, ep=ep, pp=pp, gpus_per_node=8)
    assert bool(pool_why_not(engine, pool, moe=True)) == (nearest is not None)
    if nearest is not None:
        near = nearest_shape(engine, pool, moe=True)
        assert (some(near).tp, some(near).ep, some(near).pp) == nearest


def test_the_nearest_shape_is_expressible_and_as_large():
    for engine in ENGINES:
        for tp, ep in ((4, 2), (2, 4), (8, 4), (4, 16)):
            pool = replace(order("moe").pool("decode"), tp=tp, ep=ep)
            near = nearest_shape(engine, pool, moe=True)
            assert some(near).gpus == pool.gpus
            assert not why_not(engine, some(near).tp, some(near).ep, some(near).pp, moe=True)


def test_transfer_between_widths_that_do_not_divide():
    made = with_pool(with_pool(order("dense"), "prefill", tp=3), "decode", tp=2)
    with pytest.raises(InputError, match=r"divides the other, not 3 and 2.*Nearest"):
        check_shapes("vllm", "nixl", made)


def test_transfer_to_stages_that_an_engine_lacks():
    made = with_pool(order("dense"), "decode", pp=2)
    with pytest.raises(InputError, match="no decode side with pipeline stages"):
        check_shapes("vllm", "nixl", made)
    with pytest.raises(InputError, match="as many stages to decode as to prefill"):
        check_shapes("sglang", "nixl", made)


def test_every_version_knows_its_flags():
    for engine in ENGINES:
        for version in versions_of(engine):
            flags = load_flags(engine, version)
            flags.check([flag.name for flag in flags.flags.values()])
            assert flags.source


def test_minimax_m3_is_told_its_attention_where_the_version_asks_for_it():
    made = replace(order("dense"), model=load_model("minimax-m3"))
    for version, expected in (("1.3.0rc29", {"algorithm": "minimax_m3"}), ("1.3.0rc23", None)):
        how = replace(settings("trtllm", "trtllm", order("dense")), checkpoint="/models/own")
        how = replace(how, flags=load_flags("trtllm", version))
        config = trtllm_config(made, made.pool("decode"), how)
        assert config.get("sparse_attention_config") == expected
    assert versions_of("trtllm")[0] == "1.3.0rc29"


def test_versions_differ_where_flags_were_renamed():
    assert load_flags("sglang", "0.5.21")["attention_dp"].name == "--dp-size"
    assert load_flags("sglang", "0.5.23")["attention_dp"].name == "--attn-dp-size"
    with pytest.raises(InputError, match="has no option '--attn-dp-size'"):
        load_flags("sglang", "0.5.21").check(["--attn-dp-size"])


@pytest.mark.parametrize(("version", "nearest"), [("0.30.2", "0.31.0"), ("1.0", "0.33.0")])
def test_an_unknown_version_is_refused_with_the_nearest(version, nearest):
    with pytest.raises(InputError, match=f"nearest: {nearest}"):
        load_flags("vllm", version)


def test_checkpoints_by_format():
    r1, llama = load_model("deepseek-r1"), load_model("llama-3.1-8b")
    assert checkpoint_of(r1, "fp8", "vllm") == ("deepseek-ai/DeepSeek-R1", "")
    assert checkpoint_of(r1, "nvfp4", "vllm")[0].startswith("nvidia/")
    assert checkpoint_of(llama, "fp8", "vllm") == (llama.hf_id, "fp8")
    with pytest.raises(InputError, match="--checkpoint"):
        checkpoint_of(llama, "fp8", "trtllm")
    with pytest.raises(InputError, match="no name on the Hugging Face hub"):
        checkpoint_of(replace(r1, name="own", hf_id=""), "checkpoint", "vllm")


@pytest.mark.parametrize(
    ("model", "checkpoint", "kv", "names"),
    [
        ("deepseek-r1", "deepseek-ai/DeepSeek-R1", "bf16", ("auto", "auto", "auto")),
        ("deepseek-r1", "nvidia/DeepSeek-R1-0528-NVFP4-v2", "bf16", ("bfloat16", "bfloat16", "")),
        ("deepseek-r1", "nvidia/DeepSeek-R1-0528-NVFP4-v2", "fp8", ("fp8", "fp8_e4m3", "fp8")),
        ("qwen3-32b", "Qwen/Qwen3-32B-FP8", "bf16", ("auto", "auto", "auto")),
        ("qwen3-32b", "/models/own", "bf16", ("bfloat16", "bfloat16", "auto")),
        ("glm-5", "zai-org/GLM-5", "bf16", ("bfloat16", "bfloat16", "auto")),
        ("deepseek-v4-flash", "/models/own", "bf16", ("bfloat16", "", "auto")),
    ],
)
def test_the_cache_is_named_where_a_checkpoint_or_engine_would_choose(model, checkpoint, kv, names):
    """`auto` is written only where nothing but the model's own 16 bits can come of it."""
    made = replace(order("dense"), model=load_model(model), kv=kv)
    for engine, name in zip(ENGINES, names, strict=True):
        how = replace(settings("dynamo", engine, order("dense")), checkpoint=checkpoint)
        if name:
            assert kv_name(made, how) == name
        else:
            with pytest.raises(InputError, match="plan with --kv fp8"):
                kv_name(made, how)


# ---- the command line ----


def deploy(plan, folder, *more):
    return main(["deploy", str(plan), "--target", "vllm", "-o", str(folder), *more])


def contents(folder):
    return sorted((str(p), p.read_bytes()) for p in folder.rglob("*") if p.is_file())


def test_a_folder_of_another_plan_is_refused(tmp_path, capsys):
    assert deploy(PLANS / "dense.json", tmp_path / "out") == OK
    assert deploy(PLANS / "dense.json", tmp_path / "out") == OK  # the same again
    stamp = checked("deployment", tmp_path / "out" / "deploy.json")
    assert stamp["engine_version"] == "0.33.0"
    before = contents(tmp_path / "out")
    assert deploy(PLANS / "moe.json", tmp_path / "out") == BAD_INPUT
    assert "another plan" in capsys.readouterr().err
    assert before == contents(tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    assert deploy(PLANS / "moe.json", tmp_path / "full") == BAD_INPUT


def test_a_deployment_is_written_whole_or_not_at_all(tmp_path, capsys, monkeypatch):
    written = []

    def full(path, text):
        written.append(path)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.write_text(text)

    with monkeypatch.context() as patched:
        patched.setattr("jaxsim.view.deploy.write.replace_text", full)
        assert deploy(PLANS / "dense.json", tmp_path / "out") == FAILED
    assert len(written) == 5
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("x")
    assert deploy(PLANS / "dense.json", tmp_path / "file" / "out") == BAD_INPUT
    assert "Not a directory; give another" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("plan", "target", "hardware", "message"),
    [
        ("dense", "neuron", "h200", "it has trainium2, trainium3: plan for one of them"),
        ("trainium", "trtllm", "trainium2", "trainium2 (AWS); --target neuron runs there"),
        ("dense", "llm-d", "mi300x", "name one that was built for it with --image"),
        ("moe", "distserve", "gb200-nvl72", "serves dense models only"),
    ],
)
def test_hardware_that_a_target_cannot_use(plan, target, hardware, message, tmp_path, capsys):
    def change(raw):
        for pool in raw["disaggregated"]["instances"]:
            pool["hardware"] = hardware

    words = ["--target", target, "-o", str(tmp_path / "out")]
    assert main(["deploy", str(plan_with(tmp_path, plan, change)), *words]) == BAD_INPUT
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_search_keeps_to_stages_that_hand_over():
    """What is left of a search for a target is not refused by its connector."""
    assert not handed_over("sglang", 2, "decode", False)
    assert handed_over("sglang", 2, "prefill", False)
    windowed, plain = load_model("gpt-oss-20b"), load_model("llama-3.1-8b")
    assert (has_windows(windowed), has_windows(plain)) == (True, False)
    assert not handed_over("vllm", 2, "prefill", True)
    assert handed_over("vllm", 2, "colocated", True)


def test_partitions_are_names_of_the_plans_hardware(tmp_path, capsys):
    for given in ("b300=long", "h200=a b", "h200=$(x)"):
        words = ["--target", "slurm", "--partition", given, "-o", str(tmp_path / "out")]
        assert main(["deploy", str(PLANS / "dense.json"), *words]) == BAD_INPUT
        assert "--partition" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "port"),
    [("vllm", 8100), ("vllm", 5663), ("sglang", 8998), ("slurm", 8100), ("mooncake", 8080)],
)
def test_the_front_end_has_a_port_of_its_own(target, port, tmp_path, capsys):
    words = ["--target", target, "--port", str(port), "-o", str(tmp_path / "out")]
    assert main(["deploy", str(PLANS / "dense.json"), *words]) == BAD_INPUT
    assert f"--port {port}: servers of the plan have it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_hosts(tmp_path, capsys):
    assert deploy(PLANS / "dense.json", tmp_path / "out", "--hosts", "a,b,c,b") == BAD_INPUT
    assert "b is named twice" in capsys.readouterr().err
    assert deploy(PLANS / "dense.json", tmp_path / "out", "--hosts", "a,b") == BAD_INPUT
    assert "need 3 hosts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.update(schema="jaxsim.plan/2"), "schema 'jaxsim.plan/2' is not"),
        (lambda p: p.update(recommended=None), "nothing to deploy"),
        (lambda p: p.update(model="nobody/nothing-9b"), "Unknown model"),
        (lambda p: p["disaggregated"]["instances"][0].update(tp=0), r"instances\[0\].tp: 0"),
        (lambda p: p["disaggregated"]["instances"][0].update(tp=2), "gpus_per_instance: 1 is not"),
        (lambda p: p["disaggregated"]["instances"][1].update(count=1.5), "count: 1.5"),
        (lambda p: p["disaggregated"]["instances"][1].update(count=10**9), "at most 1,000,000"),
        (lambda p: p["disaggregated"]["instances"][1].update(hardware="tpu9"), "--hardware tpu9="),
        (lambda p: p["disaggregated"]["instances"].pop(), "one pool of each role"),
        (lambda p: p["workload"].pop("isl"), "workload.isl: is not there. Make the plan again"),
    ],
)  # fmt: skip
def test_a_plan_that_is_none(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        order_of(plan_with(tmp_path, "dense", change))


def test_names_of_the_command_line_are_checked(tmp_path, capsys):
    given = (("--name", "No Good"), ("--checkpoint", "a\nb"), ("--engine", "trtllm"))
    for flag, value in (*given, ("--port", "65536")):
        assert deploy(PLANS / "dense.json", tmp_path / "out", flag, value) == BAD_INPUT
        assert flag in capsys.readouterr().err


@pytest.mark.parametrize(
    ("top", "prefill", "message"),
    [
        ({}, {"count": 7}, "--deployable distserve"),
        ({}, {"chunk": 512}, "prompts whole"),
        ({"precision": "fp8"}, {}, "16-bit weights and caches only, not fp8"),
        ({"model": "qwen3-30b-a3b"}, {}, "dense models only"),
    ],
    ids=["counts", "chunks", "formats", "experts"],
)
def test_what_distserve_cannot_do_is_refused_with_what_to_do(tmp_path, top, prefill, message):
    def change(raw):
        raw.update(top)
        raw["disaggregated"]["instances"][0].update(prefill)

    made = order_of(plan_with(tmp_path, "pairs", change))
    with pytest.raises(InputError, match=message):
        target_of("distserve").files(made, settings("distserve", "vllm", made))
