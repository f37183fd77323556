"""Command lines that are nearly right, and the files that they name."""

import json
import random
from functools import cache
from pathlib import Path

from benchmarks.fuzz import documents
from benchmarks.fuzz.values import text

_CASE = ["llama-3.1-8b", "--hardware", "h100"]
_SMALL = ["--tp", "1", "--pp", "1", "--batch", "4,8"]
_LENGTHS = ["--isl", "1024", "--osl", "128"]
_TARGETS = ["--ftl", "2s", "--ttl", "50ms"]
_PLAN = [*_CASE, *_LENGTHS, *_TARGETS, *_SMALL, "--chunk", "512", "--prefill-batch", "1"]

# By verb: a line that works, and how often it is taken. Those that take long are rare.
BASES: dict[str, tuple[float, list[str]]] = {
    "plan": (30.0, _PLAN),
    "estimate": (20.0, [*_CASE, *_LENGTHS, "--phase", "decode", "--tp", "1", "--batch", "8"]),
    "search": (20.0, [*_CASE, *_LENGTHS, "--phase", "decode", "--ttl", "50ms", *_SMALL]),
    "models": (8.0, ["llama-3.1-8b"]),
    "hardware": (8.0, ["h100"]),
    "sensitivity": (1.0, _PLAN),
    "traffic": (
        1.0,
        ["llama-3.1-8b", "--poisson", "5", "--duration", "10s", "--isl", "100", "--osl", "10",
         "--hardware", "h100", *_TARGETS, "--colocated", "tp=1", "--policy", "static"],
    ),
    "sweep": (2.0, ["sweep.yaml", "-o", "out.zarr"]),
    "frontier": (3.0, ["no.zarr", "--ftl", "2s"]),
    "deploy": (4.0, ["plan.json", "--target", "vllm", "-o", "out"]),
    "validate": (1.0, ["rows.csv"]),
    "calibrate": (2.0, ["kernels.csv", "--chip", "h100", "-o", "out.toml"]),
    "import": (3.0, ["model", "config.json", "-o", "out.toml"]),
    "run": (4.0, ["run.yaml"]),
    "reproduce": (1.0, ["C99"]),
    "schema": (2.0, ["plan"]),
    "completion": (2.0, ["bash"]),
    "cache": (1.0, []),
}  # fmt: skip


@cache
def files() -> dict[str, bytes]:
    """What every line finds in its folder; a sweep takes long, so its file is not there."""
    plan = documents.ROOT / documents.PLANS / "dense.json"
    found = {"plan.json": plan.read_bytes()}
    for kind in ("config", "mix", "result"):
        name, made, _ = documents.JSONS[kind]
        found[name] = json.dumps(made).encode()
    for kind in ("rows", "kernels", "mooncake"):
        name, written, _ = documents.TEXT_FILES[kind]
        found[name] = written.encode()
    return found | {"run.yaml": json.dumps(documents.RUN).encode()}  # JSON is YAML


def put_files(folder: Path) -> None:
    """Put those files into a folder, as they were."""
    for name, content in files().items():
        path = folder / name
        if not path.is_file() or path.is_symlink() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)


def line_of(chosen: random.Random, flags: dict[str, list[str]]) -> list[str]:
    """One command line; `flags` has the options of every verb."""
    verbs = [verb for verb in BASES if verb in flags]
    verb = chosen.choices(verbs, [BASES[verb][0] for verb in verbs])[0]
    words = list(BASES[verb][1])
    for _ in range(chosen.choice((1, 1, 1, 2, 2, 3, 5))):
        words = _changed(words, flags[verb], chosen)
    if verb in ("sensitivity", "traffic", "reproduce", "sweep"):
        words = [*words, chosen.choice(flags[verb]), text(chosen), text(chosen)]
    if chosen.random() < 0.3:
        words += ["--format", "json"]
    return [verb if chosen.random() < 0.99 else text(chosen), *words]


def _changed(words: list[str], flags: list[str], chosen: random.Random) -> list[str]:
    how = chosen.random()
    if how < 0.55 and words:
        values = [i for i, word in enumerate(words) if not word.startswith("--")]
        place = chosen.choice(values or [0])
        return [*words[:place], text(chosen), *words[place + 1 :]]
    if how < 0.85:
        flag, value = chosen.choice(flags), text(chosen)
        if flag in ("-o", "--output") and value.startswith("/"):
            value = "out"  # nothing outside the case's folder is written
        return [*words, f"{flag}={value}"] if chosen.random() < 0.5 else [*words, flag, value]
    if how < 0.93 and len(words) > 1:
        place = chosen.randrange(len(words))
        return words[:place] + words[place + 1 :]
    return [*words, text(chosen)]
