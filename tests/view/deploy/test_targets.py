"""Are the files of every target what was reviewed, and what their readers take?"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from jaxsim.catalog.flags import FOLDER, load_flags
from jaxsim.view.deploy.arguments import serve_options, step_tokens, words_of
from jaxsim.view.deploy.registry import target_of
from tests.view.deploy.made import CASES, HERE, golden, joined, order, settings, texts

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (HERE / "schemas").glob("*.json")}


def named(case):
    return "-".join(part for part in case if part)


@pytest.fixture(scope="module")
def made():
    return {case: texts(*case) for case in CASES}


def documents(files):
    for name, text in files.items():
        if name.endswith((".yaml", ".yml")):
            yield from (doc for doc in yaml.safe_load_all(text))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_files_are_those_reviewed(case, made):
    assert joined(made[case]) == golden(case).read_text(encoding="utf-8"), (
        "python -m tests.view.deploy rewrites the goldens"
    )


KINDS = {
    "DynamoGraphDeployment": "dynamo-graph",
    "LLMInferenceService": "kserve-service",
    "LeaderWorkerSet": "leader-worker-set",
    "Kustomization": "kustomization",
}


def schema_for(document):
    """The name of the schema of a document that is not Kubernetes' own; "" for those."""
    if "context_servers" in document:
        return "trtllm-disaggregated"
    return "llm-d-values" if "modelArtifacts" in document else KINDS.get(document.get("kind"), "")


def neuron_configs(document):
    """What a manifest gives vLLM-Neuron beside vLLM's options."""
    containers = document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    for container in containers:
        words = container.get("args", [])
        if "--additional-config" in words:
            yield json.loads(option(words, "--additional-config"))


def test_yaml_reads_back_and_fits_the_schemas(made):
    seen = set()
    for case, files in made.items():
        for document in documents(files):
            if name := schema_for(document):
                jsonschema.validate(document, SCHEMAS[name])
                seen.add(name)
            if case[0] == "neuron":
                for config in neuron_configs(document):
                    jsonschema.validate(config, SCHEMAS["neuron-config"])
                    seen.add("neuron-config")
    assert seen == set(SCHEMAS) - {"aic-request"}


@pytest.mark.parametrize(
    ("case", "name", "change"),
    [
        (("kserve", "vllm", "moe"), "kserve-service", lambda d: d["spec"].pop("parallelism")),
        (("llm-d", "vllm", "moe"), "llm-d-values", lambda d: d["decode"].update(worker=2)),
        (("llm-d", "vllm", "moe"), "leader-worker-set", lambda d: d["spec"].update(size=1)),
    ],
    ids=["kserve", "llm-d", "leader-worker-set"],
)
def test_schemas_refuse_what_a_reader_would(made, case, name, change):
    files = made[*case, None, None]
    document = next(d for d in documents(files) if schema_for(d) == name)
    jsonschema.validate(document, SCHEMAS[name])
    change(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMAS[name])


def test_objects_of_kubernetes_fit_its_published_schemas(made):
    """Deployments and ConfigMaps, strictly: a key that Kubernetes lacks is refused."""
    seen = set()
    for files in made.values():
        for document in documents(files):
            if document.get("apiVersion") in ("apps/v1", "v1"):
                kubernetes_validate.validate(document, "1.33", strict=True)
                seen.add(document["kind"])
    assert seen == {"ConfigMap", "Deployment"}
    broken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "content": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.33", strict=True)


def test_groups_of_pods_fit_the_schema_of_pods(made):
    """A LeaderWorkerSet's pods and KServe's are Kubernetes' own."""
    pods = []
    for files in made.values():
        for document in documents(files):
            spec = document.get("spec") or {}
            if document.get("kind") == "LeaderWorkerSet":
                group = spec["leaderWorkerTemplate"]
                pods += [group["leaderTemplate"]["spec"], group["workerTemplate"]["spec"]]
            if document.get("kind") == "LLMInferenceService":
                pods += [spec["template"], spec["prefill"]["template"]]
    assert len(pods) > 5
    for pod in pods:
        for container in pod["containers"]:
            container.setdefault("image", "given:1.0.0")
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
        kubernetes_validate.validate(whole, "1.33", strict=True)


def test_the_graph_schema_refuses_the_older_shape():
    older = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment",
             "metadata": {"name": "a"}, "spec": {"services": {"Frontend": {}}}}  # fmt: skip
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(older, SCHEMAS["dynamo-graph"])


