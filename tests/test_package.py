"""Does the package keep its own rules?"""

import ast
import functools
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import jax
import pytest

import jaxsim
from jaxsim.catalog.model import AbstractAttention, AbstractFFN, AbstractRecurrent
from jaxsim.point.explain import PIGGYBACKING
from jaxsim.point.forward import Parts
from jaxsim.point.phases.colocated import Colocated, Mode, colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.point.work import AbstractMessage, AbstractWork
from jaxsim.quantities import MODES, PARTS, QUANTITIES, TTL_OUTPUTS, quantity
from jaxsim.space.designs import name_of
from tests.scenarios import changed, scenario

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxsim"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# The rooms of the house, each importing only from itself and those before it.
ROOMS = (
    "catalog", "point",
    "space.program", "space.grid", "space.axes", "space.designs", "space.match", "space.refine",
    "space.deploy",
    "space.gradient", "space.sensitivity", "space.plan", "space.search", "space.every_integer",
    "traffic",
    "truth.read", "truth.limits", "truth.cases", "truth.scripts", "truth.runs", "truth.kernels",
    "truth.engines", "truth.validate", "truth.gain_of_pairs", "truth.joint",
    "truth.decisions", "truth.arrivals",
    "api",
    "view.text", "view.figures", "view.report", "view.files", "view.explore", "view.study",
    "view.deploy",
    "view.cli",
)  # fmt: skip
README = ROOT / "README.md"


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path):
    """Every module of the package that a file imports, wherever in the file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: a relative import"
            yield node.lineno, node.module or "", [name.name for name in node.names]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, name.name, [""]) for name in node.names)


# ---- structure ----


def room_of(module: str) -> str | None:
    """The innermost room that holds a module; None for the package's own files."""
    parts = module.removeprefix("jaxsim.").split(".")
    names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((name for name in names if name in ROOMS), None)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_room_imports_only_from_those_before_it(path):
    inside = path.relative_to(PACKAGE)
    if len(inside.parts) == 1 or path.name == "__init__.py":
        return  # the package's own files: public names, units
    own = room_of(".".join(inside.with_suffix("").parts))
    assert own, f"{relative(path)} is in no room; add it to ROOMS where it belongs"
    for line, module, names in imports_of(path):
        for full in (f"{module}.{name}" for name in names):
            other = room_of(full) if full.startswith("jaxsim.") else None
            if other is not None and ROOMS.index(other) > ROOMS.index(own):
                pytest.fail(f"{relative(path)}:{line} imports {full}, of a later room ({other})")


# The package's own files, which every room uses; and names of others that have no public form.
SHARED = {
    "jaxsim._record",
    "jaxsim._scalar",
    "jaxsim._version",
    "jaxsim._cores",
    "jaxsim._progress",
}
OTHERS = {
    "_repr_html_": "the method by which notebooks show a value",
    "_cache_size": "how often JAX has compiled a function",
    "_actions": "the options of a parser of argparse",
    "_asdict": "a named tuple as a dict",
    "_scaled_mm": "a kernel of PyTorch",
    "_grouped_mm": "a kernel of PyTorch",
    "_scaled_grouped_mm": "a kernel of PyTorch",
    "_exit": "the end of a process without clean-up",
}


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "examples"])
def test_what_is_private_is_used_by_its_own_file(folder):
    """Neither imported, nor reached as an attribute, nor replaced by name."""
    private = re.compile(r"_(?!_)")
    for path in sorted((ROOT / folder).rglob("*.py")):
        reached = {
            f"{module}.{name}"
            for _, module, names in imports_of(path)
            for name in names
            if module.startswith("jaxsim") and module not in SHARED
            if f"{module}.{name}" not in SHARED
            if any(map(private.match, f"{module}.{name}".split(".")))
        }
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and private.match(node.attr):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                reached |= set() if own or node.attr in OTHERS else {ast.unparse(node)}
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".setattr"):
                texts = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
                reached |= {t for t in texts if private.match(str(t).rpartition(".")[2])}
        assert not reached, f"{path.relative_to(ROOT)}: {', '.join(sorted(map(str, reached)))}"


