"""How large are plotting libraries that packages ship, and how fast with 100,000 points?

    python -m benchmarks.charts [POINTS]

Each draws the same scatter in headless Chromium, and then again with other values, as a page does
when a target moves. Libraries whose package is not installed are left out. `docs/report.md` has
what was measured, and what followed.
"""

import gzip
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

DRAWN = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from)));"
POINTS = """
const n = %d, make = (seed) => { const x = [], y = []; let s = seed;
  for (let i = 0; i < n; i++) { s = (1103515245 * s + 12345) %% 2147483648; x.push(s / 2147483648);
    s = (1103515245 * s + 12345) %% 2147483648; y.push(s / 2147483648); } return {x, y}; };
"""
BOKEH = """
const f = Bokeh.Plotting.figure({width: 900, height: 500, output_backend: "%s"});
const source = new Bokeh.ColumnDataSource({data: make(1)});
f.scatter({x: {field: "x"}, y: {field: "y"}, source, size: 4});
window.first = async () => { await Bokeh.Plotting.show(f, "#place"); };
window.again = async () => { source.data = make(2); };
"""
VEGA = """
const spec = {width: 900, height: 500, data: {name: "d", values: []}, mark: "point", encoding: {
  x: {field: "x", type: "quantitative"}, y: {field: "y", type: "quantitative"}}};
const rows = (d) => d.x.map((x, i) => ({x, y: d.y[i]}));
let view;
window.first = async () => { spec.data.values = rows(make(1));
  view = (await vegaEmbed("#place", spec, {renderer: "canvas"})).view; await view.runAsync(); };
window.again = async () => { view.data("d", rows(make(2))); await view.runAsync(); };
"""
PLOTLY = """
window.first = () => Plotly.newPlot("place", [{...make(1), mode: "markers", type: "scatter"}]);
window.again = () => Plotly.react("place", [{...make(2), mode: "markers", type: "scatter"}]);
"""


def _file(package: str, *names: str) -> str:
    result = importlib.util.find_spec(package)
    if result is None or not result.submodule_search_locations:
        raise ModuleNotFoundError(package)
    folder = Path(result.submodule_search_locations[0])
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _bokeh(*more: str) -> str:
    folder = "server/static/js"
    return _file("bokeh", *(f"{folder}/bokeh{name}.min.js" for name in ("", "-api", *more)))


def _vega() -> str:
    from importlib import import_module

    vl_convert = import_module("vl_convert")

    return vl_convert.javascript_bundle()


LIBRARIES: dict[str, tuple[Callable[[], str], str]] = {
    "BokehJS, canvas": (_bokeh, BOKEH % "canvas"),
    "BokehJS, WebGL": (lambda: _bokeh("-gl"), BOKEH % "webgl"),
    "Vega-Lite (vl-convert), canvas": (_vega, VEGA),
    "Plotly, SVG": (lambda: _file("plotly", "package_data/plotly.min.js"), PLOTLY),
}


def _page(library: str, script: str, points: int) -> str:
    safe = library.replace("</script", "<\\/script")
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'></head><body><div id='place'></div>"
        f"<script>{safe}</script><script>{{{POINTS % points}{script}}}</script></body></html>"
    )


def measure(points: int) -> list[dict[str, object]]:
    """Size, and seconds to draw and to draw again, of each library that is installed."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,900"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    results = []
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.set_script_timeout(120)
        for name, (read, script) in LIBRARIES.items():
            try:
                library = read()
            except ModuleNotFoundError:
                continue
            driver.get("about:blank")
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "page.html"
                path.write_text(_page(library, script, points), encoding="utf-8")
                driver.get(path.as_uri())
                seconds = [
                    driver.execute_async_script(
                        f"const done = arguments[0], from = performance.now();"
                        f"Promise.resolve(window.{step}()).then(() => {DRAWN[:-1]});"
                    )
                    / 1000.0
                    for step in ("first", "again", "again")
                ]
            packed = len(gzip.compress(library.encode()))
            results.append({
                "name": name, "bytes": len(library.encode()), "gzip_bytes": packed,
                "first_s": seconds[0], "again_s": min(seconds[1:]), "points": points,
            })  # fmt: skip
    return results


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000), indent=2))