def test_scripts_are_read_by_bash_and_shellcheck(made, tmp_path):
    paths = []
    for case, files in made.items():
        for name, text in files.items():
            if name.endswith((".sh", ".sbatch")):
                paths.append(tmp_path / f"{named(case)}-{name}")
                paths[-1].write_text(text)
    assert paths
    for path in paths:
        read = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        assert not read.returncode, read.stderr
    installed = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin")
    if installed:
        result = subprocess.run([installed, *paths], capture_output=True, text=True)
        assert not result.returncode, result.stdout


def words_of_script(text):
    """The words of the command that a script ends with, as bash would split them."""
    return shlex.split(text[text.index("exec ") :].replace("\\\n", " "))[1:]


def test_every_option_is_known_to_the_version(made):
    """Options of servers, in scripts and graphs, against the lists read from the wheels."""
    own = {"--disaggregation-mode", "--http-port", "--extra-engine-args", "--model"}
    checked = 0
    for (target, engine, *_), files in made.items():
        flags = load_flags(engine)
        if target == "distserve":
            words = words_of_script(files["serve-pair.sh"])
            listed = json.loads((FOLDER / "distserve-34e6997.json").read_text())["options"]
            assert {word for word in words if word.startswith("--")} <= set(listed)
            continue
        if "router.sh" in files:
            words = words_of_script(files["router.sh"])
            listed = json.loads((FOLDER / "sglang_router-0.3.2.json").read_text())["options"]
            assert {word for word in words if word.startswith("--")} <= set(listed)
        for name, text in files.items():
            if name.startswith("serve-") and engine != "trtllm":
                words = words_of_script(text)
                flags.check([word for word in words if word.startswith("--")])
                checked += 1
        for document in documents(files):
            for words in servers_of(document):
                flags.check([word for word in words if word.startswith("--")])
                checked += 1
            if document.get("kind") != "DynamoGraphDeployment" or engine == "trtllm":
                continue
            flags = load_flags(engine, {"vllm": "0.31.0", "sglang": "0.5.21"}[engine])
            for component in document["spec"]["components"]:
                for container in component["podTemplate"]["spec"]["containers"]:
                    words = [word for word in container["args"] if word.startswith("--")]
                    flags.check([word for word in words if word not in own])
                    checked += 1
    assert checked > 10


def servers_of(document):
    """The words after `vllm serve` of every server in a manifest or in a chart's values."""
    spec = document.get("spec") or {}
    group = spec.get("leaderWorkerTemplate") or {}
    pods = [spec.get("template"), group.get("leaderTemplate"), group.get("workerTemplate")]
    for pod in pods:
        if pod and document["kind"] != "LLMInferenceService":
            yield pod["spec"]["containers"][0]["args"]
    for role in (spec, spec.get("prefill", {})):
        if document.get("kind") == "LLMInferenceService" and role:
            environment = role["template"]["containers"][0]["env"]
            yield shlex.split(environment[0]["value"])
    for role in ("prefill", "decode"):
        if "modelArtifacts" in document and document[role]["create"]:
            yield document[role]["containers"][0]["args"]


def option(words, name):
    return words[words.index(name) + 1]


def graph_words(files, component):
    graph = next(d for d in documents(files) if d.get("kind") == "DynamoGraphDeployment")
    result = next(c for c in graph["spec"]["components"] if c["name"] == component)
    return result, result["podTemplate"]["spec"]["containers"][0]["args"]


def test_a_batch_is_counted_as_each_engine_counts_it(made):
    """Of 4,096 requests on 16 ranks vLLM and TensorRT-LLM are told 256, SGLang all."""
    decode = order("moe").pool("decode")
    assert (decode.batch, decode.attention_dp) == (4096, 16)
    _, vllm = graph_words(made["dynamo", "vllm", "moe", None, None], "decode")
    assert option(vllm, "--max-num-seqs") == "256"
    _, sglang = graph_words(made["dynamo", "sglang", "moe", None, None], "decode")
    assert option(sglang, "--max-running-requests") == "4096"
    assert option(sglang, "--tp-size") == "16"
    assert option(sglang, "--dp-size") == "16"  # 0.5.21, in Dynamo
    assert "--enable-dp-attention" in sglang
    plain = words_of_script(made["sglang", "sglang", "moe", None, None]["serve-decode.sh"])
    assert option(plain, "--attn-dp-size") == "16"  # 0.5.23
    config = yaml.safe_load(made["trtllm", "trtllm", "moe", None, None]["disagg_config.yaml"])
    assert config["generation_servers"]["max_batch_size"] == 256
    assert config["generation_servers"]["tensor_parallel_size"] == 16


