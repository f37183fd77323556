"""What do tokens of a deployment cost, in dollars, joules and racks?"""

from jaxsim.space.deploy.result import Deployed

SECONDS_PER_HOUR = 3600.0
MILLION = 1e6


def costs_of(deployed: Deployed, isl: float) -> dict[str, object]:
    """Costs of all tokens, and of input and output tokens each bearing all of it.

    With the price p of an hour, G GPUs and n tokens/s, a token costs Σ p·G / (3600 · n). Output
    tokens are those that are decoded: the first of a request comes from prefill. `by_pool` has
    what the prefill pool's dollars are per input token and
    the decode pool's per output token, which add up to the whole. A rack is a scale-up domain.
    """
    requests = deployed.requests_per_s
    usd = sum(s.price_usd_per_hour * s.gpus_per_instance * s.count for s in deployed.instances)
    watts = sum(s.power_w * s.gpus_per_instance * s.count for s in deployed.instances)
    per_s = {
        "input": requests * isl,
        "output": deployed.output_tokens_per_s_per_gpu * deployed.gpus,
    }
    per_s["total"] = sum(per_s.values())
    per_hour = {name: n * SECONDS_PER_HOUR for name, n in per_s.items()}
    described: dict[str, object] = {
        "usd_per_hour": usd,
        "usd_per_million_tokens": {n: MILLION * usd / made for n, made in per_hour.items()},
        "tokens_per_usd": {n: made / usd for n, made in per_hour.items()},
        "tokens_per_joule": {n: made / watts for n, made in per_s.items()},
        "prices": [
            {
                "hardware": s.hardware,
                "usd_per_gpu_hour": s.price_usd_per_hour,
                "source": s.price_source,
            }
            for s in {s.hardware: s for s in deployed.instances}.values()
        ],
    }
    domains = {s.domain_gpus for s in deployed.instances}
    if len(domains) == 1:
        rack = domains.pop()
        described["output_tokens_per_s_per_domain"] = deployed.output_tokens_per_s_per_gpu * rack
        described["domain_gpus"] = rack
    if len(deployed.instances) > 1:
        own = {
            s.phase: s.price_usd_per_hour * s.gpus_per_instance * s.count
            for s in deployed.instances
        }
        described["by_pool"] = {
            "usd_per_million_input_tokens": MILLION * own["prefill"] / per_hour["input"],
            "usd_per_million_output_tokens": MILLION * own["decode"] / per_hour["output"],
        }
    return described
