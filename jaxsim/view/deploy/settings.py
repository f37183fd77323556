"""What is said beside the plan: engine, version, names, images, ports."""

from dataclasses import dataclass, field

from jaxsim.catalog.flags import EngineFlags


@dataclass(frozen=True)
class Settings:
    """How a plan is deployed.

    `checkpoint` is what the servers load and `quantize` what they quantise it to while loading.
    `served` is the name that requests use. `image` replaces a target's own container image.
    `drafter` is a model apart that drafts tokens (EAGLE-3); empty where the model has layers of its
    own for it. `nodes` says how many nodes of a kind there are, `partitions` which partition of
    Slurm has a kind, `stack` what runs on GKE: dynamo or llm-d.
    """

    target: str
    flags: EngineFlags
    connector: str
    checkpoint: str
    quantize: str
    served: str
    name: str
    namespace: str = "default"
    image: str = ""
    secret: str = "hf-token-secret"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    nodes: dict[str, int] = field(default_factory=dict)
    partitions: dict[str, str] = field(default_factory=dict)
    stack: str = "dynamo"
    drafter: str = ""

    @property
    def engine(self) -> str:
        """vllm, sglang or trtllm."""
        return self.flags.engine