def test_every_package_says_what_it_holds():
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE:
            assert (ast.get_docstring(parsed(path)) or "").strip(), relative(path)
            assert not [n for n in parsed(path).body[1:]], f"{relative(path)} holds code"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_opens_with_a_question_and_stays_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300, f"{len(lines)} lines; 300 at most"
    if lines and path.name not in ("__init__.py", "__main__.py", "_version.py"):
        assert ast.get_docstring(parsed(path)), "no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_is_public_is_documented(path):
    for node in parsed(path).body:
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{relative(path)}:{node.lineno}: {node.name}"


@pytest.mark.parametrize("room", ["api", "catalog", "point", "traffic"])
def test_what_takes_much_takes_a_record(room):
    """At most eight parameters where Python's users are, nine within; keywords have types."""
    most = 8 if room == "api" else 9
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            own = node.args
            names = [a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
            where = f"{relative(path)}:{node.lineno}: {node.name}"
            assert len([n for n in names if n not in ("self", "cls")]) <= most, where
            if own.kwarg is not None and own.kwarg.annotation is not None:
                assert ast.unparse(own.kwarg.annotation) != "Any", where
    for name in jaxsim.__all__:
        value = getattr(jaxsim, name)
        if inspect.isfunction(value):
            assert len(inspect.signature(value).parameters) <= 8, name


def test_every_public_name_exists_and_says_what_it_is():
    for name in jaxsim.__all__:
        value = getattr(jaxsim, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), name
    assert set(jaxsim.__all__) <= set(dir(jaxsim))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxsim.nothing


def test_the_version_is_written_once():
    """By the tag; without one, build and tree have the same."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\S+", jaxsim.__version__)
    fallback = settings["tool"]["setuptools_scm"]["fallback_version"]
    source = (PACKAGE / "_version.py").read_text(encoding="utf-8")
    assert f'__version__: str = "{fallback}"' in source


def test_the_citation_has_the_version():
    import yaml

    result = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {result['version']} (" in changes
    assert result["license"] == "Apache-2.0"


def test_importing_the_package_starts_neither_jax_nor_xarray():
    check = "import jaxsim, sys; print([m for m in ('jax', 'xarray', 'numpy') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_jax_is_never_configured_by_the_library():
    """But by the command line, which is a program of its own."""
    for path in SOURCES:
        if "view" not in path.parts:
            assert "jax.config.update" not in path.read_text(encoding="utf-8"), relative(path)


# ---- kinds ----


def concrete(base: type) -> list[type]:
    """Every kind of the package that can be written down."""
    below = [kind for kind in base.__subclasses__() if kind.__module__.startswith("jaxsim.")]
    own = [kind for kind in below if not kind.__name__.startswith("Abstract")]
    return own + [kind for child in below for kind in concrete(child)]


def generic_functions():
    """Every function of the physics that is dispatched on a type."""
    for package in ("jaxsim.point", "jaxsim.catalog"):
        folder = importlib.import_module(package)
        for result in pkgutil.walk_packages(folder.__path__, f"{package}."):
            module = importlib.import_module(result.name)
            for name, value in vars(module).items():
                if hasattr(value, "registry") and value.__module__ == module.__name__:
                    yield f"{result.name}.{name}", value


BASES = [AbstractAttention, AbstractRecurrent, AbstractFFN, AbstractWork, AbstractMessage]


@pytest.mark.parametrize("base", BASES)
def test_every_kind_has_a_function_wherever_kinds_differ(base):
    seen = 0
    for name, function in generic_functions():
        kinds = [kind for kind in function.registry if kind is not object]
        if not any(issubclass(kind, base) for kind in kinds):
            continue
        if base is AbstractAttention and all(issubclass(k, AbstractRecurrent) for k in kinds):
            continue
        seen += 1
        for kind in concrete(base):
            assert function.dispatch(kind) is not function.registry[object], (name, kind)
    assert seen


def test_nothing_concrete_is_subclassed():
    for base in (AbstractAttention, AbstractFFN, AbstractWork, AbstractMessage):
        for kind in concrete(base):
            assert not kind.__subclasses__(), kind


# ---- numbers ----


def reported() -> set[str]:
    names = set()
    for phase in (prefill, decode, colocated):
        shapes = jax.eval_shape(phase, scenario("mla_moe"))
        flat, _ = jax.tree_util.tree_flatten_with_path(shapes)
        result = [name_of(path) for path, _ in flat]
        assert len(result) == len(set(result)), f"{phase.__name__}: two outputs of one name"
        names |= set(result)
    return names


def test_every_reported_number_has_a_line():
    for name in reported():
        result = quantity(name)
        assert result.units, name
        assert result.description.endswith("."), name


def test_every_line_is_of_a_reported_number():
    # Two flags of one explained design, beside the rules of its phase (`estimate`).
    assert set(QUANTITIES) <= reported() | {"within_context", PIGGYBACKING}


def test_parts_and_modes_are_those_of_the_records():
    assert tuple(f"{part}_s" for part in PARTS) == tuple(f.name for f in fields(Parts))
    modes = tuple(f.name for f in fields(Colocated) if f.type is Mode)
    assert modes == MODES
    assert set(TTL_OUTPUTS.values()) <= {f.name for f in fields(Mode)}


def test_units_agree_with_names():
    suffixes = {"_bytes_per_s_per_gpu": "B/s", "_bytes": "B", "_frac": "1", "_per_s": None}
    for name, result in QUANTITIES.items():
        unit = next((unit for suffix, unit in suffixes.items() if name.endswith(suffix)), None)
        if unit is None and name.endswith("_s") and not name.endswith("_per_s"):
            unit = "s"
        assert unit in (None, result.units), name


def test_numbers_never_retrace():
    """Depth, width, experts, chips and calibration are numbers: one trace serves them all."""
    traces = 0

    @jax.jit
    def step(s):
        nonlocal traces
        traces += 1
        return decode(s)

    base = scenario("mla_moe", ep=8.0)
    places = [
        lambda s: s.model.groups[1].layers,
        lambda s: s.model.groups[0].layers,
        lambda s: s.model.hidden,
        lambda s: s.model.groups[1].ffn.experts,
        lambda s: s.model.groups[1].attention.heads,
        lambda s: s.hardware.chip.hbm_bytes_per_s,
        lambda s: s.kernels.experts.peak_frac,
        lambda s: s.design.tp,
    ]
    step.trace(base)
    for where in places:
        step.trace(changed(where, base, lambda leaf: 2.0 * leaf))
    assert traces == 1


# ---- files ----


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


# Written in pieces, so that this file does not name what it looks for.
MACHINE = re.compile(r"(?<![\w.:/-])/(?:wo" r"rk|op" r"t|ho" r"me|ro" r"ot|Us" r"ers)/\w")
REGISTRY = re.compile(
    r"pypi\." r"org|pytho" r"nhosted|jfr" r"og|artif" r"actory|index-" r"url", re.I
)


def test_no_file_names_a_machine_or_a_registry():
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for pattern in (MACHINE, REGISTRY):
            result = pattern.search(text)
            assert not result, f"{relative(path)}: {result.group()}"


def test_no_file_is_large():
    for path in tracked():
        assert path.stat().st_size <= 2**20, relative(path)


# ---- the README ----


def blocks(language: str) -> list[str]:
    if not README.is_file():
        pytest.skip("no README.md yet")
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


def commands() -> list[list[str]]:
    """Every call of the command line in the README's shell blocks."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    steps = [step.split() for line in lines for step in line.split("&&")]
    return [step[1:] for step in steps if step and Path(step[0]).name == "jaxsim"]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_readme_has_no_gaps():
    assert blocks("sh"), "no shell block"
    assert not re.findall(r"@@\w+@@|TODO|TBD", README.read_text("utf-8"))


@pytest.mark.slow
def test_readme_commands_run(tmp_path):
    result = commands()
    assert result, "no call of jaxsim in a shell block"
    for arguments in result:
        ran = run(["-m", "jaxsim", *arguments], tmp_path)
        assert ran.returncode == 0, f"{' '.join(arguments)}: {ran.stderr}"
        assert ran.stdout.strip()


@pytest.mark.slow
def test_readme_python_runs(tmp_path):
    ran = run(["-c", "\n".join(blocks("python"))], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_readme_verbs_exist(tmp_path):
    text = " ".join(blocks("sh")) + README.read_text("utf-8")
    verbs = sorted(set(re.findall(r"`jaxsim ([a-z]+)", text)))
    shown = run(["-m", "jaxsim", "--help"], tmp_path)
    assert shown.returncode == 0, shown.stderr
    for verb in verbs:
        assert re.search(rf"\b{verb}\b", shown.stdout), verb
