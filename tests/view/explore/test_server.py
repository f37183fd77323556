"""Does the live page's server answer every change, to its own page alone?"""

import asyncio
import json
import socket
import threading
import time

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jaxsim._progress import tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli.main import BAD_INPUT, main
from jaxsim.view.cli.verbs.explore import FIELDS, words
from jaxsim.view.explore.server import start
from tests.narrow import some


def answer(fields):
    """As slow as a small plan, as talkative, and in two stages."""
    tell("evaluating")
    if fields.get("isl") == "none":
        raise InputError("isl: a number is needed")
    time.sleep(0.02)
    yield f"<p>{fields['ttl']}</p>"
    tell("refining")
    time.sleep(0.02)
    yield f"<p>{fields['ttl']}, refined</p>"


def with_server(check):
    async def run():
        server, shared = start(answer, "<p>first</p>")
        try:
            return await check(shared)
        finally:
            server.stop()
            shared.pool.shutdown()

    return asyncio.run(run())


async def replies_to(shared, messages, *, until):
    """Every message that the server sends until all of `until` have a final reply."""
    page = await websocket_connect(shared.address.replace("http", "ws") + "changes")
    result, left = [], set(until)
    for message in messages:
        await page.write_message(message)
    while left:
        text = await asyncio.wait_for(page.read_message(), 10)
        result.append(json.loads(some(text)))
        if {"done", "error", "superseded"} & set(result[-1]):
            left.discard(result[-1]["id"])
    page.close()
    return result


def test_fifty_quick_changes_lose_none_and_show_the_last():
    changes = [json.dumps({"id": k, "fields": {"ttl": f"{k}ms"}}) for k in range(1, 51)]

    async def check(shared):
        result = await replies_to(shared, changes, until=range(1, 51))
        return result, shared.page

    result, page = with_server(check)
    final = [one for one in result if {"done", "superseded"} & set(one)]
    assert sorted(one["id"] for one in final) == list(range(1, 51)), "one final reply each"
    assert final[-1] == {"id": 50, "done": True}
    assert page == "<p>50ms, refined</p>"
    for one in final[:-1]:
        assert one.get("superseded", 0) > one["id"] or one["done"]
    shown = [one for one in result if "html" in one]
    assert [one["html"] for one in shown[-2:]] == ["<p>50ms</p>", page]
    assert all(one["html"].startswith(f"<p>{one['id']}ms") for one in shown)
    assert len(shown) < 52, "a change that another follows is not refined"
    assert [one for one in result if "progress" in one]


def test_what_is_wrong_is_said_and_the_server_goes_on():
    messages = [
        "no JSON",
        json.dumps({"id": "1", "fields": {}}),
        json.dumps({"id": 1, "fields": {"isl": "none"}}),
    ]

    async def check(shared):
        bad = await replies_to(shared, messages, until=[1])
        internal = await replies_to(shared, [json.dumps({"id": 2, "fields": {}})], until=[2])
        good = await replies_to(
            shared, [json.dumps({"id": 3, "fields": {"ttl": "1ms"}})], until=[3]
        )
        return bad, internal, good

    bad, internal, good = with_server(check)
    errors = [one["error"] for one in bad if "error" in one]
    assert len(errors) == 3
    assert errors[-1] == "isl: a number is needed"
    assert "KeyError" in internal[-1]["error"]
    assert good[-2]["html"] == "<p>1ms, refined</p>"


def test_only_this_machine_with_the_token_is_let_in():
    async def status(shared, address, **headers):
        try:
            result = await AsyncHTTPClient().fetch(HTTPRequest(address, headers=headers))
        except HTTPClientError as error:
            return error.code
        return result.code

    async def check(shared):
        own = f"127.0.0.1:{shared.port}"
        socket_address = shared.address.replace("http", "ws") + "changes"
        foreign = HTTPRequest(socket_address, headers={"Origin": "http://elsewhere.example"})
        try:
            await websocket_connect(foreign)
            refused = False
        except HTTPClientError as error:
            refused = error.code == 403
        return (
            await status(shared, shared.address),
            await status(shared, f"http://{own}/"),
            await status(shared, f"http://{own}/guess/"),
            await status(shared, shared.address, Host="elsewhere.example"),
            refused,
        )

    assert with_server(check) == (200, 404, 404, 403, True)


def test_a_port_in_use_is_a_clear_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used.*--port"):
            start(answer, "", port)


def test_fields_are_options_of_plan_and_nothing_else(capsys):
    assert words({"model": "m", "isl": "5"}) == ["plan", "--isl=5", "--", "m"]
    with pytest.raises(InputError, match="output: unknown"):
        words({"output": "/tmp/x"})
    assert "output" not in FIELDS
    assert main(["explore", "nothing", "--no-browser"]) == BAD_INPUT
    assert "nothing" in capsys.readouterr().err
    assert main(["explore", "--port", "x"]) == BAD_INPUT
    assert threading.active_count() < 20
