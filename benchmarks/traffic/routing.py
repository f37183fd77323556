"""What does a router that knows prefix caches gain where requests come in groups?

A ladder of Poisson rates, one stage after another, served by eight co-located instances of
Qwen3-32B (TP2, H100, vLLM): requests of one of 150 groups begin with the same 6,000 of their 7,200
tokens. The sizes are those of a public benchmark of routers (llm-d's inference scheduler), whose
measured stages are the rows LDQ of the table of measured traffic; it does not state the groups.
"""

import argparse
from dataclasses import replace

import numpy as np

import jaxsim
from jaxsim.traffic.read.requests import Blocks, Requests
from jaxsim.traffic.simulate.run import Service

RATES, STAGE_S = (3.0, 10.0, 15.0, 20.0), 50.0
GROUPS, SHARED, OWN, TOKENS, OSL = 150, 6000, 1200, 400, 1000
# Name, weight of a prompt token to compute against one of context that is decoded.
ROUTES = (("round_robin", 1.0), ("kv_aware", 1.0), ("kv_aware", 10.0))


def ladder() -> Requests:
    """The requests of all stages, with the blocks of their prompts."""
    drawn = [
        jaxsim.load_of(
            requests_per_s=rate, duration_s=STAGE_S, isl=str(SHARED + OWN), osl=str(OSL)
        ).drawn(stage)
        for stage, rate in enumerate(RATES)
    ]
    arrival_s = np.sort(np.concatenate([q.arrival_s + k * STAGE_S for k, q in enumerate(drawn)]))
    count, shared, own = len(arrival_s), SHARED // TOKENS, OWN // TOKENS
    group = np.random.default_rng(0).integers(0, GROUPS, count)
    ids = np.concatenate(
        [
            group[:, None] * shared + np.arange(shared),
            GROUPS * shared + np.arange(count * own).reshape(count, own),
        ],
        axis=1,
    )
    starts = (shared + own) * np.arange(count + 1)
    return replace(
        drawn[0],
        arrival_s=arrival_s,
        isl=np.full(count, SHARED + OWN, np.int32),
        osl=np.full(count, OSL, np.int32),
        blocks=Blocks(ids.astype(np.int32).ravel(), starts, TOKENS),
    )


def main() -> None:
    """Print, by router and stage, output tokens/s and the median time to the first token."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    requests = ladder()
    stage = (requests.arrival_s // STAGE_S).astype(int)
    for route, weight in ROUTES:
        result = jaxsim.simulate(
            "qwen3-32b", "h100", requests, ftl_s=2.0, ttl_s=0.1, engine="vllm", precision="bf16",
            pools=jaxsim.Pools(colocated={"tp": 2, "instances": 8}), policies=["static"],
            service=Service(route=route, cached=True, overlap_weight=weight),
        )  # fmt: skip
        attempts = result.runs["static"].state.attempts
        own = slice(len(requests))
        first_s, hit = np.asarray(attempts.first_s)[own], np.asarray(attempts.hit)[own]
        ends = (np.asarray(attempts.finished_s)[own] // STAGE_S).astype(int)
        print(f"{route}, weight {weight:g}:")
        for k, rate in enumerate(RATES):
            here = stage == k
            ttft_s = float(np.median((first_s - requests.arrival_s)[here]))
            print(
                f"  {rate:g} requests/s: {OSL * int((ends == k).sum()) / STAGE_S:,.0f} tokens/s, "
                f"TTFT p50 {ttft_s:,.2f} s, found {100 * hit[here].mean() / (SHARED + OWN):.0f} %"
            )


if __name__ == "__main__":
    main()