def test_prompts_fill_the_pass_that_the_plan_has(made):
    """12 prompts of 8,192 tokens in a pass; four stages hold four such batches."""
    prefill = order("moe").pool("prefill")
    assert (prefill.batch, prefill.chunk, prefill.pp) == (12, 8192, 4)
    words = words_of_script(made["vllm", "vllm", "moe", None, None]["serve-prefill.sh"])
    assert option(words, "--max-num-batched-tokens") == str(12 * 8192)
    assert option(words, "--max-num-seqs") == "48"
    config = yaml.safe_load(made["trtllm", "trtllm", "moe", None, None]["prefill.yaml"])
    assert (config["max_batch_size"], config["max_num_tokens"]) == (12, 12 * 8192)


def test_memory_is_split_as_each_engine_splits_it(made):
    """The plan's reserve stays free whichever part an engine's fraction is of."""
    memory = order("moe").pool("prefill").memory_bytes
    capacity, reserve = memory["capacity"], memory["reserve"]
    vllm = words_of_script(made["vllm", "vllm", "moe", None, None]["serve-prefill.sh"])
    sglang = words_of_script(made["sglang", "sglang", "moe", None, None]["serve-prefill.sh"])
    trtllm = yaml.safe_load(made["trtllm", "trtllm", "moe", None, None]["prefill.yaml"])
    left = capacity - memory["weights"] - memory["activation"]
    kept = (
        float(option(vllm, "--gpu-memory-utilization")) * capacity,
        float(option(sglang, "--mem-fraction-static")) * capacity + memory["activation"],
        trtllm["kv_cache_config"]["free_gpu_memory_fraction"] * left + capacity - left,
    )
    for used in kept:
        assert used == pytest.approx(capacity - reserve, rel=2e-3)
        assert used <= capacity - reserve


def test_an_instance_larger_than_a_node_spans_nodes(made):
    decode, _ = graph_words(made["dynamo", "vllm", "moe", None, None], "decode")
    limits = decode["podTemplate"]["spec"]["containers"][0]["resources"]["limits"]
    assert decode["multinode"] == {"nodeCount": 4}
    assert limits == {"nvidia.com/gpu": "4"}
    files = made["dynamo", "vllm", "moe", None, None]
    domain = next(d for d in documents(files) if d["kind"] == "ComputeDomain")
    assert domain["spec"]["numNodes"] == 4
    plain = made["vllm", "vllm", "moe", None, None]
    words = words_of_script(plain["serve-decode.sh"])
    assert (option(words, "--nnodes"), option(words, "--node-rank")) == ("4", "$rank")
    # A start rank on the first node would make vLLM balance among that node's ranks only.
    assert "--data-parallel-start-rank" not in words
    rows = [row.split("\t") for row in plain["placement.tsv"].splitlines()]
    assert [row[2] for row in rows if row[0] == "decode"] == ["0", "1", "2", "3"]


def test_unlike_hardware_chooses_nodes_by_their_label(made):
    files = made["dynamo", "sglang", "unlike", None, None]
    for name, product in (("prefill", "NVIDIA-B200"), ("decode", "NVIDIA-H200")):
        component, _ = graph_words(files, name)
        chosen = component["podTemplate"]["spec"]["nodeSelector"]
        assert chosen == {"nvidia.com/gpu.product": product}


def test_servers_of_one_host_do_not_share_gpus_or_ports(made):
    table = made["vllm", "vllm", "dense", None, "mooncake"]["placement.tsv"]
    rows = [row.split("\t") for row in table.splitlines()]
    assert len(rows) == 23 + 5
    for host in {row[3] for row in rows}:
        own = [row for row in rows if row[3] == host]
        gpus = [gpu for row in own for gpu in row[4].split(",")]
        assert len(gpus) == len(set(gpus)) <= 8
        assert len({row[5] for row in own}) == len(own)


def test_orchestrator_lists_as_many_urls_as_instances(made):
    config = yaml.safe_load(made["trtllm", "trtllm", "dense", None, None]["disagg_config.yaml"])
    for section, count in (("context_servers", 23), ("generation_servers", 5)):
        assert config[section]["num_instances"] == len(config[section]["urls"]) == count
    ranks = sum(
        config[s]["num_instances"] * config[s]["tensor_parallel_size"]
        for s in ("context_servers", "generation_servers")
    )
    assert ranks == order("dense").gpus


