"""How long does one forward pass take, and on what?"""

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.engine import factor_of
from jaxsim.catalog.model import NoAttention, NoFFN
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.attention.kinds import context_items, decode_items, projection_items
from jaxsim.point.collectives import message_s
from jaxsim.point.encoder import pooled_items
from jaxsim.point.ffn import FFNTokens, attention_reduce_items, ffn_items, norm_item
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.roofline import kernel_parts
from jaxsim.point.work import AbstractMessage, SendRecv, Stream
from jaxsim.quantities import KERNEL_PARTS

# Sampling reads the logits and writes probabilities, in 32 bits: softmax, then selection.
LOGIT_BYTES = 4.0
SAMPLING_PASSES = 2.0
SAMPLING_LAUNCHES = 2.0


class Parts(Record):
    """Seconds of one forward pass through all stages, by what they are spent on."""

    projections_s: Scalar
    attention_s: Scalar
    ffn_s: Scalar
    experts_s: Scalar
    network_s: Scalar
    elementwise_s: Scalar
    head_s: Scalar
    overhead_s: Scalar

    @property
    def total_s(self):
        return (
            (self.projections_s + self.ffn_s + self.elementwise_s + self.head_s)
            + (self.experts_s + self.network_s + self.overhead_s)
            + self.attention_s
        )


def common_items(
    scenario: Scenario, ranks: Ranks, rows: Scalar, head_rows: Scalar, stage_rows: Scalar
) -> list[Item]:
    """Everything in a pass over `rows` tokens of an attention rank that ignores their past.

    `head_rows` of them go on to the output head, which is split over `tp`. `stage_rows` are the
    tokens of all attention ranks together: fewer than `rows` of each where they do not divide, or
    where ranks have none.
    """
    model, element = scenario.model, scenario.element
    hidden = model.hidden
    tokens = FFNTokens(
        rows, stage_rows, scenario.workload.imbalance, scenario.engine.popularity_variance
    )
    items = []
    for group in model.groups:
        mixes = not isinstance(group.attention, NoAttention)
        parts = (1.0 if mixes else 0.5) - (0.5 if isinstance(group.ffn, NoFFN) else 0.0)
        reduced = attention_reduce_items(hidden, rows, ranks, element, group.ffn)
        layer = [
            *projection_items(group.attention, hidden, rows, ranks, element),
            *(reduced if mixes else []),
            *ffn_items(group.ffn, hidden, tokens, ranks, element),
            norm_item(hidden, rows, element).times(parts),
        ]
        items += [item.times(group.layers) for item in layer]
    logits = LOGIT_BYTES * head_rows * model.vocab / ranks.tp
    items += [
        gemm_item(
            "head",
            "head",
            "head_gemm",
            head_rows,
            model.vocab / ranks.tp,
            hidden,
            element.head,
            element.wide,
        ),
        Item(
            Stream(SAMPLING_PASSES * logits, SAMPLING_LAUNCHES), 1.0, "sampling", "head", "stream"
        ),
        Item(
            Stream(2.0 * rows * hidden * element.wide, 1.0),
            1.0,
            "embedding",
            "elementwise",
            "stream",
        ),
        Item(
            SendRecv(rows * hidden * element.wide / ranks.tp, ranks.gpus),
            ranks.pp - 1.0,
            "stage_send",
            "network",
            "send_recv",
        ),
    ]
    return items


def decode_only_items(scenario: Scenario, ranks: Ranks, tokens: DecodeTokens) -> list[Item]:
    """What decoded tokens add, over all layers: attention over their caches."""
    return [
        item.times(group.layers)
        for group in scenario.model.groups
        for item in decode_items(group.attention, tokens, ranks, scenario.element)
    ]


def context_only_items(scenario: Scenario, ranks: Ranks, tokens: ContextTokens) -> list[Item]:
    """What a chunk of prompts adds, over all layers: attention over their past and themselves."""
    return [
        item.times(group.layers)
        for group in scenario.model.groups
        for item in context_items(group.attention, tokens, ranks, scenario.element)
    ]


class Spent(Record):
    """Seconds that an item's launches take: what is left of their floors, and what they work."""

    floor_s: Scalar
    working_s: Scalar


def engine_factor(scenario: Scenario, part: str, prompts: bool = False) -> Scalar:
    """What the engine multiplies the work of a part's kernels by.

    `prompts` is of a pass over prompts, whose kernels are bound by other things.
    """
    return getattr(scenario.engine, factor_of(part, prompts))


def item_spent(item: Item, scenario: Scenario) -> Spent:
    """What an item's launches take, before the engine's factor; floors as far as it shows them.

    Hidden communication counts here.
    """
    fit = getattr(scenario.kernels, item.role)
    count = item.count
    if isinstance(item.work, AbstractMessage):
        one_s = message_s(item.work, fit, scenario.hardware)
        ranks = item.work.ranks  # type: ignore[attr-defined]
        floor_s = jnp.clip(ranks - 1.0, 0.0, 1.0) * fit.launch_s
        count = count * (1.0 - scenario.options.comm_overlap_frac)
    else:
        parts = kernel_parts(item.work, fit, scenario.hardware.chip)
        one_s, floor_s = parts.seconds, parts.launch_s
    return Spent(count * scenario.engine.launch_factor * floor_s, count * (one_s - floor_s))


