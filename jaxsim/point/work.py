"""What must a kernel do?  Shapes, flop, bytes and messages; no hardware.

Every record is one launch on one GPU. `roofline` and `collectives` turn records into seconds.
Sizes are real numbers: rounding to tiles belongs to the kernel forms.
"""

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class AbstractWork(Record):
    """Something a GPU does in one launch."""


class AbstractGemm(Record):
    """A (rows x inputs) times (inputs x outputs) product; weights are streamed from memory once."""

    rows: Scalar
    outputs: Scalar
    inputs: Scalar
    weight_bytes_per_element: Scalar
    activation_bytes_per_element: Scalar

    @property
    def flop(self):
        return 2.0 * self.rows * self.outputs * self.inputs

    @property
    def weight_bytes(self):
        return self.weight_bytes_per_element * self.outputs * self.inputs


class Gemm(AbstractGemm, AbstractWork):
    """One product."""

    @property
    def hbm_bytes(self):
        moved = self.inputs + self.outputs
        return self.weight_bytes + self.activation_bytes_per_element * self.rows * moved


class BatchedGemm(AbstractGemm, AbstractWork):
    """`products` of equal shape side by side: each has its own inputs and a part of the outputs."""

    products: Scalar

    @property
    def hbm_bytes(self):
        moved = self.products * self.inputs + self.outputs
        return self.weight_bytes + self.activation_bytes_per_element * self.rows * moved


class GroupedGemm(AbstractWork):
    """Both GEMMs of the routed experts on one rank.

    `rows` token copies reach the busiest rank (tokens x top-k over the ranks, with imbalance);
    they fall on `active_experts` distinct experts of the rank, the expected number. The first
    GEMM has `(matrices - 1) x intermediate` outputs, the second `hidden` outputs. The rank sees
    `tokens` tokens, for each of which it sums what its experts return, and holds `experts`. Each
    token picks `picks` experts, here or elsewhere. A kernel chooses its tile before it knows who
    picked whom, for `expected_rows` = tokens x picks / experts a resident expert: more than arrive
    where other ranks hold experts too.
    """

    rows: Scalar
    active_experts: Scalar
    hidden: Scalar
    intermediate: Scalar
    matrices: Scalar
    weight_bytes_per_element: Scalar
    activation_bytes_per_element: Scalar
    tokens: Scalar = 0.0
    experts: Scalar = 0.0
    picks: Scalar = 0.0
    expected_rows: Scalar = 0.0

    @property
    def flop(self):
        return 2.0 * self.rows * self.matrices * self.hidden * self.intermediate

    @property
    def weight_bytes(self):
        per_expert = self.matrices * self.hidden * self.intermediate
        return self.weight_bytes_per_element * self.active_experts * per_expert

    @property
    def hbm_bytes(self):
        moved = 2.0 * self.hidden + self.matrices * self.intermediate
        return self.weight_bytes + self.activation_bytes_per_element * self.rows * moved


class ContextAttention(AbstractWork):
    """Causal attention of `queries` new tokens of each sequence over `past` ones and themselves.

    `pairs` counts the (query, key) pairs of one sequence and head that are not masked, which a
    sliding window lowers.
    """

    sequences: Scalar
    queries: Scalar
    past: Scalar
    pairs: Scalar
    heads: Scalar
    kv_heads: Scalar
    qk_dim: Scalar
    v_dim: Scalar
    kv_bytes_per_element: Scalar
    activation_bytes_per_element: Scalar

    @property
    def flop(self):
        return 2.0 * self.sequences * self.heads * self.pairs * (self.qk_dim + self.v_dim)

    @property
    def hbm_bytes(self):
        wide = self.qk_dim + self.v_dim
        cached = self.past * self.kv_heads * wide * self.kv_bytes_per_element
        fresh = self.queries * (self.heads + self.kv_heads) * wide
        return self.sequences * (cached + self.activation_bytes_per_element * fresh)


class DecodeAttention(AbstractWork):
    """Attention of `queries` tokens (1, or 1 + drafts) of each sequence over a cache of `context`.

    With a latent cache (`MLA`), absorbed: `kv_heads` is 1, `qk_dim` the latent and rotary width,
    `v_dim` the latent width, and `kv_dim` what is stored and read once a token, the former alone.
    Otherwise `kv_dim` is `qk_dim + v_dim`. `masked` tokens are cached before a sliding window;
    those that share a tile with the window are walked too.
    """

    sequences: Scalar
    queries: Scalar
    context: Scalar
    heads: Scalar
    kv_heads: Scalar
    qk_dim: Scalar
    v_dim: Scalar
    kv_dim: Scalar
    kv_bytes_per_element: Scalar
    masked: Scalar = 0.0

    @property
    def flop(self):
        pairs = self.queries * self.context
        return 2.0 * self.sequences * self.heads * pairs * (self.qk_dim + self.v_dim)

    @property
    def hbm_bytes(self):
        cached = self.context * self.kv_heads * self.kv_dim
        return self.sequences * cached * self.kv_bytes_per_element