def test_nothing_of_a_plan_is_executed(tmp_path):
    """A checkpoint's name with shell in it arrives as one word, unread by the shell."""
    name = "evil$(touch owned)`touch owned`;touch owned'\"/x"
    for target in ("vllm", "sglang"):
        text = texts(target, target, "dense", checkpoint=name, served=name)["serve-decode.sh"]
        assert name in words_of_script(text)
        stub = tmp_path / ("vllm" if target == "vllm" else "python3")
        stub.write_text('#!/bin/bash\nprintf "%s\\n" "$@" > args\n')
        stub.chmod(0o755)
        ran = subprocess.run(
            ["bash", "-c", text, "serve", "0", "8100"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        assert not ran.returncode, ran.stderr
        assert name in (tmp_path / "args").read_text().splitlines()
        assert not (tmp_path / "owned").exists()
    graph = texts("dynamo", "vllm", "dense", checkpoint=name, served=name)["graph.yaml"]
    assert not re.search(r"bash|sh -c", graph)
    assert name in graph_words({"graph.yaml": graph}, "decode")[1]


STUBS = {
    "scontrol": "printf '%s\\n' $3",
    "srun": 'echo "srun $*" >> "$CALLS"',
}


def submitted(tmp_path, text, made, lists):
    """The steps of a job and its placement, run with stand-ins of Slurm."""
    for name, content in {**made, "job.sbatch": text}.items():
        (tmp_path / name).write_text(content)
    for name, body in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    ran = subprocess.run(
        ["bash", "job.sbatch"], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_SUBMIT_DIR": str(tmp_path),
             "SLURM_JOB_ID": "7", "CALLS": str(tmp_path / "calls"), **lists},
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    placed = (tmp_path / "run-7" / "placement.tsv").read_text()
    return sorted((tmp_path / "calls").read_text().splitlines()), placed


def test_unlike_hardware_is_one_heterogeneous_job(tmp_path):
    """Each pool's servers stand on nodes of its own component, and the router on the first."""
    files = texts("slurm", "sglang", "unlike", partitions={"h200": "long"})
    job = files["job.sbatch"]
    asked = [line.removeprefix("#SBATCH ") for line in job.splitlines() if "SBATCH" in line]
    assert asked[1:] == [
        "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=b200:8", "--exclusive", "hetjob",
        "--partition=long", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--exclusive",
    ]  # fmt: skip
    lists = {
        "SLURM_JOB_NODELIST_HET_GROUP_0": "b-1 b-2",
        "SLURM_JOB_NODELIST_HET_GROUP_1": "h-7 h-9",
    }
    steps, placed = submitted(tmp_path, job, files, lists)
    assert steps == [
        "srun --het-group=0 --overlap --nodes=1 --ntasks=1 --nodelist=b-1 bash router.sh",
        "srun --het-group=0 --overlap bash launch.sh",
        "srun --het-group=1 --overlap bash launch.sh",
    ]
    rows = [row.split("\t") for row in placed.splitlines()]
    assert {(row[0], row[3]) for row in rows} == {
        ("prefill", "b-1"), ("prefill", "b-2"), ("decode", "h-7"), ("decode", "h-9"),
    }  # fmt: skip


def test_racks_hold_whole_instances():
    """30 nodes of a rack are no multiple of 16: each pool asks for its own."""
    made = order("moe")
    wide = replace(made.pool("decode"), ep=64, batch=4096)
    pools = (replace(made.pool("prefill"), pp=8, count=7), wide)
    how = settings("slurm", "trtllm", made)
    text = target_of("slurm").files(replace(made, pools=pools), how)["job.sbatch"]
    asked = re.findall(r"#SBATCH --(nodes|segment)=(\d+)", text)
    assert asked == [("nodes", "14"), ("segment", "2"), ("nodes", "16"), ("segment", "16")]
    assert "decode) step=(--het-group=1 --nodes=16 --ntasks=64 --ntasks-per-node=4)" in text


def test_a_colocated_pass_has_the_chunk_of_the_plan():
    """Two prompts of 4,096 tokens beside decoding, and not one."""
    made = order("pairs", "colocated")
    pool = made.pools[0]
    assert (made.isl, pool.chunk, pool.mode) == (4096, 8192, "piggybacked")
    assert step_tokens(made, pool) == 8192 + pool.rank_batch
    words = words_of(serve_options(made, pool, settings("sglang", "sglang", made)))
    assert option(words, "--chunked-prefill-size") == str(8192 * pool.attention_dp)
    assert option(words, "--max-prefill-tokens") == "8192"