def item_s(item: Item, scenario: Scenario, prompts: bool = False) -> Scalar:
    r"""Seconds of an item in a pass of decoded tokens, or of prompts: $t = L\,t_0 + f\,t_{work}$.

    $f \ge 1$ in every engine of the catalogue, so that none is faster than the measured kernel,
    nor it than the chip; $L$ is the part of the launch floor that is not hidden.
    """
    spent = item_spent(item, scenario)
    return spent.floor_s + engine_factor(scenario, item.part, prompts) * spent.working_s


def sum_items(items: list[Item], seconds: list[Scalar]) -> dict[str, Scalar]:
    """Seconds by part, of those of each item."""
    parts: dict[str, Scalar] = {}
    for item, own in zip(items, seconds, strict=True):
        parts[item.part] = parts.get(item.part, 0.0) + own
    return parts


def sum_parts(items: list[Item], scenario: Scenario, prompts: bool = False) -> dict[str, Scalar]:
    """Seconds by part, with the engine's factors."""
    return sum_items(items, [item_s(item, scenario, prompts) for item in items])


def launches(items: list[Item]) -> Scalar:
    """Kernel launches in a pass, for a host that issues them one by one."""
    return sum((item.count for item in items), start=jnp.asarray(0.0))


def add_parts(*several: dict[str, Scalar]) -> dict[str, Scalar]:
    """Sums of the parts of several lists of items."""
    names = {name for parts in several for name in parts}
    return {
        name: sum((parts[name] for parts in several if name in parts), start=jnp.asarray(0.0))
        for name in sorted(names)
    }


def layers_of(scenario: Scenario) -> Scalar:
    """Layers of all kinds."""
    return sum((group.layers for group in scenario.model.groups), start=jnp.asarray(0.0))


def drafting_share(scenario: Scenario) -> Scalar:
    """The layer that drafts over all layers: 1/L with speculation, 0 without.

    A module of multi-token prediction is one layer like the mean of the others, with weights, a
    cache and a pass over prompts of its own; several drafts of a step run it again.
    """
    return jnp.minimum(scenario.workload.draft_tokens, 1.0) / layers_of(scenario)


def encoding_s(scenario: Scenario) -> Scalar:
    """Seconds in which a GPU of its own encodes the images of one prompt and sends what it made."""
    each = [item_s(item, scenario, prompts=True) for item in pooled_items(scenario)]
    return sum(each, start=jnp.asarray(0.0))


def host_s(scenario: Scenario, handed_over: bool) -> Scalar:
    """Seconds of a request's first token before and after its passes.

    Its host's, its tokens', what its images take on GPUs of their own and, where another pool
    decodes, what handing it over takes beside the transfer of its cache.
    """
    engine = scenario.engine
    own_s = engine.request_s + engine.prompt_token_s * scenario.workload.isl
    if scenario.model.pooled_encoders:
        own_s = own_s + encoding_s(scenario)
    return own_s + engine.disaggregated_s if handed_over else own_s


def issued_frac(tokens: Scalar, graph_tokens: Scalar) -> Scalar:
    """The part of a pass over prompt tokens that its host issues kernel by kernel.

    0 up to the `graph_tokens` of the largest captured graph, 1 from twice as many on; 1 without.
    """
    beyond = tokens / jnp.maximum(graph_tokens, 1.0) - 1.0
    return jnp.where(jnp.asarray(graph_tokens) > 0.0, jnp.clip(beyond, 0.0, 1.0), 1.0)


def with_overhead(
    parts: dict[str, Scalar],
    issued: Scalar,
    step_s: Scalar,
    layer_s: Scalar,
    host_layer_s: Scalar,
    graph_frac: Scalar,
    scenario: Scenario,
) -> Parts:
    """The parts of a pass with what the engine adds.

    overhead = pp · step + layers · layer + max(0, host - kernels), with
    host = layers · host_layer + launches · host_launch · (1 - graphs): every stage of a pipeline
    takes a step of its own for a pass, and a host that issues kernels one by one may be slower
    than the kernels.
    """
    zero = jnp.asarray(0.0)
    layers = layers_of(scenario)
    kernels_s = sum(parts.values(), start=zero)
    host_s = issued * scenario.engine.host_launch_s * (1.0 - graph_frac)
    host_s = host_s + layers * host_layer_s
    steps_s = scenario.design.pp * step_s + layers * layer_s
    overhead_s = steps_s + jnp.maximum(host_s - kernels_s, 0.0)
    named = {f"{name}_s": parts.get(name, zero) for name in KERNEL_PARTS}
    return Parts(**named, overhead_s=overhead_s)
