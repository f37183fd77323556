"""`jaxsim traffic`: what users see over a trace, with static, matched and elastic pools."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim._progress import tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.api.simulate import Pools, Simulated
    from jaxsim.traffic.read.requests import Requests
    from jaxsim.traffic.simulate.faults import Fault

DESCRIPTION = """\
Serve the requests of a trace, or of a synthetic load, one by one: queues, batches, caches and their
transfer, and pools that stay, are divided anew, or grow and shrink. Policies are compared."""

EPILOG = """\
traces: Mooncake JSON lines, CSV of Azure or BurstGPT, a ServeGen folder or .tar.xz, request logs of
vLLM and inference-perf. Lengths: N, uniform:LOW:HIGH, lognormal:MEAN:SIGMA, exponential:MEAN.

examples:
  jaxsim traffic trace.jsonl deepseek-r1 --hardware gb200-nvl72 --ftl 5s --ttl 50ms
  jaxsim traffic deepseek-r1 --poisson 40 --isl lognormal:16384:0.8 --osl lognormal:2048:0.6 \\
      --hardware gb200-nvl72 --ftl 5s --ttl 50ms -o out
  jaxsim traffic day.tar.xz deepseek-r1 --hardware gb200-nvl72 --ftl 5s --ttl 50ms \\
      --prefill tp=1,ep=8,instances=2 --decode tp=1,ep=16,instances=4 --policy static,elastic
