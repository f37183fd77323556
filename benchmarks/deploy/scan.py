"""Which options has an engine's command line?  Read from the sources in its wheel, never run.

    python -m benchmarks.deploy.scan vllm-0.33.0-….whl vllm 0.33.0 > vllm-0.33.0.json

An option is a string that begins with two dashes and is handed to `add_argument`, or a field of a
record that becomes options: `FrontendArgs` of vLLM, the annotated structs of SGLang.
"""

import ast
import json
import sys
import zipfile
from collections.abc import Iterator

# Where each engine's options are written, by the beginnings of names in the wheel.
SOURCES = {
    "vllm": ("vllm/engine/arg_utils.py", "vllm/entrypoints/common/cli_args.py",
             "vllm/entrypoints/launchers/cli_args.py"),
    "sglang": ("sglang/srt/server_args.py", "sglang/srt/arg_groups/fields/"),
    "sglang_router": ("sglang_router/router_args.py", "sglang_router/launch_router.py"),
    "vllm_bench": ("vllm/benchmarks/serve.py", "vllm/benchmarks/datasets"),
}  # fmt: skip
RECORDS = {"BaseFrontendArgs", "FrontendArgs"}


def added(tree: ast.AST) -> Iterator[str]:
    """Options handed to `add_argument` as strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value.replace("{prefix}", "")
                elif isinstance(argument, ast.JoinedStr):
                    parts = [p.value for p in argument.values if isinstance(p, ast.Constant)]
                    yield "--" + "".join(map(str, parts)).removeprefix("--")


def fields(tree: ast.AST, annotated: bool) -> Iterator[str]:
    """Options that are fields of a record; where `annotated`, those with an `A[…]` only."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or not (annotated or node.name in RECORDS):
            continue
        for item in node.body:
            if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
                continue
            names = [item.target.id]
            if annotated:
                kind = item.annotation
                if not (isinstance(kind, ast.Subscript) and getattr(kind.value, "id", "") == "A"):
                    continue
                hidden, names = of_annotation(kind, names)
                if hidden:
                    continue
            yield from ("--" + name.replace("_", "-").removeprefix("--") for name in names)


def of_annotation(kind: ast.Subscript, names: list[str]) -> tuple[bool, list[str]]:
    """Whether an annotated field is no option, and the names that it has."""
    for node in ast.walk(kind):
        if isinstance(node, ast.keyword):
            if node.arg == "no_cli":
                return True, names
            if node.arg == "cli_name" and isinstance(node.value, ast.Constant):
                names = [str(node.value.value), *names[1:]]
            if node.arg == "aliases" and isinstance(node.value, ast.List):
                names += [str(x.value) for x in node.value.elts if isinstance(x, ast.Constant)]
    return False, names


def options(wheel: str, engine: str) -> list[str]:
    """All options of an engine, sorted."""
    result: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py") and name.startswith(SOURCES[engine]):
                tree = ast.parse(archive.read(name))
                result |= set(added(tree)) | set(fields(tree, engine == "sglang"))
    return sorted(name for name in result if name.startswith("--") and len(name) > 3)


def main() -> None:
    """Print the list of a wheel as JSON."""
    wheel, engine, version = sys.argv[1:4]
    result = options(wheel, engine)
    listed = {"engine": engine, "version": version, "options": result}
    print(json.dumps(listed, indent=0))


if __name__ == "__main__":
    main()
