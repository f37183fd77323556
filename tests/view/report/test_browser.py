"""Does the report work in a browser?  A real one, without a network."""

import os
import re
import shutil
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import jaxsim
from jaxsim.view.report.page import render_report
from jaxsim.view.text import sentences
from jaxsim.view.text.gain import verdict

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)",
    ),
    # A browser that hangs is replaced (`Browsers`), and the test is run once more; nothing else is.
    pytest.mark.flaky(reruns=1, only_rerun=["ReadTimeoutError", "TimeoutException"]),
]
WORK = jaxsim.Workload(isl=2048, osl=256)
# Batches and chunks are given, so that a plan has no others.
SPACE = jaxsim.Space(
    tp=(1, 2), pp=(1, 2), batch=(1, 4, 8, 16, 32, 64, 96, 128, 192, 256), chunk=(512, 2048),
    prefill_batch=(1, 2, 4), prefill_chunk=(512, 2048),
)  # fmt: skip


def planned(ftl_s, ttl_s, choices=False):
    return jaxsim.plan(
        "llama-3.1-8b", "h100", WORK, ftl_s=ftl_s, ttl_s=ttl_s, space=SPACE, choices=choices
    )


@pytest.fixture(scope="module")
def result():
    return planned(1.0, 0.02, choices=True)


@pytest.fixture(scope="module")
def address(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(result, (), "jaxsim plan …", 5e10), encoding="utf-8")
    assert path.stat().st_size <= 3_000_000
    return path.as_uri()


