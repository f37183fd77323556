"""What is to be deployed?  Pools of instances of a model, as a plan found them."""

from dataclasses import dataclass

from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.precision_presets import load_precision


@dataclass(frozen=True)
class Pool:
    """`count` instances of one shape.

    `role` is prefill, decode or colocated. A stage is `max(tp, ep)` GPUs, of which attention splits
    over `tp` and runs data parallel over the rest; experts are spread over `ep` and split over the
    rest. `batch` counts requests of an instance, `chunk` prompt tokens of one pass on one rank.
    `gpus_per_node` and `domain_gpus` say how the hardware is built.
    """

    role: str
    mode: str
    hardware: str
    vendor: str
    gpus_per_node: int
    domain_gpus: int
    count: int
    tp: int
    ep: int
    pp: int
    batch: int
    chunk: int
    latency_s: float
    requests_per_s: float
    memory_bytes: dict[str, float]
    parts_s: dict[str, float]

    @property
    def width(self) -> int:
        """GPUs of one stage."""
        return max(self.tp, self.ep)

    @property
    def gpus(self) -> int:
        """GPUs of one instance."""
        return self.width * self.pp

    @property
    def attention_dp(self) -> int:
        """Data-parallel ranks of attention in a stage."""
        return self.width // self.tp

    @property
    def expert_tp(self) -> int:
        """GPUs over which one expert is split."""
        return self.width // self.ep

    @property
    def rank_batch(self) -> int:
        """Requests of one data-parallel rank, over all stages; at least one."""
        return max(1, -(-self.batch // self.attention_dp))

    @property
    def nodes(self) -> int:
        """Nodes of one instance, all with the same number of its GPUs."""
        least = -(-self.gpus // self.gpus_per_node)
        return next(n for n in range(least, self.gpus + 1) if self.gpus % n == 0)

    @property
    def node_gpus(self) -> int:
        """GPUs of one instance on each of its nodes."""
        return self.gpus // self.nodes

    def named(self) -> str:
        """The shape in words."""
        gpus = "1 GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        return f"{self.role} TP {self.tp}, EP {self.ep}, PP {self.pp} ({gpus})"


@dataclass(frozen=True)
class Order:
    """A deployment: the model with its formats, the workload, the targets, and the pools.

    `kind` is disaggregated or colocated. `kv` is the format of the cache. `interval` holds the
    predicted throughput per GPU with 80 %, and `digest` names the plan it came from. `hit_frac` of
    a prompt is found in a prefix cache; each of `draft_tokens` proposed in a step is accepted with
    probability `accept_frac`. A prompt has `images`, whose tokens are part of `isl`.
    """

    kind: str
    model: ModelCard
    precision: str
    kv: str
    engine: str
    isl: int
    osl: int
    ftl_target_s: float
    ttl_target_s: float
    ftl_s: float
    ttl_s: float
    requests_per_s: float
    output_tokens_per_s_per_gpu: float
    interval: tuple[float, float]
    hit_frac: float
    draft_tokens: int
    accept_frac: float
    pools: tuple[Pool, ...]
    digest: str
    images: int = 0

    @property
    def context(self) -> int:
        """Tokens of the longest request that servers accept: both lengths, to the next 1,024."""
        return -(-(self.isl + self.osl + self.draft_tokens) // 1024) * 1024

    @property
    def formats(self) -> dict[str, str]:
        """The format of every class of tensor, alike in all pools."""
        return self.model.formats(load_precision(self.precision, self.model))

    @property
    def cached(self) -> int:
        """Tokens of a prompt that are found in a prefix cache."""
        return min(self.isl - 1, round(self.hit_frac * self.isl))

    @property
    def gpus(self) -> int:
        """GPUs of all pools."""
        return sum(pool.gpus * pool.count for pool in self.pools)

    @property
    def concurrency(self) -> int:
        """Requests in the system when it runs as planned: rate times time in it (Little)."""
        time_s = self.ftl_s + (self.osl - 1) * self.ttl_s
        return max(1, round(self.requests_per_s * time_s))

    def pool(self, role: str) -> Pool:
        """The pool of a role."""
        return next(pool for pool in self.pools if pool.role == role)
