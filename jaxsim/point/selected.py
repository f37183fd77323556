"""What does attention over selected tokens ask of a GPU?  FLOP and bytes; no hardware."""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.point.work import AbstractWork


class SelectedAttention(AbstractWork):
    """An indexer's scores of a sequence's `entries`, selection, and attention to what it chose.

    `scored` counts the (query, key) pairs of one sequence that each of `index_heads` scores, and
    `pairs` those that each of `heads` attends to; `keys` distinct ones of a sequence are read.
    `indexes` is 1 where there is an indexer, else 0, and `selects` where there are more keys than
    it chooses: else all are attended to. `slots` are the pairs of queries that all have as many
    keys as are chosen at most. All kernels of a layer between its projections, in turn.
    """

    sequences: Scalar
    queries: Scalar
    entries: Scalar
    scored: Scalar
    index_heads: Scalar
    index_dim: Scalar
    index_bytes_per_element: Scalar
    keys: Scalar
    pairs: Scalar
    slots: Scalar
    heads: Scalar
    kv_heads: Scalar
    qk_dim: Scalar
    v_dim: Scalar
    kv_dim: Scalar
    kv_bytes_per_element: Scalar
    activation_bytes_per_element: Scalar
    indexes: Scalar
    selects: Scalar

    @property
    def index_flop(self):
        return 2.0 * self.sequences * self.scored * self.index_heads * self.index_dim

    @property
    def head_flop(self):
        """Of one head's attention."""
        return 2.0 * self.sequences * self.pairs * (self.qk_dim + self.v_dim)

    @property
    def missing(self):
        """Empty slots over the pairs that are attended to."""
        return jnp.maximum(self.slots / jnp.maximum(self.pairs, 1e-9), 1.0) - 1.0

    @property
    def flop(self):
        return self.index_flop + self.heads * self.head_flop

    @property
    def index_bytes(self):
        """Every entry of an index once; none where nothing is scored."""
        return self.sequences * self.entries * self.index_dim * self.index_bytes_per_element

    @property
    def cached_bytes(self):
        """Of one key and its value, over all heads of the cache."""
        return self.kv_heads * self.kv_dim * self.kv_bytes_per_element

    @property
    def gathered_bytes(self):
        """Keys and values of every query, from memory or from the last cache."""
        return self.sequences * self.pairs * self.cached_bytes

    @property
    def narrow_bytes(self):
        """Of what queries gather, the bytes that are narrower than those that are multiplied."""
        wide = jnp.asarray(self.activation_bytes_per_element)
        return jnp.where(self.kv_bytes_per_element < wide, 1.0, 0.0) * self.gathered_bytes

    @property
    def key_bytes(self):
        """Distinct keys and values that any query attends to."""
        return self.sequences * self.keys * self.cached_bytes

    @property
    def query_elements(self):
        """Of all queries and results."""
        return self.sequences * self.queries * self.heads * (self.qk_dim + self.v_dim)

    @property
    def hbm_bytes(self):
        moved = self.activation_bytes_per_element * self.query_elements
        return self.index_bytes + self.key_bytes + moved