class Browsers:
    """One browser for all tests of the module, and another once it does not answer any more."""

    def __init__(self):
        self.driver: Any = None

    def open(self):
        """A browser that answers."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        try:
            if self.driver is not None and self.driver.current_url:
                return self.driver
        except (WebDriverException, HTTPError):
            self.close()
        self.driver = started()
        return self.driver

    def close(self):
        """End the browser and its driver, whether or not they answer."""
        os.killpg(self.driver.service.process.pid, signal.SIGKILL)
        self.driver = None


def started():
    """A browser of which every answer comes within 40 s, or the test is run once more."""
    from selenium import webdriver

    options: Any = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # A session of its own, so that all its processes can be ended together.
    service = webdriver.ChromeService(DRIVER, popen_kw={"start_new_session": True})
    driver: Any = webdriver.Chrome(options=options, service=service)
    driver.command_executor.client_config.timeout = 40
    driver.set_page_load_timeout(30)
    return driver


@pytest.fixture(scope="module")
def browsers():
    held = Browsers()
    yield held
    if held.driver is not None:
        held.driver.quit()


@pytest.fixture
def browser(browsers):
    return browsers.open()


@pytest.fixture
def page(browser, address):
    if not browser.current_url.startswith(address):
        browser.get(address)
    run(browser, "document.querySelector('[data-preset=own]').click()")
    yield browser
    errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert not errors


def text(page, name):
    return page.find_element("id", name).text


def run(page, script, *arguments):
    return page.execute_script(script, *arguments)


def test_it_opens_with_what_the_plan_says(page, result):
    assert text(page, "recommendation") == sentences.recommendation(result)
    assert text(page, "verdict") == verdict(result)
    row = run(page, "const d = jaxsim.derived(); return jaxsim.deployment(d.chosen)")
    assert row == sentences.deployment(result.chosen)
    assert page.find_elements("css selector", "#plot-frontier > *"), "nothing was drawn"


@pytest.mark.parametrize("ftl_factor", [1.0, 0.5])
def test_another_target_gives_what_plan_says_of_it(page, result, ftl_factor):
    ftl_s = result.ftl_target_s * ftl_factor
    ttl = np.unique(result.curves[0].ttl_s)
    for ttl_s in (float(ttl[len(ttl) // 4]), float(ttl[-1])):
        run(page, "jaxsim.change({ftl: arguments[0], ttl: arguments[1]})", ftl_s, ttl_s)
        other = planned(ftl_s, ttl_s)
        assert text(page, "recommendation") == sentences.recommendation(other)
        assert text(page, "verdict").split(";")[0] == verdict(other).split(";")[0]
    assert f"ttl={ttl_s!r}" in page.current_url


@pytest.mark.parametrize("limits", [{"gpus": 5, "objective": "cost"}])
def test_under_limits_too(browser, tmp_path, limits):
    def under(ftl_s, ttl_s, choices=False):
        return jaxsim.plan(
            "llama-3.1-8b", "h100", WORK, ftl_s=ftl_s, ttl_s=ttl_s, space=SPACE, choices=choices,
            **limits,
        )  # fmt: skip

    path = tmp_path / "report.html"
    path.write_text(render_report(under(1.0, 0.02, True), (), "", 5e10), encoding="utf-8")
    browser.get(path.as_uri())
    for ftl_s, ttl_s in ((1.0, 0.012), (0.5, 0.015)):
        run(browser, "jaxsim.change({ftl: arguments[0], ttl: arguments[1]})", ftl_s, ttl_s)
        assert text(browser, "recommendation") == sentences.recommendation(under(ftl_s, ttl_s))


def test_filters_change_the_counts_and_the_designs(page):
    def count():
        return int(re.sub(r"\D", "", text(page, "counts").split(" of ")[0]))

    every = count()
    page.find_element("css selector", ".controls summary").click()
    box = page.find_element("css selector", '[data-axis="decode_tp"][value="1"]')
    box.click()
    held = count()
    widths = run(
        page,
        "const d = JSON.parse(document.getElementById('data').textContent);"
        "return jaxsim.derived().shown.filter(k => !d.rows.kind[k])"
        ".map(k => d.designs.decode.tp[d.rows.second[k]])",
    )
    assert 0 < held < every
    assert set(widths) == {2}
    assert "f.decode_tp=2" in page.current_url
    box.click()
    assert count() == every
    assert "f.decode_tp" not in page.current_url


def test_a_click_on_a_design_shows_it(page):
    before = text(page, "picked")
    place = run(
        page,
        """
        const view = Object.values(Bokeh.index.roots || Bokeh.index)[0];
        const plot = view.frame ? view : view.child_views[0];
        const d = jaxsim.derived(), k = d.curves.disaggregated[0];
        const data = JSON.parse(document.getElementById('data').textContent).rows;
        const box = plot.canvas_view.el.getBoundingClientRect();
        const x = plot.frame.x_scale.compute(1 / data.ttl_s[k]);
        const y = plot.frame.y_scale.compute(data.y[k]);
        plot.el.scrollIntoView({block: 'center'});
        const now = plot.canvas_view.el.getBoundingClientRect();
        return [now.left + x, now.top + y, jaxsim.deployment(k)];
        """,
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.execute_cdp_cmd(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1},
        )
    shown = page.execute_async_script(
        "const done = arguments[0], from = Date.now();"
        "const look = () => (jaxsim.state().a !== null || Date.now() - from > 3000)"
        " ? done(document.getElementById('picked').textContent) : setTimeout(look, 20); look();"
    )
    assert shown == f"A is {place[2]}."
    assert before != shown
    assert place[2] in text(page, "compare")


def test_hover_zoom_pan_and_reset(page):
    """By a mouse, as a person does it: the tools are chosen in the toolbar."""
    place = run(
        page,
        """
        const view = Object.values(Bokeh.index.roots || Bokeh.index)[0];
        window.plot = view.frame ? view : view.child_views[0];
        const k = jaxsim.derived().curves.disaggregated[1];
        const data = JSON.parse(document.getElementById('data').textContent).rows;
        plot.el.scrollIntoView({block: 'center'});
        const now = plot.canvas_view.el.getBoundingClientRect();
        const x = plot.frame.x_scale.compute(1 / data.ttl_s[k]);
        const y = plot.frame.y_scale.compute(data.y[k]);
        return [now.left + x, now.top + y, jaxsim.deployment(k)];
        """,
    )
    middle = run(
        page,
        "const b = plot.canvas_view.el.getBoundingClientRect(), f = plot.frame.bbox;"
        "return [b.left + f.left + f.width / 2, b.top + f.top + f.height / 2]",
    )

    def mouse(kind, x, y, **more):
        own = {"type": kind, "x": x, "y": y, "button": "left", **more}
        page.execute_cdp_cmd("Input.dispatchMouseEvent", own)

    def drag(dx, dy):
        x, y = middle
        mouse("mousePressed", x, y, buttons=1, clickCount=1)
        for part in (0.25, 0.5, 0.75, 1.0):
            mouse("mouseMoved", x + part * dx, y + part * dy, buttons=1)
        mouse("mouseReleased", x + dx, y + dy, clickCount=1)

    def until(script, *arguments):
        """What the script gives, once that is true."""
        return page.execute_async_script(
            f"const own = arguments, done = own[own.length - 1], from = Date.now();"
            f"const get = () => {{ {script} }};"
            "const look = () => { const v = get(); v || Date.now() - from > 20000 ? done(v)"
            " : setTimeout(look, 20); }; look();",
            *arguments,
        )

    ranges = "[plot.model.x_range, plot.model.y_range].flatMap(r => [r.start, r.end])"
    moved = f"const r = {ranges}; return String(r) !== String(own[0]) && r"

    def choose(name):
        run(
            page,
            "plot.model.toolbar.tools.filter(t => t.type === arguments[0])"
            ".forEach(t => { t.active = true; })",
            name,
        )

    mouse("mouseMoved", place[0], place[1], button="none")
    tip = until(
        "const deep = r => [...r.querySelectorAll('*')]"
        ".flatMap(e => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);"
        "return deep(document).filter(e => e.className === 'bk-tooltip-content')"
        ".map(e => e.innerText).join(' ')"
    )
    assert place[2] in tip
    assert "TTL" in tip
    at_first = run(page, f"return {ranges}")
    choose("BoxZoomTool")
    drag(120, 60)
    zoomed = until(moved, at_first)
    assert zoomed, "nothing was zoomed"
    assert at_first[0] < zoomed[0] < zoomed[1] < at_first[1]
    choose("PanTool")
    drag(-60, 0)
    panned = until(moved, zoomed)
    assert panned, "nothing was moved"
    assert panned[0] > zoomed[0]
    assert panned[1] - panned[0] == pytest.approx(zoomed[1] - zoomed[0])
    choose("WheelZoomTool")
    mouse("mouseWheel", *middle, button="none", deltaX=0, deltaY=-240)
    wheeled = until(moved, panned)
    assert wheeled, "the wheel did nothing"
    assert wheeled[1] - wheeled[0] < panned[1] - panned[0]
    run(page, "plot.reset()")
    assert until(f"return String({ranges}) === String(own[0])", at_first)
    choose("BoxZoomTool")


def test_arrow_keys_move_along_the_frontier(page):
    from selenium.webdriver.common.keys import Keys

    plot = page.find_element("id", "plot-frontier")
    plot.send_keys(Keys.ARROW_LEFT)
    first = run(page, "return jaxsim.state().a")
    plot.send_keys(Keys.ARROW_LEFT)
    second = run(page, "return jaxsim.state().a")
    assert None not in (first, second)
    assert first != second


def test_every_chart_has_a_table_and_csv(page):
    for button in page.find_elements("css selector", "[data-table]"):
        name = button.get_attribute("data-table")
        run(page, "arguments[0].click()", button)
        rows = page.find_elements("css selector", f"#table-{name} tbody tr")
        size = run(page, "const c = jaxsim.charts[arguments[0]]; return c.rows.length", name)
        assert len(rows) == size > 0, name
        lines = run(
            page,
            "const c = jaxsim.charts[arguments[0]]; return jaxsim.csv(c.head, c.rows)", name,
        ).splitlines()  # fmt: skip
        assert len(lines) == size + 1
        assert page.find_elements("css selector", f'[data-csv="{name}"]')


def test_the_address_holds_the_state(page, browser, address):
    run(page, "jaxsim.change({ttl: 0.01, a: 3, b: 5, stack: 'prefill', theme: 'dark'})")
    kept, said = page.current_url, text(page, "compare")
    browser.get("about:blank")
    browser.get(kept)
    assert text(page, "compare") == said
    assert run(page, "return document.documentElement.dataset.theme") == "dark"


def test_a_phone_needs_no_sideways_scrolling(page):
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = run(page, "return document.documentElement.scrollWidth")
    cut = run(
        page,
        "return [...document.querySelectorAll('#fixed, #compare, #fixed th, #compare td')]"
        ".filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.textContent)",
    )
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 400
    assert not cut, "no word is too wide for its cell"


def test_the_first_screen_has_recommendation_table_and_a_number_a_curve(page):
    def foot(selector):
        return run(
            page, f"return document.querySelector('{selector}').getBoundingClientRect().bottom"
        )

    size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    run(page, "window.scrollTo(0, 0)")
    feet = [foot(name) for name in ("#recommendation", "#fixed")]
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert feet == sorted(feet)
    assert feet[-1] <= 900


def test_paper_has_pictures_in_place_of_charts(browser, address):
    """A browser tells the page that it will print; then copies of its charts are made, in light."""

    def shown(selector):
        return [one.is_displayed() for one in browser.find_elements("css selector", selector)]

    def on(medium):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})

    browser.get("about:blank")
    browser.get(address)
    try:
        on("print")
        assert shown("div.static figure svg") == [True]
        assert len(shown(".chart")) == 4
        assert not any(shown(".chart, .controls, .along"))
        on("screen")
        tell = "dispatchEvent(new Event('beforeprint'))"
        run(browser, f"jaxsim.change({{theme: 'dark', ttl: jaxsim.state().ttl / 2}}); {tell}")
        on("print")
        assert shown(".chart > canvas") == [True] * 4
        assert not any(shown(".plot, .on-paper, div.static figure svg"))
        corner = """const one = document.querySelector(".chart > canvas");
            return [one.width > 600, ...one.getContext("2d").getImageData(9, 9, 1, 1).data]"""
        assert run(browser, corner) == [True, 255, 255, 255, 255]
        on("screen")
        run(browser, "dispatchEvent(new Event('afterprint'))")
        assert shown(".chart > canvas") == []
        assert run(browser, "return document.documentElement.dataset.theme") == "dark"
        run(browser, f"document.querySelector('[data-preset=own]').click(); {tell}")
        on("print")
        assert shown(".chart > canvas") == [False, False, True, True]
        assert shown("div.static figure svg, .along") == [True, True]
    finally:
        on("")
        browser.get("about:blank")


def test_without_a_script_the_page_still_answers(browser, address, result):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(address)
        assert not browser.find_element("css selector", ".controls").is_displayed()
        assert text(browser, "recommendation") == sentences.recommendation(result)
        fixed = browser.find_element("id", "fixed")
        assert "geometric mean" in fixed.text
        pictures = browser.find_elements("css selector", ".static figure svg")
        assert pictures and all(one.is_displayed() for one in pictures)  # noqa: PT018
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.get("about:blank")


@pytest.fixture(scope="module")
def live():
    """The address of a server that plans, in a thread."""
    import asyncio
    import threading

    from jaxsim.view.cli.verbs.explore import answerer
    from jaxsim.view.explore.page import with_scripts
    from jaxsim.view.explore.server import start

    fields = {
        "model": "llama-3.1-8b", "hardware": "h100", "isl": "2048", "osl": "256", "ftl": "1s",
        "ttl": "20ms", "tp": "1,2", "pp": "1,2", "batch": "1,16,64,128", "chunk": "512,2048",
        "prefill-batch": "1,2,4",
    }  # fmt: skip
    answer = answerer()
    page, ready, result = next(answer(fields)), threading.Event(), {}

    async def run():
        server, shared = start(answer, page, whole=with_scripts)
        result.update(address=shared.address, loop=asyncio.get_running_loop(), end=asyncio.Event())
        ready.set()
        await result["end"].wait()
        server.stop()
        shared.pool.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(10)
    yield result["address"]
    result["loop"].call_soon_threadsafe(result["end"].set)
    thread.join()


def test_the_live_page_follows_its_form(browser, live):
    browser.get(live)
    before = text(browser, "recommendation")
    shown = browser.execute_async_script(
        """
        const done = arguments[0], form = document.getElementById("ask"), before = explore.last();
        for (let k = 1; k <= 50; k++) {
          form.elements.ttl.value = `${50 - k * 0.8}ms`;
          explore.ask();
        }
        const all = explore.last();
        const look = () => Object.keys(explore.replies).length === all
          ? done([explore.shown() - before, explore.times[all].length, explore.replies[all]])
          : setTimeout(look, 50);
        look();
        """
    )
    assert shown == [50, 3, "done"], "the last change is shown, and every one had a reply"
    space = replace(SPACE, batch=(1, 16, 64, 128), prefill_batch=(1, 2, 4), prefill_chunk=())
    other = jaxsim.plan("llama-3.1-8b", "h100", WORK, ftl_s=1.0, ttl_s=0.01, space=space)
    assert text(browser, "recommendation") == sentences.recommendation(other) != before
    form = browser.find_element("id", "ask")
    run(browser, "arguments[0].elements.isl.value = 'many'; explore.ask()", form)
    said = browser.execute_async_script(
        "const done = arguments[0]; const look = () => explore.replies[explore.last()]"
        " ? done(document.getElementById('state').textContent) : setTimeout(look, 20); look();"
    )
    assert "--isl" in said
    run(browser, "arguments[0].elements.isl.value = '2048'; explore.ask()", form)
    run(browser, "jaxsim.change({ftl: jaxsim.state().ftl / 2, stack: 'prefill'})")
    kept = browser.current_url
    assert {"q.ttl=10ms", "q.isl=2048", "ftl=0.5", "stack=prefill"} <= set(
        kept.split("#")[1].split("&")
    )
    browser.get("about:blank")
    browser.get(kept.replace("q.ttl=10ms", "q.ttl=12ms"))
    state = browser.execute_async_script(
        "const done = arguments[0]; const look = () => explore.replies[explore.last()] === 'done'"
        " ? done([jaxsim.state().ttl, jaxsim.state().ftl, jaxsim.state().stack,"
        " document.getElementById('ask').elements.ttl.value]) : setTimeout(look, 20); look();"
    )
    assert state == [0.012, 0.5, "prefill", "12ms"], "the address has the form and the state"
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_a_model_with_a_hostile_name_stays_text(result):
    hostile = replace(result, model="</script><script>alert(1)</script>")
    page = render_report(hostile, (), "")
    assert "<script>alert" not in page
