"""What does a frontier look like when requests have many lengths, not one?"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from jaxsim.point.balance import matched_tokens_per_s_per_gpu
from jaxsim.space.axes import complete
from jaxsim.space.designs import evaluate_phase
from jaxsim.view.study.settings import Setting, settings
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case, best_by_targets

QUANTILES = 7  # equally likely lengths of each kind


@dataclass(frozen=True)
class LengthSpread:
    """Log-normal lengths about a median, input and output independent of one another.

    `sigma` is the standard deviation of their logarithms.
    """

    sigma: float

    def values(self, median: float) -> np.ndarray:
        """Equally likely whole lengths: the middles of equal slices of the distribution."""
        slices = (np.arange(QUANTILES) + 0.5) / QUANTILES
        return np.maximum(np.round(median * np.exp(self.sigma * norm.ppf(slices))), 2.0)


def spread_frontier(study: Study, case: Case, setting: Setting, spread: LengthSpread) -> np.ndarray:
    r"""Matched output tokens/s/GPU on the ladder when lengths are spread.

    Every design serves the whole mix. A prefill instance completes 1 / E[1/r(ISL)] prompts/s, and
    its FTL is the median one. The sequences of a decode batch are those in flight: a request of
    OSL tokens is there for OSL steps, so contexts are averaged with weight OSL - 1,

    $$ \mathrm{TTL} = \frac{E[(\mathrm{OSL}-1)\,\mathrm{TTL}(\mathrm{ISL},\mathrm{OSL})]}
       {E[\mathrm{OSL}-1]}, \qquad r = \frac{B}{\mathrm{TTL}\; E[\mathrm{OSL}-1]} $$

    which is exact where step time is linear in the sum of contexts. Memory must hold the batch at
    its mean context.
    """
    make = lambda: _spread_frontier(study, case, setting, spread)  # noqa: E731
    return study.kept(("lengths", case, setting.mixture, setting.ftl_s, spread), make)


def _spread_frontier(
    study: Study, case: Case, setting: Setting, spread: LengthSpread
) -> np.ndarray:
    mixture, ladder = setting.mixture, settings().interactivity
    scenario = study.sweeper.scenario(case, mixture)
    space = complete(study.sweeper.space(case), scenario.model, scenario.hardware, case.isl)
    isl, osl = (tuple(spread.values(median)) for median in (case.isl, case.osl))

    prompt = evaluate_phase("prefill", scenario, space, isl, osl)
    ftl_s, rates = prompt.full("ftl_s"), prompt.full("requests_per_s").astype(float)
    rate = 1.0 / np.mean(1.0 / rates, axis=0) / prompt.full("gpus")[0]
    fits = prompt.full("valid").all(axis=0) & (np.median(ftl_s, axis=0) <= setting.ftl_s)
    if not fits.any():
        return np.zeros(len(ladder))
    prefill_per_gpu = float(rate[fits].max())

    token = evaluate_phase("decode", scenario, space, isl, osl)
    study.count.designs += prompt.size + token.size
    owed = np.asarray(osl) - 1.0
    weight = (owed / owed.mean()).reshape(1, -1, 1, 1, 1, 1)
    ttl_s = np.mean(token.full("ttl_s").astype(float) * weight, axis=(0, 1))
    used = np.mean(token.full("total_bytes").astype(float) * weight, axis=(0, 1))
    fits = used <= token.full("capacity_bytes")[0, 0]
    for rule in ("heads_divide", "ffn_divides", "experts_divide", "widths_divide",
                 "within_domain", "stages_have_layers"):  # fmt: skip
        fits = fits & token.full(rule)[0, 0]
    batch = token.axes["batch"].astype(float)
    decode_per_gpu = batch / ttl_s / owed.mean() / token.full("gpus")[0, 0]
    decode_rate, lengths = decode_per_gpu[fits], owed.mean() + 1.0
    y = np.asarray(matched_tokens_per_s_per_gpu(prefill_per_gpu, decode_rate, lengths))
    best = best_by_targets(y, ttl_s[fits], np.zeros(fits.sum()), 1.0 / ladder[::-1], np.ones(1))
    return best[0, ::-1]
