"""How does a page on this machine get answers?  Tornado, one process, one address only.

The page sends every change over a WebSocket as {id, fields}. Its answer comes in stages, each as
{id, html}. Each id gets exactly one final reply: that it is done, an error, or the id of a later
change that took its place. One stage is worked out at a time, in a thread; changes that come
meanwhile replace one another, and none waits for more than a stage of an earlier one.
"""

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jaxsim._progress import heard_by
from jaxsim.catalog.errors import InputError

HOST = "127.0.0.1"
LONGEST_MESSAGE_BYTES = 64 * 1024

Fields = Mapping[str, str]
# From fields to the HTML of a page: what is known first, then more. Each stage is worked out when
# it is asked for, and tells what it does.
Answer = Callable[[Fields], Iterator[str]]


@dataclass
class Shared:
    """What all connections of a server share: how to answer, the page, who is allowed.

    `whole` makes a page that a browser opens of the HTML of an answer.
    """

    answer: Answer
    page: str
    token: str
    whole: Callable[[str], str] = str
    port: int = 0
    waiting: "tuple[Socket, int, Fields] | None" = None
    running: bool = False
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def address(self) -> str:
        """Where the page is: the token is what lets a browser in."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def ours(self, host: str | None) -> bool:
        """Whether a request was meant for this server, not led here by a foreign name."""
        return host in (f"{HOST}:{self.port}", f"localhost:{self.port}")

    def enqueue(self, socket: "Socket", number: int, fields: Fields) -> None:
        """Put a change in line, in place of one that waits."""
        if self.waiting is not None:
            before, earlier, _ = self.waiting
            before.tell({"id": earlier, "superseded": number})
        self.waiting = (socket, number, fields)
        if not self.running:
            self.running = True
            IOLoop.current().spawn_callback(self.work)

    async def work(self) -> None:
        """Answer what waits until nothing does."""
        try:
            while self.waiting is not None:
                page, number, fields = self.waiting
                self.waiting = None
                try:
                    await self.answered(self.answer(fields), page, number)
                except InputError as error:
                    page.tell({"id": number, "error": str(error)})
                except Exception as error:
                    what = f"internal error: {type(error).__name__}: {error}"
                    page.tell({"id": number, "error": what})
        finally:
            self.running = False

    async def answered(self, stages: Iterator[str], page: "Socket", number: int) -> None:
        """Send the stages of an answer until there are no more, or a later change waits."""
        loop = asyncio.get_running_loop()

        def told(text: str) -> None:
            loop.call_soon_threadsafe(page.tell, {"id": number, "progress": text})

        def stage() -> str | None:
            with heard_by(told):
                return next(stages, None)

        while (html := await loop.run_in_executor(self.pool, stage)) is not None:
            self.page = html
            page.tell({"id": number, "html": html})
            if self.waiting is not None:
                page.tell({"id": number, "superseded": self.waiting[1]})
                return
        page.tell({"id": number, "done": True})


class Page(RequestHandler):
    """The page as it was last answered."""

    def initialize(self, shared: Shared) -> None:
        """Called by Tornado for each request."""
        self.shared = shared

    def set_default_headers(self) -> None:
        """Nothing is kept, framed or sent on."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")

    def get(self) -> None:
        """The page."""
        if not self.shared.ours(self.request.host):
            self.set_status(403)
            self.finish("this server answers to 127.0.0.1 only")
            return
        self.finish(self.shared.whole(self.shared.page))


class Socket(WebSocketHandler):
    """One open page."""

    def initialize(self, shared: Shared) -> None:
        """Called by Tornado for each connection."""
        self.shared = shared

    def check_origin(self, origin: str) -> bool:
        """Only pages of this server may connect."""
        return origin in (
            f"http://{HOST}:{self.shared.port}",
            f"http://localhost:{self.shared.port}",
        )

    def on_message(self, message: str | bytes) -> None:
        """A change of the page."""
        try:
            change = json.loads(message)
            number, fields = change["id"], change["fields"]
            known = isinstance(number, int) and isinstance(fields, dict)
            if not (known and all(isinstance(value, str) for value in fields.values())):
                raise ValueError("an id and fields of text are needed")
        except (ValueError, KeyError, TypeError) as error:
            self.tell({"id": None, "error": f"unreadable message: {error}"})
            return
        self.shared.enqueue(self, number, fields)

    def tell(self, message: Mapping[str, object]) -> None:
        """Send a message, if the page is still open."""
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(json.dumps(message))


def start(
    answer: Answer, page: str, port: int = 0, whole: Callable[[str], str] = str
) -> tuple[HTTPServer, Shared]:
    """A server on 127.0.0.1, listening; a free port where none is given.

    `page` is shown until something is changed; `whole` makes a page that opens of it. Raises
    InputError where the port is taken.
    """
    shared = Shared(answer, page, secrets.token_urlsafe(24), whole)
    handlers = [
        (f"/{shared.token}/", Page, {"shared": shared}),
        (f"/{shared.token}/changes", Socket, {"shared": shared}),
    ]
    application = Application(handlers, websocket_max_message_size=LONGEST_MESSAGE_BYTES)
    own = socket.socket()
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setblocking(False)
        own.bind((HOST, port))
        own.listen()
    except (OSError, OverflowError) as error:
        own.close()
        raise InputError(
            f"port {port} cannot be used ({getattr(error, 'strerror', error)}): give another with "
            "--port, or leave it out for a free one"
        ) from None
    shared.port = own.getsockname()[1]
    server = HTTPServer(application)
    server.add_socket(own)
    return server, shared


def serve(
    answer: Answer,
    page: str,
    port: int,
    ready: Callable[[str], None],
    whole: Callable[[str], str] = str,
) -> None:
    """Serve until interrupted; `ready` is called with the address."""

    async def run() -> None:
        server, shared = start(answer, page, port, whole)
        ready(shared.address)
        try:
            await asyncio.Event().wait()
        finally:
            server.stop()
            shared.pool.shutdown(wait=False, cancel_futures=True)

    asyncio.run(run())
