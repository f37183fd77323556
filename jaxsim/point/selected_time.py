"""How long does attention over selected tokens take on a chip?"""

from jaxsim.catalog.fits import SelectedFit
from jaxsim.catalog.hardware import Chip
from jaxsim.point.kernel_parts import KernelParts, kernel_parts, one_peak_flop_per_s
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.smooth import larger


@kernel_parts.register
def selected_parts(work: SelectedAttention, fit: SelectedFit, chip: Chip) -> KernelParts:
    r"""Seconds of an indexer, a selection and the attention to what it chose, one after another.

    $$ t = t_0 + i t_i + s \left(t_s + \frac{n c b_c}{W}\right) + \left\| \frac{F_i}{\eta_i P}, \;
           \frac{B_i}{\eta_B W}, \; e \tau \right\|_q + \left\| \frac{F_h}{\eta P}
           \left\| h_t, h \right\|_p + \frac{\delta B_n}{W}, \; \frac{B_k}{\eta_B W}, \;
           \frac{B_g}{g W} \right\|_q + \frac{E b_q}{W} $$

    $F_i, B_i$ are what the indexer computes and reads, with $e$ entries of a sequence walked at
    $\tau$ each; i is 1 where there is one, s where it selects, among $c$ scores of each of n
    sequences. $F_h$ is the FLOP of one of h heads, and tiles have room for $h_t$. $B_k$ are the
    distinct keys, $B_g$ those of all queries, which the last cache may hold. Empty slots count in
    $F_h$ and $B_g$ where something is selected, else a share of them. $E$ are elements of queries
    and results, which norms, rotations and conversions pass over. $B_n$ are the bytes of $B_g$
    where the cache has 8 bits and the arithmetic more: widening them takes $\delta$ times as long
    as reading them from memory once.
    """
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    memory = chip.hbm_bytes_per_s
    scoring_s = work.index_flop / (fit.index_frac * peak)
    index_s = work.index_bytes / (fit.hbm_frac * memory)
    walk_s = work.entries * fit.walk_s
    scored_s = larger(larger(scoring_s, index_s, fit.overlap_power), walk_s, fit.overlap_power)
    scores = work.sequences * work.scored
    select_s = work.selects * (fit.select_s + scores * fit.score_bytes / memory)
    heads = larger(fit.tile_heads * work.kv_heads, work.heads, fit.pad_power)
    # A kernel that gathers walks all slots; where nothing is selected, another may be used.
    walked = 1.0 + work.missing * (work.selects + (1.0 - work.selects) * fit.slot_share)
    widened_s = walked * fit.widen_passes * work.narrow_bytes / memory
    attend_s = walked * heads * work.head_flop / (fit.peak_frac * peak) + widened_s
    keys_s = work.key_bytes / (fit.hbm_frac * memory)
    gather_s = walked * work.gathered_bytes / (fit.gather_ratio * memory)
    read_s = larger(keys_s, gather_s, fit.overlap_power)
    queries_s = work.query_elements * fit.query_bytes / memory
    indexed_s = work.indexes * fit.index_s + scored_s + select_s
    busy_s = indexed_s + larger(attend_s, read_s, fit.overlap_power) + queries_s
    return KernelParts(
        seconds=fit.launch_s + busy_s,
        arithmetic_s=scoring_s + attend_s,
        memory_s=index_s + read_s + queries_s,
        launch_s=fit.launch_s,
    )
