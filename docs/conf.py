"""How is the documentation built?  `sphinx-build -W docs build/docs`; offline, warnings are errors.

Equations become MathML while it is built, so that the pages need no network either. What is
generated (public names, reported quantities, verbs) is written to `docs/generated` first; a public
name without a docstring ends the build.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import jaxsim  # noqa: E402
from jaxsim.quantities import QUANTITIES  # noqa: E402

project = "jaxsim"
author = "The jaxsim authors"
version = release = jaxsim.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["recorded", "README.md"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository, not of these pages
html_show_copyright = False
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["docs.css"]
html_title = f"jaxsim {release}"
html_show_sphinx = False
GENERATED = ROOT / "docs" / "generated"
# Shown by their file's docstring, in the order in which a design is worked out.
EQUATIONS = (
    (
        "Routing of experts", "jaxsim.point.routing",
        "active_experts busiest_deviations busiest_load",
    ),
    (
        "Kernels", "jaxsim.point.roofline",
        "gemm_parts grouped_gemm_parts context_attention_parts decode_attention_parts state_parts",
    ),
    ("Messages", "jaxsim.point.collectives", "message_s"),
    ("Prefill", "jaxsim.point.phases.prefill", "prefill"),
    ("KV transfer", "jaxsim.point.transfer", "transfer_of"),
    ("Decode", "jaxsim.point.phases.decode", "decode"),
    ("Co-located", "jaxsim.point.phases.colocated", "in_flight_batching piggybacking"),
    ("Rate matching without a cap", "jaxsim.space.match.fewest", "near_range"),
    ("How sure a gain is", "jaxsim.space.deploy.doubt", "doubt_of"),
)  # fmt: skip


def reference() -> str:
    """A page of every public name; an error for one that says nothing of itself."""
    lines = ["# Public names", "", "Everything a user needs is `jaxsim.something`.", ""]
    for name in jaxsim.__all__:
        if name == "__version__":
            continue
        value = getattr(jaxsim, name)
        if not (value.__doc__ or "").strip():
            raise SystemExit(f"jaxsim.{name} has no docstring: say what it is, for its reference")
        kind = "autoclass" if isinstance(value, type) else "autofunction"
        where = f"{value.__module__}.{value.__qualname__}"
        lines += [f"## `jaxsim.{name}`", "", "```{eval-rst}", f".. {kind}:: {where}", "```", ""]
    return "\n".join(lines)


def quantities() -> str:
    """A page of every number that is reported, with its unit and meaning."""
    lines = ["# Reported numbers", "", "| name | unit | meaning |", "|---|---|---|"]
    for name, one in QUANTITIES.items():
        meaning = one.description.replace("|", "\\|")
        lines.append(f"| `{name}` | {one.units} | {meaning} |")
    return "\n".join([*lines, ""])


def verbs() -> str:
    """A page of the help of every verb."""
    from jaxsim.view.cli.config import parser_of
    from jaxsim.view.cli.main import build_parser
    from jaxsim.view.cli.main import verbs as names

    parser = build_parser()
    lines = ["# Command line", "", "```text", parser.format_help(), "```", ""]
    for name in names():
        lines += [f"## `jaxsim {name}`", "", "```text", parser_of(parser, name).format_help()]
        lines += ["```", ""]
    return "\n".join(lines)


def equations() -> str:
    """A page of the equations, each out of the docstring of the function that evaluates it."""
    head = (
        "Every equation is in the docstring of the function that evaluates it, and is shown from "
        "there; symbols are named as in its code. Quantities end in their unit: `_s`, `_bytes`, "
        "`_flop_per_s`. `smooth` maxima and `ceil` have gradients; see "
        "[gradients](../gradient.md)."
    )
    lines = ["# Equations", "", head, ""]
    for title, module, names in EQUATIONS:
        lines += [f"## {title}", "", f"`{module.replace('.', '/')}.py`", ""]
        for name in names.split():
            lines += ["```{eval-rst}", f".. autofunction:: {module}.{name}", "```", ""]
    return "\n".join(lines)


def validation() -> str:
    """Accuracy, from what the benchmarks wrote."""
    folder = ROOT / "benchmarks" / "accuracy"
    return (folder / "README.md").read_text(encoding="utf-8").replace(
        "# Accuracy", "# How far predictions are from measurements", 1
    ) + "".join(
        f"\n## {title}\n\n{(folder / name).read_text(encoding='utf-8')}\n"
        for title, name in (
            ("Serving runs", "serving.md"),
            ("Kernels", "kernels.md"),
            ("Cases", "cases.md"),
        )
    )


def write_generated() -> None:
    """Write what is generated, each file only where it changed."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in {
        "reference.md": reference(),
        "quantities.md": quantities(),
        "verbs.md": verbs(),
        "equations.md": equations(),
        "validation.md": validation(),
    }.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def equations_in(app, what, name, value, options, lines):
    """Docstrings write display equations between $$, and inline ones between $."""
    text = "\n".join(lines)
    text = re.sub(
        r"\$\$(.+?)\$\$",
        lambda found: "\n\n.. math::\n\n   " + " ".join(found[1].split()) + "\n\n",
        text, flags=re.S,
    )  # fmt: skip
    text = re.sub(r"(?<!\$)\$([^$\n]+(?:\n[^$\n]+)?)\$(?!\$)", inline, text)
    lines[:] = text.split("\n")


def inline(found: re.Match) -> str:
    """An inline equation in reStructuredText."""
    return f":math:`{' '.join(found[1].split())}`"


def mathml(self, node):
    """An equation as MathML, which browsers show without a script."""
    from docutils import nodes
    from latex2mathml.converter import convert

    block = isinstance(node, nodes.math_block)
    tag = "div" if block else "span"
    shown = convert(node.astext(), display="block" if block else "inline")
    self.body.append(f'<{tag} class="math">{shown}</{tag}>')
    raise nodes.SkipNode


def setup(app):
    """Write the generated pages, and show equations as MathML."""
    from docutils import nodes

    write_generated()
    app.connect("autodoc-process-docstring", equations_in)
    app.add_node(nodes.math, override=True, html=(mathml, None))
    app.add_node(nodes.math_block, override=True, html=(mathml, None))
