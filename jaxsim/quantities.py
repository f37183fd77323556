"""Which numbers do we report, in what unit, and what does each mean?

Every output of a point function, and every coordinate, has a line here; datasets, tables and the
report take their units and descriptions from it.
"""

from typing import NamedTuple


class Quantity(NamedTuple):
    """One reported number: its unit, its name in a table, and one line of meaning."""

    units: str
    long_name: str
    description: str


AXES: dict[str, Quantity] = {
    "tp": Quantity("1", "tensor parallel", "Tensor-parallel width of attention (TP)."),
    "ep": Quantity("1", "expert parallel", "Expert-parallel width (EP); 1 on dense models."),
    "pp": Quantity("1", "pipeline stages", "Pipeline stages of an instance (PP)."),
    "batch": Quantity(
        "1", "batch", "Concurrent requests of an instance: prompts in prefill, sequences in decode."
    ),
    "chunk": Quantity("tokens", "chunk", "Tokens of one prompt that are prefilled in one pass."),
    "isl": Quantity("tokens", "ISL", "Input sequence length: prompt tokens of a request."),
    "osl": Quantity("tokens", "OSL", "Output sequence length: generated tokens of a request."),
    "ttl_target": Quantity("s", "TTL target", "Largest token-to-token latency allowed."),
    "ftl_target": Quantity("s", "FTL target", "Largest first-token latency allowed."),
}

# The modes of a co-located instance, as `point.phases.colocated.Colocated` has them: a title each.
MODE_TITLES: dict[str, str] = {"ifb": "in-flight batching", "piggybacked": "piggybacking"}
MODES: tuple[str, ...] = tuple(MODE_TITLES)
_MODES = {
    "ifb": "in-flight batching (prefill and decode iterations in turn)",
    "piggybacked": "piggybacking (chunks of prompts ride in decode steps)",
}

# The output that is a mode's gap between tokens, by the metric of the TTL target.
TTL_OUTPUTS: dict[str, str] = {"mean": "ttl_s", "median": "ttl_median_s"}

# What the time of a pass is spent on, as `point.forward.Parts` has it: its name, and its meaning.
PART_TITLES: dict[str, tuple[str, str]] = {
    "projections": ("projections", "Attention projections"),
    "attention": ("attention", "Attention over the KV cache"),
    "ffn": ("FFN", "Dense feed-forward and shared experts"),
    "experts": ("experts", "Router and routed experts"),
    "network": ("network", "Collectives and sends that are not overlapped"),
    "elementwise": ("element-wise", "Norms, residuals and embedding"),
    "head": ("output head", "Output head and sampling"),
    "overhead": ("engine overhead", "What the engine adds to the kernels"),
}
PARTS: tuple[str, ...] = tuple(PART_TITLES)
# Those that are kernels and messages; the rest is the host's.
KERNEL_PARTS: tuple[str, ...] = PARTS[:-1]