class AbstractState(AbstractWork):
    """Passes over a state of `heads` x `key_dim` x `value_dim` for each sequence.

    A token decays and updates it and reads a result: `flop_per_state` for each of its numbers.
    """

    sequences: Scalar
    queries: Scalar
    heads: Scalar
    key_dim: Scalar
    value_dim: Scalar
    flop_per_state: Scalar
    state_bytes_per_element: Scalar
    activation_bytes_per_element: Scalar

    @property
    def state_bytes(self):
        """Of all sequences."""
        state = self.heads * self.key_dim * self.value_dim
        return self.sequences * state * self.state_bytes_per_element

    @property
    def token_bytes(self):
        """Queries, keys, values, gate and result of all tokens."""
        columns = self.heads * (2.0 * self.key_dim + 3.0 * self.value_dim)
        return self.sequences * self.queries * columns * self.activation_bytes_per_element


class StateStep(AbstractState):
    """Decoded tokens: the state is read once, and written after each of `queries` tokens."""

    @property
    def flop(self):
        state = self.heads * self.key_dim * self.value_dim
        return self.sequences * self.queries * state * self.flop_per_state

    @property
    def hbm_bytes(self):
        return self.state_bytes * (1.0 + self.queries) + self.token_bytes

    @property
    def steps(self):
        return self.queries


class StateScan(AbstractState):
    """Tokens of a prompt in chunks of `chunk`, of which each starts from the state before it.

    Within a chunk, `products` times, every token meets every other in key and in value width. The
    state of every chunk is written and read again.
    """

    chunk: Scalar
    products: Scalar

    @property
    def flop(self):
        state = self.heads * self.key_dim * self.value_dim * self.flop_per_state
        within = self.chunk * self.heads * (self.key_dim + self.value_dim)
        each = state + 2.0 * self.products * within
        return self.sequences * self.queries * each

    @property
    def hbm_bytes(self):
        return 2.0 * self.state_bytes * (1.0 + self.steps) + self.token_bytes

    @property
    def steps(self):
        return self.queries / self.chunk


class Convolution(AbstractWork):
    """A causal convolution over each of `channels`, which keeps `kept` tokens of each sequence."""

    sequences: Scalar
    queries: Scalar
    channels: Scalar
    kept: Scalar
    activation_bytes_per_element: Scalar

    @property
    def flop(self):
        return 2.0 * self.sequences * self.queries * self.channels * (self.kept + 1.0)

    @property
    def hbm_bytes(self):
        tokens = 2.0 * (self.queries + self.kept)
        return self.sequences * tokens * self.channels * self.activation_bytes_per_element


class Stream(AbstractWork):
    """Element-wise kernels: `launches` of them, moving `hbm_bytes` in all."""

    hbm_bytes: Scalar
    launches: Scalar

    @property
    def flop(self):
        return 0.0


class AbstractMessage(Record):
    """Something GPUs say to one another, per GPU."""

    data_bytes: Scalar
    ranks: Scalar


class AllReduce(AbstractMessage):
    """Sum `data_bytes` over `ranks`, the result on every rank."""


class AllGather(AbstractMessage):
    """Every rank ends with all `data_bytes`, having begun with one part in `ranks`."""


class ReduceScatter(AbstractMessage):
    """Sum `data_bytes` over `ranks`, each rank ending with one part in `ranks`."""


class AllToAll(AbstractMessage):
    """Each rank sends `data_bytes` in all, spread evenly over `ranks`, its own part included.

    They are in so many `pieces`: tokens, once for each rank that gets them. `token_bytes` are those
    of each token once, sent to the ranks of its `picks`; 0 where nothing is known of them.
    """

    pieces: Scalar = 0.0
    token_bytes: Scalar = 0.0
    picks: Scalar = 1.0


class SendRecv(AbstractMessage):
    """Send `data_bytes` to one neighbour, among `ranks` GPUs that one instance spans."""

    ranks: Scalar = 2.0