"""
LONGEST = "time scaled, never rows repeated"


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "traffic",
        help="what users see over time; static, matched and elastic pools",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="[TRACE] MODEL", nargs="+", help="a trace, then the model")
    parser.add_argument("--hardware", required=True, metavar="HW", help="a name, or a TOML file")
    parser.add_argument("--precision", metavar="NAME", help="number formats")
    parser.add_argument("--kv", metavar="FORMAT", help=options.CACHE_HELP)
    parser.add_argument("--engine", metavar="NAME", help="limit, ideal, trtllm, vllm or sglang")
    targets = parser.add_argument_group("targets")
    for flag, other, what in (("ftl", "ttft", "time to the first token"),
                              ("ttl", "tpot", "mean time per output token")):  # fmt: skip
        targets.add_argument(
            f"--{flag}", f"--{other}", dest=flag, required=True, metavar="T", help=f"largest {what}"
        )
    parser.add_argument(
        "--images",
        default="0",
        metavar="N",
        help="images of a prompt, whose tokens are among its own; the encoder runs in prefill",
    )
    load = parser.add_argument_group("synthetic load, instead of a trace")
    load.add_argument("--poisson", metavar="R", help="requests/s")
    load.add_argument("--cv", metavar="X", default="1", help="variation of gaps (1: Poisson)")
    load.add_argument("--peak", metavar="X", default="1", help="peak over mean, by day and night")
    load.add_argument("--period", metavar="T", default="24h", help="of day and night")
    load.add_argument("--users", metavar="N", help="a closed loop of so many users")
    load.add_argument("--requests", metavar="N", default="1000", help="of a closed loop, in all")
    load.add_argument("--duration", metavar="T", default="10min", help="of an open loop")
    load.add_argument("--isl", metavar="LAW", help="input tokens")
    load.add_argument("--osl", metavar="LAW", help="output tokens")
    load.add_argument("--seed", metavar="N", default="0", help="of what is drawn")
    trace = parser.add_argument_group("trace")
    trace.add_argument("--rate", metavar="R", help=f"mean requests/s, {LONGEST}")
    trace.add_argument("--first", metavar="N", help="the first N requests")
    trace.add_argument("--time-unit", metavar="UNIT", help="of time stamps: s, ms, us or ns")
    trace.add_argument("--allow-truncated", action="store_true", help="a file that is cut off")
    trace.add_argument("--sort", action="store_true", help="rows that are out of order")
    pools = parser.add_argument_group(
        "pools", "default: those of `jaxsim plan` at the mean lengths"
    )
    for name in ("prefill", "decode", "colocated"):
        pools.add_argument(f"--{name}", metavar="tp=N,…", help="tp, ep, pp and instances")
    pools.add_argument("--max-seqs", metavar="N", help="sequences of an instance at once")
    pools.add_argument("--max-batched-tokens", metavar="N", help="prompt tokens of a pass")
    pools.add_argument("--policy", default="static,matched,elastic", metavar="NAME,…",
                       help="static, matched, elastic, dynamo-throughput, dynamo-load, hpa, llm-d, "
                       "token-velocity")  # fmt: skip
    pools.add_argument("--interval", metavar="T", help="between decisions")
    pools.add_argument("--forecast", default="last", metavar="NAME",
                       help="last, average, exponential, holt or oracle")  # fmt: skip
    pools.add_argument("--startup", default="2min", metavar="T", help="of an instance")
    pools.add_argument("--convert", default="30s", metavar="T", help="from one role to the other")
    pools.add_argument("--route", default="least_loaded", metavar="NAME",
                       help="round_robin, least_loaded or kv_aware")  # fmt: skip
    pools.add_argument("--prefix-cache", action="store_true", help="by the trace's block hashes")
    pools.add_argument("--patience", metavar="T", help="after which clients give up")
    pools.add_argument("--retries", metavar="N", default="0", help="of a client that gave up")
    faults = parser.add_argument_group("faults")
    faults.add_argument(
        "--fail", action="append", default=[], metavar="ROLE@T,…",
        help="instances that die, such as decode@5min,count=2,repair=10min; repeatable",
    )  # fmt: skip
    faults.add_argument(
        "--resume", default="restart", metavar="NAME",
        help="requests that are lost: restart, recompute, or kv (a copy of the cache)",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="DIR", help="traffic.json, .nc and .png")
    output.add_argument("--trace-events", metavar="FILE", help="Chrome trace of the first policy")
    options.add_format(output)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Request:
    """Options that are checked before any work."""

    trace: str | None
    model: str
    ftl_s: float
    ttl_s: float


def _request_of(args: argparse.Namespace) -> _Request:
    if len(args.what) > 2:
        raise InputError(f"{' '.join(args.what)}: give a trace and a model, or a model alone.")
    *trace, model = args.what
    drawn = [flag for flag in ("poisson", "users") if getattr(args, flag) is not None]
    if bool(trace) == bool(drawn) or len(drawn) > 1:
        raise InputError("give one load: a trace before the model, --poisson R, or --users N.")
    if drawn and (args.isl is None or args.osl is None):
        raise InputError(f"--{drawn[0]} needs the lengths of requests: --isl LAW and --osl LAW.")
    return _Request(
        trace[0] if trace else None,
        model,
        parse.parse_duration(args.ftl, "--ftl", options.BARE_FTL_BELOW_S),
        parse.parse_duration(args.ttl, "--ttl", options.BARE_TTL_BELOW_S),
    )


def _requests(args: argparse.Namespace, request: _Request) -> "Requests":
    from jaxsim.traffic.read.files import read_trace
    from jaxsim.traffic.synthetic.load import load_of

    seed = parse.parse_whole(args.seed, "--seed", at_least=0)
    if request.trace is not None:
        requests = read_trace(
            request.trace, seed=seed, allow_truncated=args.allow_truncated, sort=args.sort,
            time_unit=args.time_unit,
        )  # fmt: skip
    else:
        closed = args.users is not None
        requests = load_of(
            isl=args.isl,
            osl=args.osl,
            requests_per_s=0.0 if closed else parse.parse_positive(args.poisson, "--poisson"),
            duration_s=parse.parse_duration(args.duration, "--duration"),
            cv=float(parse.parse_positive(args.cv, "--cv")),
            peak_over_mean=parse.parse_positive(args.peak, "--peak"),
            period_s=parse.parse_duration(args.period, "--period"),
            users=parse.parse_whole(args.users, "--users") if closed else 0,
            count=parse.parse_whole(args.requests, "--requests") if closed else 0,
        ).drawn(seed)
    if args.first is not None:
        requests = requests.first(parse.parse_whole(args.first, "--first"))
    if args.rate is not None:
        requests = requests.at_rate(parse.parse_positive(args.rate, "--rate"))
    return requests


def _pools(args: argparse.Namespace) -> "Pools | None":
    from jaxsim.api.simulate import Pools

    pools: dict[str, dict[str, float]] = {}
    for role in ("prefill", "decode", "colocated"):
        text = getattr(args, role)
        if text is None:
            continue
        pools[role] = {}
        for pair in text.split(","):
            name, _, number = pair.partition("=")
            if name not in ("tp", "ep", "pp", "instances"):
                raise InputError(f"--{role} {text!r}: write tp=1,ep=8,pp=1,instances=2.")
            pools[role][name] = float(parse.parse_whole(number, f"--{role} {name}"))
    return Pools(**pools) if pools else None


def _faults(args: argparse.Namespace) -> "tuple[Fault, ...]":
    from jaxsim.traffic.simulate.faults import Fault

    roles = {"colocated": 0, "prefill": 1, "decode": 2}
    faults = []
    for text in args.fail:
        head, *pairs = text.split(",")
        role, at, time = head.partition("@")
        named = dict(pair.partition("=")[::2] for pair in pairs)
        if role not in roles or not at or set(named) - {"count", "repair", "notice"}:
            raise InputError(f"--fail {text!r}: write decode@5min,count=2,repair=10min,notice=5s.")
        faults.append(
            Fault(
                parse.parse_duration(time, "--fail"),
                roles[role],
                parse.parse_whole(named.get("count", "1"), "--fail count"),
                parse.parse_duration(named.get("repair", "10min"), "--fail repair"),
                parse.parse_duration(named.get("notice", "5s"), "--fail notice"),
            )
        )
    return tuple(faults)


def run(args: argparse.Namespace) -> int:
    """Simulate, show, write."""
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_file, output_folder

    request = _request_of(args)
    folder = output_folder(Path(args.output)) if args.output else None
    events = output_file(Path(args.trace_events), (".json",)) if args.trace_events else None
    start_jax()
    with working("reading"):
        requests = _requests(args, request)
        tell("starting")
        from jaxsim.api.simulate import simulate
        from jaxsim.traffic.service import CHUNK_TOKENS
        from jaxsim.traffic.simulate.run import Service

        patience = (
            float("inf") if args.patience is None
            else parse.parse_duration(args.patience, "--patience")
        )  # fmt: skip
        result = simulate(
            request.model,
            args.hardware,
            requests,
            ftl_s=request.ftl_s,
            ttl_s=request.ttl_s,
            pools=_pools(args),
            policies=args.policy.split(","),
            interval_s=args.interval and parse.parse_duration(args.interval, "--interval"),
            forecast=args.forecast,
            service=Service(
                route=args.route,
                cached=args.prefix_cache,
                patience_s=patience,
                retries=parse.parse_whole(args.retries, "--retries", at_least=0),
                faults=_faults(args),
                resume=args.resume,
            ),
            chunk=float(
                CHUNK_TOKENS
                if args.max_batched_tokens is None
                else parse.parse_whole(args.max_batched_tokens, "--max-batched-tokens")
            ),
            most_sequences=(
                None if args.max_seqs is None else parse.parse_whole(args.max_seqs, "--max-seqs")
            ),
            startup_s=parse.parse_duration(args.startup, "--startup"),
            convert_s=parse.parse_duration(args.convert, "--convert"),
            images=float(parse.parse_whole(args.images, "--images", at_least=0)),
            precision=args.precision,
            engine=args.engine,
        )
    from jaxsim.view.cli.output import deliver
    from jaxsim.view.text.traffic import render_traffic, traffic_dict

    told = traffic_dict(result, requests)
    deliver(
        args,
        lambda: told,
        lambda page: render_traffic(result, requests, page),
        lambda: _write(result, told, folder, events),
    )
    return 0


def _write(
    result: "Simulated", told: dict[str, object], folder: Path | None, events: Path | None
) -> list[Path]:
    """Write what was asked for, the numbers first; the paths."""
    from jaxsim.view.figures.style import image
    from jaxsim.view.figures.timeline import draw_timeline
    from jaxsim.view.files.atomic import replace_bytes, replace_netcdf, replace_text
    from jaxsim.view.files.trace_events import write_trace_events
    from jaxsim.view.text.plain_json import dumps

    written: list[Path] = []
    if folder is not None:
        written = [folder / f"traffic.{suffix}" for suffix in ("json", "nc", "png")]
        replace_text(written[0], dumps(told))
        replace_netcdf(written[1], result.table)
        replace_bytes(written[2], image(draw_timeline(result), "png"))
    if events is not None:
        write_trace_events(events, next(iter(result.runs.values())))
        written.append(events)
    return written