QUANTITIES: dict[str, Quantity] = {
    "ftl_s": Quantity("s", "FTL", "First-token latency (TTFT), exposed KV transfer included."),
    "host_s": Quantity(
        "s", "host", "A request's time before and after its passes: host, tokens, hand-over."
    ),
    "compute_s": Quantity("s", "prefill time", "Time of a batch of prompts through the pipeline."),
    "ttl_s": Quantity(
        "s", "TTL", "Token-to-token latency (TPOT) at the mean context, ISL + OSL/2."
    ),
    "ttl_end_s": Quantity("s", "TTL at the end", "Token-to-token latency at context ISL + OSL."),
    "requests_per_s": Quantity("1/s", "request rate", "Requests that one instance completes."),
    "output_tokens_per_s": Quantity("tokens/s", "output rate", "Output tokens of one instance."),
    "output_tokens_per_s_per_gpu": Quantity(
        "tokens/s", "throughput per GPU", "Output tokens per second and GPU."
    ),
    "input_tokens_per_s_per_gpu": Quantity(
        "tokens/s", "prefill throughput per GPU", "Prompt tokens per second and GPU."
    ),
    "gpus": Quantity("1", "GPUs", "GPUs of one instance: max(TP, EP) times PP."),
    "chunks": Quantity("1", "chunks", "Passes in which a prompt is prefilled."),
    "bubble_frac": Quantity(
        "1", "pipeline bubble", "Fraction of a batch's prefill time that fills or drains the pipe."
    ),
    "tokens_per_step": Quantity(
        "1", "tokens per step", "Output tokens a sequence gains in a step (speculation)."
    ),
    "kv_prompt_bytes": Quantity("B", "KV of a prompt", "KV cache of one prompt, each head once."),
    "kv_transfer_s": Quantity("s", "KV transfer", "Time to send a batch's KV cache."),
    "kv_exposed_s": Quantity(
        "s", "exposed KV transfer", "KV transfer that prefill does not hide; part of FTL."
    ),
    "kv_egress_bytes_per_s_per_gpu": Quantity(
        "B/s", "KV egress", "KV cache that leaves each prefill GPU holding distinct cache."
    ),
    "kv_ingress_bytes_per_s_per_gpu": Quantity(
        "B/s", "KV ingress", "KV cache that reaches each decode GPU holding distinct cache."
    ),
    "kv_link_frac": Quantity(
        "1", "KV link load", "KV egress over scale-out bandwidth; above 1 it does not fit."
    ),
    **{
        f"{part}_s": Quantity("s", title, f"{text}: of one step, or of all passes of a prompt.")
        for part, (title, text) in PART_TITLES.items()
    },
    "weights_bytes": Quantity("B", "weights", "Weights on the fullest GPU, scales included."),
    "kv_bytes": Quantity("B", "KV cache", "KV cache on the fullest GPU."),
    "activation_bytes": Quantity("B", "activations", "Activations and workspace of a pass."),
    "reserve_bytes": Quantity("B", "reserve", "Memory left to the runtime."),
    "total_bytes": Quantity("B", "memory", "Memory of the fullest GPU, reserve included."),
    "capacity_bytes": Quantity("B", "capacity", "Memory of one GPU."),
    "over_bytes": Quantity("B", "memory missing", "How far a design is over the capacity."),
    "fits_memory": Quantity("1", "fits in memory", "Whether the design fits in memory."),
    "heads_divide": Quantity("1", "heads divide", "Whether TP divides the attention heads."),
    "experts_divide": Quantity("1", "experts divide", "Whether EP divides the experts."),
    "ffn_divides": Quantity("1", "FFN divides", "Whether FFN widths divide as the ranks ask."),
    "widths_divide": Quantity("1", "widths divide", "Whether TP and EP divide one another."),
    "within_domain": Quantity(
        "1", "within domain", "Whether a stage lies in one scale-up domain or fills several."
    ),
    "within_context": Quantity(
        "1", "within context", "Whether ISL and OSL fit into the model's context."
    ),
    "piggybacking_sustained": Quantity(
        "1",
        "piggybacking sustained",
        "Whether chunks that ride in decode steps keep up with the requests that leave.",
    ),
    "stages_have_layers": Quantity("1", "stages have layers", "Whether each stage has a layer."),
    "transfer_fits": Quantity(
        "1", "transfer fits", "Whether the KV transfer fits the scale-out network."
    ),
    "valid": Quantity("1", "valid", "Whether the design obeys every rule."),
    **{
        f"{mode}_{name}": Quantity(units, f"{long_name} ({mode})", f"{text}, with {what}.")
        for mode, what in _MODES.items()
        for name, units, long_name, text in (
            ("ftl_s", "s", "FTL", "First-token latency (TTFT)"),
            ("ttl_s", "s", "mean TTL", "Mean gap between tokens (TPOT)"),
            ("ttl_median_s", "s", "median TTL", "Median gap between tokens"),
            (
                "output_tokens_per_s_per_gpu",
                "tokens/s",
                "throughput per GPU",
                "Output tokens per second and GPU",
            ),
            ("prompt_share", "1", "disturbed steps", "Fraction of decode steps with a prompt"),
            ("valid", "1", "valid", "Whether the design obeys every rule and sustains its batch"),
            *((f"{part}_s", "s", title, text) for part, (title, text) in PART_TITLES.items()),
        )
    },
}


def quantity(name: str) -> Quantity:
    """The unit and meaning of a reported number; an error if it has none."""
    try:
        return QUANTITIES.get(name) or AXES[name]
    except KeyError:
        raise KeyError(f"'{name}' is reported but has no line in jaxsim/quantities.py") from None
