"""What does Mooncake need beside vLLM or SGLang?  The files of its store and transfer engine."""

import json

from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.targets import sglang, vllm
from jaxsim.view.deploy.targets.hosts import check_port

MASTER_PORT, METADATA_PORT = 50051, 8080
SEGMENT_BYTES = 4 << 30
BUFFER_BYTES = 1 << 30


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The servers' scripts with Mooncake as connector, the store's master, and its file."""
    engine = vllm if settings.engine == "vllm" else sglang
    check_port(settings, [], (MASTER_PORT, METADATA_PORT))
    made = engine.files(order, settings)
    made["mooncake.json"] = store(settings)
    made["master.sh"] = _master()
    for name, text in made.items():
        if name.startswith("serve-"):
            made[name] = _with_store(text, settings)
    return made


def store(settings: Settings) -> str:
    """The file of Mooncake's client: where the master is, and what a server lends to the store."""
    master = settings.hosts[0] if settings.hosts else "prefill-0"
    described = {
        "metadata_server": f"http://{master}:{METADATA_PORT}/metadata",
        "master_server_address": f"{master}:{MASTER_PORT}",
        "protocol": "rdma",
        "device_name": "",
        "global_segment_size": SEGMENT_BYTES,
        "local_buffer_size": BUFFER_BYTES,
    }
    return json.dumps(described, indent=2) + "\n"


def _master() -> str:
    words = ["mooncake_master", f"--rpc_port={MASTER_PORT}", "--enable_http_metadata_server=true"]
    words += ["--http_metadata_server_host=0.0.0.0", f"--http_metadata_server_port={METADATA_PORT}"]
    return script("The store's master, once, on the first host.", ["exec " + line_of(words)])


def _with_store(text: str, settings: Settings) -> str:
    """A server's script that knows the file; SGLang keeps its second cache in the store."""
    name = {"vllm": "MOONCAKE_CONFIG_PATH", "sglang": "SGLANG_HICACHE_MOONCAKE_CONFIG_PATH"}
    own = name[settings.engine]
    known = f'{own}="$(dirname "$(realpath "$0")")/mooncake.json"\nexport {own}\n'
    if settings.engine == "sglang" and "--disaggregation-mode decode" not in text:
        options = ["--enable-hierarchical-cache", "--hicache-storage-backend"]
        settings.flags.check(options)
        text = text.rstrip("\n") + f" \\\n  {options[0]} \\\n  {options[1]} mooncake\n"
    return text.replace("exec ", known + "exec ", 1)
