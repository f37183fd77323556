"""Which targets are there, and which engines, versions and connectors has each?"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.flags import EngineFlags, load_flags
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.platforms import dynamo_release, platforms
from jaxsim.view.deploy.settings import Settings

Files = Callable[[Order, Settings], dict[str, str]]


@dataclass(frozen=True)
class Target:
    """A platform: which engines it runs, with which connector first, and what it is in words."""

    name: str
    engines: tuple[str, ...]
    connectors: tuple[str, ...]
    means: str

    def rules(self, engine: str) -> str:
        """Whose rules say which shapes there are: the platform's own, or the engine's."""
        return self.name if self.name in ("neuron", "distserve") else engine

    @property
    def module(self) -> str:
        """The module of its files."""
        return f"jaxsim.view.deploy.targets.{self.name.replace('-', '_')}"

    def files(self, order: Order, settings: Settings) -> dict[str, str]:
        """The texts of its files, by path."""
        return import_module(self.module).files(order, settings)


TARGETS = {
    target.name: target
    for target in (
        Target("dynamo", ("vllm", "sglang", "trtllm"), ("nixl",), "NVIDIA Dynamo on Kubernetes"),
        Target(
            "trtllm", ("trtllm",), ("default", "ucx", "nixl", "mooncake", "mpi"), "trtllm-serve"
        ),
        Target("vllm", ("vllm",), ("nixl", "mooncake"), "vllm serve on hosts, and a proxy"),
        Target("sglang", ("sglang",), ("nixl", "mooncake"), "SGLang on hosts, and its router"),
        Target("llm-d", ("vllm",), ("nixl",), "llm-d's model servers, by Kustomize or Helm"),
        Target("kserve", ("vllm",), ("nixl",), "KServe's LLMInferenceService"),
        Target("gke", ("vllm", "sglang", "trtllm"), ("nixl",), "node pools of Google Cloud"),
        Target("neuron", ("vllm",), ("nixl",), "vLLM-Neuron on AWS Trainium"),
        Target("mooncake", ("vllm", "sglang"), ("mooncake",), "Mooncake beside vLLM or SGLang"),
        Target("distserve", ("vllm",), ("nixl",), "DistServe's placement and servers"),
        Target("slurm", ("vllm", "sglang", "trtllm"), ("nixl", "mooncake"), "a job under Slurm"),
    )
}


def target_of(name: str) -> Target:
    """A target by its name."""
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS, f"Targets: {', '.join(TARGETS)}.")
    return TARGETS[name]


def engine_of(target: Target, planned: str, given: str | None) -> str:
    """The engine to deploy: the given one, the planned one if the target runs it, or its first."""
    if given is None:
        return planned if planned in target.engines else target.engines[0]
    if given not in target.engines:
        raise InputError(
            f"--engine {given}: {target.name} runs {', '.join(target.engines)} in this version."
        )
    return given


def version_of(
    target: Target, engine: str, given: str | None, image: str, stack: str = "dynamo"
) -> str | None:
    """The engine's version; a platform that ships its engines has its own."""
    held = None
    if target.name == "dynamo" or (target.name == "gke" and stack == "dynamo"):
        release = dynamo_release()
        held = release.versions[engine]
        if given not in (None, held) and not image:
            raise InputError(
                f"--engine-version {given}: Dynamo {release.name} ships {engine} {held}; give an "
                f"--image with {given}, or leave the version out."
            )
    elif target.name == "kserve":
        held = platforms()["kserve"][engine]
    elif target.name == "neuron":
        held = platforms()["neuron"]["vllm"]
    elif target.name in ("llm-d", "gke"):
        held = platforms()["llmd"][engine]
    return given or held


def connector_of(target: Target, engine: str, given: str | None) -> str:
    """How the cache moves between pools; an error for a way that the target has not."""
    known = (
        target.connectors if engine != "trtllm" else ("default", "ucx", "nixl", "mooncake", "mpi")
    )
    if given is not None and given not in known:
        raise InputError(f"--connector {given}: {target.name} has {', '.join(known)}.")
    return given or known[0]


def software_of(settings: Settings) -> tuple[str, str]:
    """What serves, and its version: the engine, or the platform where it is one of its own."""
    if settings.target == "distserve":
        return "distserve", platforms()["distserve"]["version"]
    return settings.engine, settings.flags.version


def flags_for(
    target: Target, engine: str, given: str | None, image: str, stack: str = "dynamo"
) -> EngineFlags:
    """The names of the engine at the version that is deployed."""
    return load_flags(engine, version_of(target, engine, given, image, stack))
