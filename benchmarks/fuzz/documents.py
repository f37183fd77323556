"""Malformed files, and the functions that read them."""

import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from benchmarks.fuzz import readers
from benchmarks.fuzz.readers import Reader
from benchmarks.fuzz.values import TEXTS, changed, text, torn

# The one in C where it is: the other takes longer than what is tested.
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

ROOT = Path(__file__).parents[2]
DATA = ROOT / "jaxsim" / "catalog" / "data"
PLANS = "tests/view/deploy/plans"

CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 4, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256, "hidden_act": "silu",
    "max_position_embeddings": 131072, "tie_word_embeddings": False, "rms_norm_eps": 1e-5,
    "quantization_config": {
        "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "tensor"},
            "input_activations": {"num_bits": 8, "type": "float", "strategy": "tensor"}}},
    },
}  # fmt: skip
MOE: dict[str, object] = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 5,
    "first_k_dense_replace": 3, "moe_layer_freq": 1, "num_attention_heads": 128,
    "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "vocab_size": 129280, "hidden_act": "silu",
    "max_position_embeddings": 163840, "num_nextn_predict_layers": 1, "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                            "weight_block_size": [128, 128]},
}  # fmt: skip
SWEEP: dict[str, object] = {
    "model": "llama-3.1-8b", "hardware": "h100", "precision": "bf16", "engine": "vllm",
    "workload": {"isl": [1024, 4096], "osl": 128, "hit_frac": 0.5},
    "space": {"tp": [1, 2], "pp": [1], "batch": [1, 8], "chunk": [512]},
    "phases": ["prefill", "decode"], "block_workloads": 2,
}  # fmt: skip
RUN: dict[str, object] = {
    "verb": "plan", "model": "llama-3.1-8b", "hardware": "h100", "isl": 1024, "osl": 128,
    "ftl": "2s", "ttl": "50ms", "tp": [1, 2], "price": {"h100": 2.5}, "pack": False,
}  # fmt: skip
MIX = [{"isl": 1024, "osl": 128, "share": 1}, {"isl": 4096, "osl": 512, "share": 0.5}]
RESULT: dict[str, object] = {
    "date": "20260101-000000", "backend": "vllm", "model_id": "llama-3.1-8b", "num_prompts": 160,
    "completed": 160, "failed": 0, "duration": 40.0, "request_rate": "inf", "max_concurrency": 16,
    "total_input_tokens": 160000, "total_output_tokens": 32000, "request_throughput": 4.0,
    "output_throughput": 800.0, "total_token_throughput": 4800.0, "mean_ttft_ms": 45.0,
    "median_ttft_ms": 44.0, "mean_tpot_ms": 9.0, "median_tpot_ms": 9.0, "mean_e2el_ms": 1836.0,
    "tp_size": 1, "dtype": "bfloat16", "gpu": "h100",
}  # fmt: skip
BENCH: dict[str, object] = {
    "input_lens": [100, 200, 300], "output_lens": [10, 20, 30], "start_times": [0.0, 1.0, 2.0],
    "ttfts": [0.1, 0.1, 0.1], "itls": [[0.01] * 9, [0.01] * 19, [0.01] * 29],
}  # fmt: skip
LIFECYCLE = [
    {"start_time": 0.0, "end_time": 1.0, "error": None,
     "info": {"input_tokens": 100, "output_tokens": 3, "output_token_times": [0.1, 0.2, 0.3]}},
    {"start_time": 1.0, "end_time": 2.0, "info": {"input_tokens": 9, "output_tokens": 3}},
]  # fmt: skip
KERNELS = """\
op,shape,dtype,gpu,metric,value,unit,url,kind,notes
gemm,"m=64,n=8192,k=8192",bf16,H100 SXM,latency,80,us,,measured,
gqa_decode_attention,"batch=1,kv_len=9,64 q heads,8 kv heads,d128",bf16,H100,latency,9,us,,measured,
custom_all_reduce,8 GPUs; message_size=4194304,bf16,H100,latency,60,us,,measured,
"""
MOONCAKE = "".join(
    json.dumps({"timestamp": i * 100, "input_length": 512 + i, "output_length": 9,
                "hash_ids": [0, i]}) + "\n"
    for i in range(30)
)  # fmt: skip
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:15:{i:02}.6805900,{100 + i},{10 + i}\n" for i in range(30)
)
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + "".join(
    f"{i},ChatGPT,{100 + i},{i},{100 + 2 * i},Conversation log\n" for i in range(30)
)
PRICES = """\
from = "quote"
h100 = 2.9
h200 = { value = 3.2, note = "reserved" }

[sources.quote]
kind = "spec"
source = "Our contract"
date = 2026-11-01
"""


@dataclass(frozen=True)
class Document:
    """A file of some name, and the function that reads it."""

    kind: str
    name: str
    content: bytes
    read: Reader


META: dict[str, object] = {
    "engine_kwargs": {"model": "llama-3.1-8b", "tensor_parallel_size": 1, "dtype": "bfloat16",
                      "max_num_seqs": 256, "max_num_batched_tokens": 8192},
    "vllm_version": "0.10",
}  # fmt: skip

