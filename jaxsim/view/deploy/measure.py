"""How is a deployed plan measured?  Commands of load generators, at its own concurrency.

All send prompts of the plan's input length and ask for its output length, ignore the end of a
sequence, and keep as many requests in the system as the plan has (rate times time in it). Where a
part of each prompt is planned to be found in a cache, all prompts begin with that many same tokens.
`jaxsim validate RESULT --plan plan.json` reads what they leave.
"""

import json

from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.yaml_text import yaml_text

# Rounds of the whole concurrency: the first fills the system, the others are a steady state.
ROUNDS = 10
VERSIONS = {"aiperf": "0.13.0", "vllm": "0.33.0", "guidellm": "0.8.1", "inference-perf": "0.7.0"}
URL = 'url="${1:-http://localhost:%d}"'


def measure_files(order: Order, settings: Settings) -> dict[str, str]:
    """Scripts and configurations by path, under `measure/`."""
    made = {
        "aiperf.sh": _aiperf(order, settings),
        "vllm-bench.sh": _vllm_bench(order, settings),
        "guidellm.sh": _guidellm(order, settings),
        "inference-perf.sh": _inference_perf_script(settings),
        "inference-perf.yaml": yaml_text([inference_perf(order, settings)]),
    }
    return {f"measure/{name}": text for name, text in made.items()}


def _requests(order: Order) -> int:
    return ROUNDS * order.concurrency


def _run(tool: str, settings: Settings, words: list[str], ends: list[str]) -> str:
    """A script that measures the server at a URL."""
    command = " \\\n".join([line_of(words, "  "), *(f"  {end}" for end in ends)])
    return script(
        f"Measures the plan with {tool} {VERSIONS[tool]}: bash {tool}.sh URL.",
        [URL % settings.port, 'cd "$(dirname "$0")"', f"exec {command}"],
    )


def _aiperf(order: Order, settings: Settings) -> str:
    words = ["aiperf", "profile", "--model", settings.served]
    values: dict[str, object] = {
        "--tokenizer": settings.checkpoint,
        "--endpoint-type": "chat",
        "--isl": order.isl - order.cached,
        "--isl-stddev": 0,
        "--osl": order.osl,
        "--osl-stddev": 0,
        "--concurrency": order.concurrency,
        "--request-count": _requests(order),
        "--warmup-request-count": order.concurrency,
        "--random-seed": 0,
        "--artifact-dir": "aiperf",
    }
    if order.cached:
        values |= {"--prefix-prompt-length": order.cached, "--num-prefix-prompts": 1}
    for name, value in values.items():
        words += [name, str(value)]
    words += ["--streaming", "--extra-inputs", "ignore_eos:true"]
    return _run("aiperf", settings, words, ['--url "$url"'])


def _vllm_bench(order: Order, settings: Settings) -> str:
    words = ["vllm", "bench", "serve", "--model", settings.served]
    values: dict[str, object] = {
        "--tokenizer": settings.checkpoint,
        "--backend": "vllm",
        "--dataset-name": "random",
        "--random-input-len": order.isl - order.cached,
        "--random-output-len": order.osl,
        "--max-concurrency": order.concurrency,
        "--num-prompts": _requests(order),
        "--percentile-metrics": "ttft,tpot,itl,e2el",
        "--metric-percentiles": "50,90,99",
        "--result-filename": "vllm-bench.json",
    }
    if order.cached:
        values["--random-prefix-len"] = order.cached
    for name, value in values.items():
        words += [name, str(value)]
    words += ["--ignore-eos", "--save-result", "--metadata", f"gpus={order.gpus}"]
    made = _run("vllm", settings, words, ['--base-url "$url"'])
    return made.replace("bash vllm.sh", "bash vllm-bench.sh")


def _guidellm(order: Order, settings: Settings) -> str:
    words = ["guidellm", "run"]
    lengths = f"prompt_tokens={order.isl - order.cached},output_tokens={order.osl}"
    if order.cached:
        lengths += f",prefix_tokens={order.cached},prefix_count=1"
    values = {
        "--profile": f"kind=concurrent,streams={order.concurrency}",
        "--constraint": f"kind=max_requests,count={_requests(order)}",
        "--data": f"kind=synthetic_text,{lengths}",
        "--tokenizer": json.dumps({"kind": "huggingface_auto", "model": settings.checkpoint}),
    }
    for name, value in values.items():
        words += [name, value]
    return _run("guidellm", settings, words, ['--backend "kind=openai_http,target=$url"'])


def inference_perf(order: Order, settings: Settings) -> dict[str, object]:
    """The configuration of inference-perf."""
    stage = {"num_requests": _requests(order), "concurrency_level": order.concurrency}

    def always(tokens: int) -> dict[str, float]:
        return {"min": tokens, "max": tokens, "mean": tokens, "std_dev": 0}

    data: dict[str, object] = {
        "type": "random",
        "input_distribution": always(order.isl),
        "output_distribution": always(order.osl),
    }
    if order.cached:
        shared = {
            "num_groups": 1,
            "num_prompts_per_group": _requests(order),
            "system_prompt_len": order.cached,
            "question_len": order.isl - order.cached,
            "output_len": order.osl,
        }
        data = {"type": "shared_prefix", "shared_prefix": shared}
    return {
        "api": {"type": "completion", "streaming": True},
        "data": data,
        "load": {
            "type": "concurrent",
            "stages": [stage],
            "num_workers": max(1, order.concurrency // 100),
        },
        "server": {
            "type": "sglang" if settings.engine == "sglang" else "vllm",
            "model_name": settings.served,
            "base_url": f"http://localhost:{settings.port}",
            "ignore_eos": True,
        },
        "tokenizer": {"pretrained_model_name_or_path": settings.checkpoint},
        "report": {"request_lifecycle": {"summary": True, "per_request": True}},
        "storage": {"local_storage": {"path": "inference-perf"}},
    }


def _inference_perf_script(settings: Settings) -> str:
    return _run(
        "inference-perf",
        settings,
        ["inference-perf", "--config_file", "inference-perf.yaml"],
        ['--server.base_url "$url"'],
    )
