"""`jaxsim deploy`: the files that deploy a plan."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.view.deploy.autoscale.profile import Profile
    from jaxsim.view.deploy.order import Order
    from jaxsim.view.deploy.settings import Settings

DESCRIPTION = """\
Write the files that deploy a plan: its shapes, batches, chunks, counts, formats and cache transfer
in the words of a platform and of the exact version of an engine. A shape that the engine cannot
express is refused, with the nearest that it can."""

EPILOG = """\
examples:
  jaxsim plan deepseek-r1 --hardware h200 --isl 8192 --osl 1024 --ftl 5s --ttl 50ms -o plan
  jaxsim deploy plan/plan.json --target dynamo --engine vllm -o deployed
  jaxsim deploy plan/plan.json --target sglang --connector mooncake -o deployed-sglang
"""

# Targets whose front end takes servers in turn, whatever they have in their caches.
BLIND = ("vllm", "mooncake", "slurm", "neuron", "distserve")


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "deploy",
        help="the files that deploy a plan",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("plan", metavar="PLAN", help="plan.json, as `jaxsim plan -o DIR` writes it")
    parser.add_argument("--target", required=True, metavar="T", help="dynamo, trtllm, vllm, …")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--kind", metavar="K", help="disaggregated or colocated; default: the better"
    )
    engine = parser.add_argument_group("engine")
    engine.add_argument("--engine", metavar="NAME", help="vllm, sglang or trtllm")
    engine.add_argument("--engine-version", metavar="V", help="its exact version")
    engine.add_argument("--connector", metavar="NAME", help="nixl, mooncake, …: moves the cache")
    names = parser.add_argument_group("names")
    names.add_argument("--checkpoint", metavar="NAME", help="what servers load: hub name or folder")
    names.add_argument(
        "--drafter", default="", metavar="NAME", help="a model apart that drafts tokens (EAGLE-3)"
    )
    names.add_argument("--served-name", metavar="NAME", help="what requests call the model")
    names.add_argument("--name", metavar="NAME", help="of the deployment, for Kubernetes")
    names.add_argument("--namespace", default="default", metavar="NAME")
    names.add_argument("--image", default="", metavar="IMAGE", help="instead of the platform's own")
    names.add_argument("--hosts", metavar="A,B,…", help="hosts for servers, prefill's first")
    names.add_argument("--stack", choices=("dynamo", "llm-d"), default="dynamo", help="on GKE")
    names.add_argument(
        "--nodes", action="append", default=[], metavar="HW=N", help="nodes of a kind there are"
    )
    names.add_argument(
        "--partition", action="append", default=[], metavar="HW=NAME", help="of Slurm, for a kind"
    )
    names.add_argument("--port", default="8000", metavar="N", help="of the front end")
    scaling = parser.add_argument_group("scaling")
    scaling.add_argument(
        "--autoscale",
        action="store_true",
        help="also Dynamo's planner with its profile, or KEDA and HorizontalPodAutoscaler",
    )
    scaling.add_argument(
        "--max-factor", default="2", metavar="X", help="most replicas over the plan's (default: 2)"
    )
    scaling.add_argument(
        "--profile", metavar="DIR", help="of Dynamo's profiler: measured, for its planner"
    )
    described = parser.add_argument_group("what the catalogue lacks")
    described.add_argument("--model", metavar="FILE", help="config.json of the plan's model")
    described.add_argument(
        "--hardware", action="append", default=[], metavar="NAME=FILE", help="TOML of hardware"
    )
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the plan, check it against the target, write all files or none."""
    from jaxsim.view.cli.progress import working

    with working("reading"):
        from jaxsim.view.deploy.plan_file import order_of
        from jaxsim.view.deploy.platforms import check_hardware
        from jaxsim.view.deploy.registry import target_of
        from jaxsim.view.deploy.shapes import check_drafts, check_shapes
        from jaxsim.view.deploy.write import check_folder, write_files

    target = target_of(args.target)
    if args.profile and not args.autoscale:
        raise InputError("--profile says how to scale: add --autoscale.")
    order = order_of(Path(args.plan), args.kind, args.model, _files_of(args.hardware))
    settings = settings_of(args, order)
    folder = Path(args.output)
    check_folder(folder, order.digest, settings.target)
    check_hardware(order.pools, settings)
    check_shapes(target.rules(settings.engine), settings.connector, order)
    check_drafts(order, settings)
    measured = _profile_of(args)
    files = all_files(args, order, settings, measured)
    notes = notes_of(order, settings)
    if args.autoscale:
        from jaxsim.view.deploy.autoscale.files import profile_notes, scaling_notes

        notes += scaling_notes(order, settings)
        notes += [] if measured is None else profile_notes(order, measured)
    written = write_files(folder, order, settings, files, notes)
    _show(args, order, settings, written, notes)
    return 0


