"""What the readers of the package make of a file: numbers that must be finite."""

import json
from collections.abc import Callable
from pathlib import Path

Reader = Callable[[Path], object]


def read_model(path: Path) -> object:
    from jaxsim.catalog.load import load_model
    from jaxsim.catalog.parameters import parameters

    card = load_model(path)
    counts = parameters(card.model)
    return {"parameters": float(counts.total), "active": float(counts.active)}


def read_hardware(path: Path) -> object:
    from jaxsim.catalog.calibration import load_calibration
    from jaxsim.catalog.load import load_hardware

    card = load_hardware(path)
    load_calibration(card.calibration)
    return {"hbm_bytes": float(card.hardware.chip.hbm_bytes)}


def read_calibration(path: Path) -> object:
    from jaxsim.catalog.calibration import load_calibration

    load_calibration(str(path))
    return {}


def read_engine(path: Path) -> object:
    from jaxsim.catalog.known_engines import load_engine

    return {"log_sigma": load_engine(str(path)).log_sigma}


def read_prices(path: Path) -> object:
    from jaxsim.catalog.prices import read_prices

    return {name: datum.number for name, datum in read_prices(path).items()}


def read_sweep(path: Path) -> object:
    from jaxsim.view.files.store import blocks_of
    from jaxsim.view.files.sweep_config import read_sweep

    config = read_sweep(path)
    return {"isl": config.isl[0], "blocks": len(blocks_of(config)), "digest": config.digest}


def read_run(path: Path) -> object:
    from jaxsim.view.cli.config import parser_of, read_config, words_of
    from jaxsim.view.cli.main import build_parser

    raw = read_config(path)
    parsers = build_parser()
    parsers.parse_args(
        [str(raw["verb"]), *words_of(raw, parser_of(parsers, str(raw["verb"])), str(path))]
    )
    return {}


def read_mix(path: Path) -> object:
    from jaxsim.view.files.mix_file import read_mix

    return {"share": [one.share for one in read_mix(path)]}


def read_plan(path: Path) -> object:
    from jaxsim.view.deploy.plan_file import order_of

    order = order_of(path)
    return {"ftl_s": order.ftl_s, "gpus": order.gpus}


def read_rows(path: Path) -> object:
    from jaxsim.truth.read.clients.stated import Stated
    from jaxsim.truth.read.readers import read_rows

    rows = read_rows(path, Stated("llama-3.1-8b", "h100"))
    return {"tpot_s": [row.tpot_s for row in rows if not row.refused]}


def read_kernels(path: Path) -> object:
    from jaxsim.catalog.load import load_hardware
    from jaxsim.truth.kernels.csv import csv_rows

    return {"rows": len(list(csv_rows(path, load_hardware("h100"))))}


def read_trace(path: Path) -> object:
    from jaxsim.traffic.read.files import read_trace

    result = read_trace(path)
    return {"duration_s": result.duration_s, "isl": float(result.isl.max())}


def read_log(path: Path) -> object:
    from jaxsim.truth.arrivals.read import read_arrivals
    from jaxsim.truth.read.clients.stated import Stated

    (path.parent / "h100-x.requests.jsonl").write_text(
        "".join(
            json.dumps({"input_toks": 9, "output_toks": 9, "arrival_time": float(i),
                        "queued_ts": float(i), "first_token_ts": i + 0.5, "last_token_ts": i + 1.0})
            + "\n" for i in range(3)
        )
    )  # fmt: skip
    return {"runs": len(read_arrivals(path.parent / "h100-x.requests.jsonl", Stated()))}
