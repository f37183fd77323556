"""Points per second of every form of evaluation: a table, JSON and a plot.

python -m benchmarks.speed --json FILE [--plot FILE] [--case decode] [--points 1e9] [--quick]
"""

import argparse
import json
from pathlib import Path

from benchmarks.speed import forms, machine
from benchmarks.speed.cases import case
from benchmarks.speed.growth import growth_forms
from benchmarks.speed.process import process_forms, verb_forms


def rows_of(timings, limits: dict) -> list[dict]:
    """Timings as rows of the report, with ratios to NumPy and to the machine's limit."""
    copies, operations = limits["copy_bytes_per_s"], limits["operations_per_s"]
    numpy = {t.name: t.points / t.seconds for t, _ in timings if t.form == "NumPy, list of points"}
    rows = []
    for t, gigabytes in timings:
        rate = t.points / t.seconds
        # What bounds a form: storing what it returns, or the operations it cannot avoid.
        least = max(t.stored_bytes / copies, t.operations / operations)
        row = {
            "name": t.name,
            "form": t.form,
            "points": t.points,
            "seconds": t.seconds,
            "points_per_s": rate,
            "compile_s": t.compile_s,
            "ratio_to_numpy": rate / numpy[t.name] if t.name in numpy else None,
            "fraction_of_limit": least / t.seconds if least else None,
        }
        rows.append({**row, "memory_gb": gigabytes} if gigabytes else row)
    return rows


def measured(names, largest: float, quick: bool, show) -> list:
    """Every timing asked for."""
    timings: list = []

    def add(result):
        for t in result:
            timings.append(t if isinstance(t, tuple) else (t, None))
            show(timings[-1])

    for name in names:
        chosen = case(name)
        add(forms.plain_forms(chosen))
        if not quick:
            add(forms.compiled_forms(chosen))
        add(forms.materialised_forms(chosen, min(largest, 3e6 if quick else 1e7)))
        most = min(largest, chosen.largest)
        for points in sorted({p for p in (1e6, 1e7, 1e8, 1e9) if p <= most} | {most}):
            add(forms.streamed_forms(chosen, points))
        if not quick:
            add(process_forms(name, most))
    add(forms.frontier_forms(1_000_000 if quick else 10_000_000))
    if not quick:
        add(growth_forms())
        add(verb_forms())
    return timings


def plot(rows: list[dict], path: Path) -> None:
    """Time against points, a line for each form that was run on several sizes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = [
        n
        for n in dict.fromkeys(r["name"] for r in rows)
        if n not in ("growth", "plan", "search", "pareto")
    ]
    figure, panels = pyplot.subplots(
        1, len(names), figsize=(5.2 * len(names), 5), sharey=True, squeeze=False
    )
    colours = pyplot.get_cmap("tab20").colors  # pyright: ignore[reportAttributeAccessIssue]
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_prop_cycle(color=[*colours[::2], *colours[1::2]])
        own = [r for r in rows if r["name"] == name and not r["form"].startswith("process")]
        for form in dict.fromkeys(r["form"] for r in own):
            here = [r for r in own if r["form"] == form]
            line, marker = ("-", "o") if len(here) > 1 else ("", "s")
            x, y = [r["points"] for r in here], [r["seconds"] for r in here]
            axes.loglog(x, y, marker=marker, markersize=4, linestyle=line, label=form)
        low, high = axes.get_xlim()
        for rate, text in ((1e6, "1 M/s"), (1e9, "1 G/s")):
            axes.plot([low, high], [low / rate, high / rate], ":", color="0.6", linewidth=1)
            place = min(high, 10.0 * rate)
            axes.annotate(text, (place, place / rate), color="0.4", fontsize=7, ha="right")
        axes.set(xlabel="grid points covered", title=name, xlim=(low, high), ylim=(1e-7, 1e2))
        axes.legend(fontsize=6, loc="lower right", framealpha=0.8)
    panels[0, 0].set_ylabel("seconds, compile time apart")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--plot", type=Path, help="write a plot of time against points here")
    parser.add_argument("--case", nargs="+", default=["decode", "colocated"], dest="cases")
    parser.add_argument("--points", type=float, default=1e9, help="largest grid")
    parser.add_argument("--quick", action="store_true", help="small grids, fewer forms")
    given = parser.parse_args()
    about = machine.description()
    limits = {
        "copy_bytes_per_s": machine.copy_bytes_per_s(),
        "operations_per_s": machine.operations_per_s(),
    }
    print(f"{about['device']}; {about['versions']}; commit {about['commit']}")
    print("stores {:.1f} GB/s, {:.0f} G operations/s".format(*(v / 1e9 for v in limits.values())))

    kept: list = []

    def rows() -> list[dict]:
        return [{**row, **about, "limits": limits} for row in rows_of(kept, limits)]

    def show(timing):
        kept.append(timing)
        if given.json:  # as they come, so that what was measured is there whatever happens
            given.json.write_text(json.dumps(rows(), indent=1) + "\n")
        t, gigabytes = timing
        memory = f"{gigabytes:6.2f} GB" if gigabytes else ""
        print(
            f"{t.name:10} {t.form:52} {t.points:14,} points {t.seconds:9.4f} s"
            f" {t.points / t.seconds / 1e6:10.3f} M/s  compile {t.compile_s:6.2f} s {memory}",
            flush=True,
        )

    largest = min(given.points, 1e7) if given.quick else given.points
    measured(given.cases, largest, given.quick, show)
    if given.plot:
        plot(rows(), given.plot)


if __name__ == "__main__":
    main()