def _files_of(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, path in pairs:
        if not (name and equals and path):
            raise InputError(f"--hardware {name!r}: give NAME=FILE.toml, the name as in the plan.")
    return {name: path for name, _, path in pairs}


def _profile_of(args: argparse.Namespace) -> "Profile | None":
    """The measured profile that was given."""
    if not args.profile:
        return None
    from jaxsim.view.deploy.autoscale.profile import read_profile

    return read_profile(Path(args.profile))


def all_files(
    args: argparse.Namespace, order: "Order", settings: "Settings", measured: "Profile | None"
) -> dict[str, str | bytes]:
    """Files of the target, of its scaling, of what measures it, and AIConfigurator's request."""
    from jaxsim.view.deploy.aiconfigurator import SYSTEMS, request_text
    from jaxsim.view.deploy.measure import measure_files
    from jaxsim.view.deploy.registry import target_of

    own = target_of(settings.target).files(order, settings)
    files: dict[str, str | bytes] = {**own, **measure_files(order, settings)}
    if args.autoscale:
        from jaxsim.view.deploy.autoscale.files import scaling_files

        factor = parse.parse_positive(args.max_factor, "--max-factor")
        files |= scaling_files(order, settings, own, factor, measured)
    if all(pool.hardware in SYSTEMS for pool in order.pools):
        text = request_text(order, settings.engine, settings.checkpoint)
        files["measure/aic-request.json"] = text
    return files


def _port_of(text: str) -> int:
    port = parse.parse_whole(text, "--port")
    if port > 65535:
        raise InputError(f"--port {port}: ports are 1 to 65535.")
    return port


def _by_hardware(given: list[str], flag: str, order: "Order") -> dict[str, str]:
    """What a flag says of each kind of hardware in the plan, as `HW=VALUE`."""
    kinds = sorted({pool.hardware for pool in order.pools})
    said: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in kinds:
            raise InputError(f"{flag} {text!r}: give HW=VALUE; the plan has {', '.join(kinds)}.")
        said[name] = value
    return said


def settings_of(args: argparse.Namespace, order: "Order") -> "Settings":
    """What was said beside the plan, checked."""
    from jaxsim.catalog.checkpoints import checkpoint_of
    from jaxsim.view.deploy.registry import connector_of, engine_of, flags_for, target_of
    from jaxsim.view.deploy.settings import Settings
    from jaxsim.view.deploy.shell import checked_name, checked_partition, object_name, one_line

    target = target_of(args.target)
    engine = engine_of(target, order.engine, args.engine)
    if args.stack == "llm-d" and engine != "vllm":
        raise InputError("--stack llm-d runs vLLM; add --engine vllm.")
    image = args.image and one_line(args.image, "--image")
    if args.checkpoint is None:
        checkpoint, quantize = checkpoint_of(order.model, order.precision, engine)
    else:
        checkpoint, quantize = one_line(args.checkpoint, "--checkpoint"), ""
    hosts = tuple(args.hosts.split(",")) if args.hosts else ()
    if twice := next((host for host in hosts if hosts.count(host) > 1), None):
        raise InputError(f"--hosts: {twice} is named twice; each host is named once.")
    nodes = _by_hardware(args.nodes, "--nodes", order)
    partitions = _by_hardware(args.partition, "--partition", order)
    return Settings(
        target=target.name,
        flags=flags_for(target, engine, args.engine_version, image, args.stack),
        connector=connector_of(target, engine, args.connector),
        checkpoint=checkpoint,
        quantize=quantize,
        served=one_line(args.served_name or checkpoint, "--served-name"),
        name=(
            checked_name(args.name, "--name")
            if args.name
            else object_name(f"jaxsim-{order.model.name}")
        ),
        namespace=checked_name(args.namespace, "--namespace"),
        image=image,
        port=_port_of(args.port),
        nodes={name: parse.parse_whole(n, f"--nodes {name}") for name, n in nodes.items()},
        partitions={name: checked_partition(own) for name, own in partitions.items()},
        stack=args.stack,
        drafter=args.drafter and one_line(args.drafter, "--drafter"),
        hosts=tuple(one_line(host, "--hosts") for host in hosts),
    )


def notes_of(order: "Order", settings: "Settings") -> list[str]:
    """What differs between the plan and what is deployed, in sentences."""
    from jaxsim.catalog.checkpoints import cache_of
    from jaxsim.catalog.known_engines import NO_SOFTWARE
    from jaxsim.view.deploy.registry import software_of

    told, software = [], software_of(settings)[0]
    if order.engine not in (software, *NO_SOFTWARE):
        other = f"`jaxsim plan … --engine {software}` plans for it."
        if software != settings.engine:
            other = "Its kernels are its own, and were not measured; it runs OPT, GPT-2 and Llama."
        told.append(
            f"The plan's times are those of {order.engine}; {software} is deployed. {other}"
        )
    unknown = not cache_of(order.model, settings.checkpoint)
    if software == "trtllm" and order.kv == "bf16" and unknown:
        told.append(
            f"TensorRT-LLM keeps the cache as {settings.checkpoint} asks; the plan has bf16."
        )
    if len({pool.hardware for pool in order.pools}) > 1:
        kinds = ", ".join(f"{pool.role} on {pool.hardware}" for pool in order.pools)
        told.append(f"Pools have unlike hardware: {kinds}.")
    if order.images:
        told.append(
            f"The plan's prompts have {order.images} images, whose tokens are among its "
            f"{order.isl:,}; the measuring commands send text of as many tokens, without images."
        )
    instances = max(pool.count for pool in order.pools if pool.role != "decode")
    if order.hit_frac and instances > 1 and settings.target in BLIND:
        told.append(
            f"The plan finds {100.0 * order.hit_frac:g} % of each prompt in a cache; the front of "
            f"{settings.target} does not send requests to the one of {instances} instances that "
            "has it, so that less is found."
        )
    return told


def _show(
    args: argparse.Namespace,
    order: "Order",
    settings: "Settings",
    written: list[Path],
    notes: list[str],
):
    from jaxsim.catalog.precision import spoken_formats
    from jaxsim.view.deploy.registry import software_of
    from jaxsim.view.text.layout import page_for, wrap
    from jaxsim.view.text.plain_json import dumps

    if args.format == "json":
        import json

        print(dumps(json.loads(written[-1].read_text(encoding="utf-8"))))
        return
    page = page_for(sys.stdout)
    pools = "; ".join(f"{pool.count} × {pool.named()}" for pool in order.pools)
    told = [
        f"{order.model.name} ({settings.checkpoint}) with {' '.join(software_of(settings))} "
        f"on {settings.target}: {pools}; {order.gpus} GPUs.",
        f"Formats: {spoken_formats(order.formats)}.",
        *notes,
        f"Wrote {', '.join(path.name for path in written)} in {args.output}",
    ]
    print("\n".join(page.finish(wrap(text, page)) for text in told))