JSONS: dict[str, tuple[str, object, Reader]] = {
    "config": ("config.json", CONFIG, readers.read_model),
    "config-moe": ("config.json", MOE, readers.read_model),
    "mix": ("mix.json", MIX, readers.read_mix),
    "result": ("result.json", RESULT, readers.read_rows),
    "bench": ("bench.json", BENCH, readers.read_trace),
    "lifecycle": ("life.json", LIFECYCLE, readers.read_trace),
    "log-meta": ("h100-x.meta.json", META, readers.read_log),
}
YAMLS: dict[str, tuple[str, object, Reader]] = {
    "sweep": ("sweep.yaml", SWEEP, readers.read_sweep),
    "run": ("run.yaml", RUN, readers.read_run),
}
_ROWS = (ROOT / "jaxsim/truth/read/published.csv").read_text(encoding="utf-8").splitlines()
TEXT_FILES: dict[str, tuple[str, str, Reader]] = {
    "mix-csv": ("mix.csv", "isl,osl,share\n1024,128,1\n4096,512,0.5\n", readers.read_mix),
    "rows": ("rows.csv", "\n".join(_ROWS[:4]) + "\n", readers.read_rows),
    "kernels": ("kernels.csv", KERNELS, readers.read_kernels),
    "mooncake": ("trace.jsonl", MOONCAKE, readers.read_trace),
    "azure": ("trace.csv", AZURE, readers.read_trace),
    "burst": ("trace.csv", BURST, readers.read_trace),
    "prices": ("prices.toml", PRICES, readers.read_prices),
}
TABLES: dict[str, Reader] = {
    "models": readers.read_model,
    "hardware": readers.read_hardware,
    "engines": readers.read_engine,
    "calibration": readers.read_calibration,
}
READERS: dict[str, Reader] = {
    **{kind: read for kind, (_, _, read) in (JSONS | YAMLS | TEXT_FILES).items()},
    **TABLES,
    "plan": readers.read_plan,
}
# Bytes of a table that is taken as often as one without any.
_USUAL = 2000


@cache
def _tables(folder: str) -> tuple[list[tuple[str, str]], list[float]]:
    """Name and text of every file of a folder of the catalogue; the large ones are taken seldom."""
    paths = sorted((DATA / folder).glob("*.toml"))
    texts = [(path.name, path.read_text(encoding="utf-8")) for path in paths]
    return texts, [1.0 / max(_USUAL, len(text)) for _, text in texts]


@cache
def _plans() -> list[object]:
    return [json.loads(p.read_text()) for p in sorted((ROOT / PLANS).glob("*.json"))]


def document_of(chosen: random.Random) -> Document:
    """A malformed file, with what reads it."""
    how, times = chosen.random(), chosen.choice((1, 1, 2, 4))
    if how < 0.35:
        kind = chosen.choice(list(JSONS))
        name, base, _ = JSONS[kind]
        raw = _dumped(changed(base, chosen, times))
    elif how < 0.42:
        kind, name = "plan", "plan.json"
        raw = _dumped(changed(chosen.choice(_plans()), chosen, times))
    elif how < 0.55:
        kind = chosen.choice(list(YAMLS))
        name, base, _ = YAMLS[kind]
        raw = _yaml(changed(base, chosen, times))
    elif how < 0.8:
        kind = chosen.choice(list(TEXT_FILES))
        name, base_text, _ = TEXT_FILES[kind]
        raw = _cells(base_text, chosen).encode("utf-8", "surrogatepass")
    else:
        kind = chosen.choice(list(TABLES))
        texts, weights = _tables(kind)
        own, base_text = chosen.choices(texts, weights)[0]
        name, raw = f"my-{own}", _values(base_text, chosen).encode("utf-8", "surrogatepass")
    if chosen.random() < 0.2:
        raw = torn(raw, chosen)
    return Document(kind, name, raw, READERS[kind])


def _dumped(made: object) -> bytes:
    try:
        return json.dumps(made).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"[" * 100000


def _yaml(made: object) -> bytes:
    try:
        return yaml.dump(made, Dumper=Dumper, allow_unicode=True).encode("utf-8", "surrogatepass")
    except Exception:  # what YAML cannot say
        return b"a: [" * 20000


def _cells(base: str, chosen: random.Random) -> str:
    """A table with some cells, lines or columns changed."""
    lines = base.splitlines()
    for _ in range(chosen.choice((1, 1, 2, 4))):
        place = chosen.randrange(len(lines))
        how = chosen.random()
        if how < 0.7:
            cells = lines[place].split(",")
            cells[chosen.randrange(len(cells))] = text(chosen)
            lines[place] = ",".join(cells)
        elif how < 0.85:
            lines.insert(place, lines[place])
        else:
            lines[place] = text(chosen)
    return "\n".join(lines) + "\n"


def _values(base: str, chosen: random.Random) -> str:
    """A TOML file with some values or keys changed."""
    lines = base.splitlines()
    placed = [i for i, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    words = (
        '"x"', "1e400", "-1", "0", "nan", "inf", "9" * 5000, "[]", "{}", "[1, 2]", "true", '""',
        "1979-05-27", "{ value = 1 }", '{ value = 1, from = "x" }', "{ value = [], from = [] }",
        "[" * 500 + "]" * 500, '"re:(.+)+~$"', "1e30", "2.5", "1e-30", json.dumps(chosen.choice(
            [one for one in TEXTS if one.isprintable()])),
    )  # fmt: skip
    for _ in range(chosen.choice((1, 1, 2, 3))):
        place = chosen.choice(placed)
        key, _, _ = lines[place].partition("=")
        how = chosen.random()
        if how < 0.75:
            lines[place] = f"{key}= {chosen.choice(words)}"
        elif how < 0.85:
            lines[place] = ""
        elif how < 0.95:
            lines[place] = f"{chosen.choice(('from', 'sources', 'x', 'calibration'))} = " + (
                chosen.choice(words)
            )
        else:
            lines.insert(place, chosen.choice(("[sources]", "[x]", "[[x]]", "x", "[sources.x]")))
    return "\n".join(lines) + "\n"
