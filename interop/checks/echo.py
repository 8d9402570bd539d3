"""One echo conversation, held by every client library: Python's here, Node's in node/echo.mjs.

The two files hold the same checks under the same names; what a library cannot do (fragments,
pings, compression) is left out for it, which its adapter says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import threading
from collections.abc import Callable

import aiohttp
import websocket
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from harness import (
    DEADLINE,
    MAX_MESSAGE,
    VARIANTS,
    CheckFailed,
    Environment,
    Report,
    Switchboard,
    Variant,
    expect,
    expect_equal,
)

SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20]
TEXTS = [
    "",
    "plain",
    "Grüße, Καλημέρα, こんにちは",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u0000 and \ufeff and \U0010ffff",
]
CLOSES = [(1000, ""), (1000, "done"), (3000, "three thousand"), (4000, "ä" * 61), (4999, "x" * 123)]
IN_ORDER = 2_000

# The clients that node/echo.mjs knows, by its name for them.
NODE_CLIENTS = {"npm ws": "ws", "npm undici": "undici", "Node's own WebSocket": "built-in"}


# ---- Adapters: one small face for three libraries ----------------------------------------------


class Websockets:
    """`websockets`, its blocking client."""

    name = "Python websockets"
    deflates = fragments = pings = sends_bad_text = reads_while_writing = True

    def __init__(self, url: str, context: ssl.SSLContext | None, deflate: bool):
        self._socket = websockets.sync.client.connect(
            url,
            ssl=context,
            compression="deflate" if deflate else None,
            max_size=2 * MAX_MESSAGE,
            open_timeout=DEADLINE,
            proxy=None,
        )
        self.subprotocol = self._socket.subprotocol
        self.deflated = bool(self._socket.protocol.extensions)

    def send(self, message: str | bytes) -> None:
        self._socket.send(message)

    def send_fragments(self, pieces: list[str] | list[bytes]) -> None:
        self._socket.send(pieces)

    def send_bad_text(self) -> None:
        self._socket.send(b"\xc3\x28", text=True)

    def receive(self) -> str | bytes:
        return self._socket.recv(timeout=DEADLINE)

    def ping(self, payload: bytes) -> None:
        expect(self._socket.ping(payload).wait(DEADLINE), "no pong came back")

    def close(self, code: int = 1000, reason: str = "") -> int | None:
        self._socket.close(code, reason)
        received = self._socket.protocol.close_rcvd
        return received.code if received else None

    def closed_by_server(self) -> int | None:
        try:
            while True:
                self._socket.recv(timeout=DEADLINE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


class Aiohttp:
    """`aiohttp`, its event loop run one call at a time."""

    name = "Python aiohttp"
    deflates = pings = True
    fragments = sends_bad_text = reads_while_writing = False

    def __init__(self, url: str, context: ssl.SSLContext | None, deflate: bool):
        self._runner = asyncio.Runner()
        self._socket = self._call(self._open(url, context, deflate))
        self.subprotocol = self._socket.protocol
        self.deflated = bool(self._socket.compress)

    async def _open(
        self, url: str, context: ssl.SSLContext | None, deflate: bool
    ) -> aiohttp.ClientWebSocketResponse:
        self._session = aiohttp.ClientSession()
        return await self._session.ws_connect(
            url,
            ssl=context if context else True,
            compress=15 if deflate else 0,
            max_msg_size=2 * MAX_MESSAGE,
            autoping=False,
        )

    def _call(self, coroutine):
        return self._runner.run(asyncio.wait_for(coroutine, DEADLINE))

    def send(self, message: str | bytes) -> None:
        send = self._socket.send_str if isinstance(message, str) else self._socket.send_bytes
        self._call(send(message))

    def receive(self) -> str | bytes:
        message = self._call(self._socket.receive())
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise CheckFailed(f"wanted a message, got {message.type.name} {message.data!r}")
        return message.data

    def ping(self, payload: bytes) -> None:
        self._call(self._socket.ping(payload))
        message = self._call(self._socket.receive())
        expect_equal((message.type, bytes(message.data)), (aiohttp.WSMsgType.PONG, payload), "pong")

    def close(self, code: int = 1000, reason: str = "") -> int | None:
        self._call(self._socket.close(code=code, message=reason.encode()))
        return self._end()

    def closed_by_server(self) -> int | None:
        while self._call(self._socket.receive()).type in (
            aiohttp.WSMsgType.TEXT,
            aiohttp.WSMsgType.BINARY,
        ):
            pass
        return self._end()

    def _end(self) -> int | None:
        code = self._socket.close_code
        self._call(self._session.close())
        self._runner.close()
        return code


class WebsocketClient:
    """`websocket-client`, which knows no compression."""

    name = "Python websocket-client"
    fragments = pings = sends_bad_text = reads_while_writing = True
    deflates = False

    def __init__(self, url: str, context: ssl.SSLContext | None, deflate: bool):
        options = {"context": context} if context else None
        self._socket = websocket.create_connection(url, timeout=DEADLINE, sslopt=options)
        self.subprotocol = self._socket.getsubprotocol()
        self.deflated = False

    def send(self, message: str | bytes) -> None:
        text = isinstance(message, str)
        self._socket.send(
            message, websocket.ABNF.OPCODE_TEXT if text else websocket.ABNF.OPCODE_BINARY
        )

    def send_fragments(self, pieces: list[str] | list[bytes]) -> None:
        first = (
            websocket.ABNF.OPCODE_TEXT
            if isinstance(pieces[0], str)
            else websocket.ABNF.OPCODE_BINARY
        )
        for index, piece in enumerate(pieces):
            opcode = websocket.ABNF.OPCODE_CONT if index else first
            last = int(index + 1 == len(pieces))
            data = piece.encode() if isinstance(piece, str) else piece
            self._socket.send_frame(websocket.ABNF.create_frame(data, opcode, last))

    def send_bad_text(self) -> None:
        self._socket.send_frame(
            websocket.ABNF.create_frame(b"\xc3\x28", websocket.ABNF.OPCODE_TEXT)
        )

    def receive(self) -> str | bytes:
        opcode, data = self._socket.recv_data()
        if opcode not in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
            raise CheckFailed(f"wanted a message, got opcode {opcode} {data!r}")
        return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data

    def ping(self, payload: bytes) -> None:
        self._socket.ping(payload)
        got = self._socket.recv_data(control_frame=True)
        expect_equal((got[0], bytes(got[1])), (websocket.ABNF.OPCODE_PONG, payload), "pong")

    def close(self, code: int = 1000, reason: str = "") -> int | None:
        self._socket.send_close(code, reason.encode())
        return self.closed_by_server()

    def closed_by_server(self) -> int | None:
        while (frame := self._socket.recv_data())[0] != websocket.ABNF.OPCODE_CLOSE:
            pass
        self._socket.shutdown()
        return int.from_bytes(frame[1][:2]) if frame[1] else None


PYTHON_CLIENTS = [Websockets, Aiohttp, WebsocketClient]
Client = Websockets | Aiohttp | WebsocketClient


# ---- The conversation --------------------------------------------------------------------------


def handshake(connect: Callable[..., Client], server: Switchboard) -> None:
    client = connect("/echo")
    expect(client.subprotocol is None, f"no subprotocol was asked for, got {client.subprotocol!r}")
    wanted = server.variant.compression and client.deflates
    expect_equal(client.deflated, wanted, "permessage-deflate in the answer")
    expect(isinstance(client.receive(), str), "the greeting is no text")
    client.send("after the greeting")
    expect_equal(client.receive(), "after the greeting", "the echo after the greeting")
    client.close()


def sizes(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    for size in SIZES:
        text = ("abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]
        binary = (bytes(range(256)) * (size // 256 + 1))[:size]
        for message in (text, binary):
            client.send(message)
            expect_equal(client.receive(), message, f"{type(message).__name__} of {size}")
    client.close()


def unicode(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    for text in TEXTS:
        client.send(text)
        expect_equal(client.receive(), text, "the text")
    client.close()


def in_order(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    for index in range(IN_ORDER):
        client.send(f"message {index}")
    for index in range(IN_ORDER):
        expect_equal(client.receive(), f"message {index}", f"message {index}")
    client.close()


def fragments(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    for pieces in (["Hel", "", "lo, ", "wörld"], [b"\x00" * 70_000, b"", b"\xff" * 3]):
        client.send_fragments(pieces)
        expect_equal(client.receive(), pieces[0][:0].join(pieces), "the message")
    client.close()


def pings(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    for payload in (b"one", b"x" * 125):
        client.ping(payload)
    client.send("still here")
    expect_equal(client.receive(), "still here", "the echo after the pings")
    client.close()


def closes(connect: Callable[..., Client], _: Switchboard) -> None:
    for code, reason in CLOSES:
        expect_equal(connect().close(code, reason), code, f"the answer to close {code} {reason!r}")


def too_big(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()

    def send() -> None:
        # The server may close while we still write: that is an error here and no finding.
        with contextlib.suppress(Exception):
            client.send(bytes(MAX_MESSAGE + 1))

    sender = threading.Thread(target=send) if isinstance(client, Websockets) else None
    sender.start() if sender else send()
    expect_equal(client.closed_by_server(), 1009, "the close code after a message too big")
    if sender:
        sender.join(DEADLINE)


def bad_text(connect: Callable[..., Client], _: Switchboard) -> None:
    client = connect()
    client.send_bad_text()
    expect_equal(client.closed_by_server(), 1007, "the close code after invalid UTF-8")


# Name, conversation, and what the library must be able to do for it.
CONVERSATIONS: list[tuple[str, Callable[..., None], str | None]] = [
    ("handshake and greeting", handshake, None),
    ("text and binary of every length form", sizes, None),
    ("unicode", unicode, None),
    (f"{IN_ORDER} messages in order", in_order, None),
    ("fragmented messages", fragments, "fragments"),
    ("pings", pings, "pings"),
    ("close codes", closes, None),
    ("message too big is 1009", too_big, "reads_while_writing"),
    ("invalid UTF-8 is 1007", bad_text, "sends_bad_text"),
]


def run(env: Environment, report: Report) -> None:
    for variant in VARIANTS:
        for library in PYTHON_CLIENTS:
            what = f"echo: {library.name} [{variant}]"
            report.guard(what, run_python, env, report, variant, library)
        for label, client in NODE_CLIENTS.items():
            what = f"echo: {label} [{variant}]"
            report.guard(what, run_node, env, report, variant, label, client)


def run_python(env: Environment, report: Report, variant: Variant, library: type[Client]) -> None:
    server = env.server(variant)

    def connect(path: str = "/echo?greet=0") -> Client:
        context = env.tls.client if variant.tls else None
        return library(server.ws_origin + path, context, variant.compression)

    for name, conversation, needs in CONVERSATIONS:
        if needs is None or getattr(library, needs):
            full_name = f"echo: {library.name}, {name} [{variant}]"
            report.run(full_name, conversation, connect, server)


def run_node(env: Environment, report: Report, variant: Variant, label: str, client: str) -> None:
    server = env.server(variant)
    experimental = client == "built-in" and node_major() < 22
    flags = ("--experimental-websocket",) if experimental else ()
    deflate = "deflate" if variant.compression else "no-deflate"
    name = f"node-{client}-{'tls' if variant.tls else 'plain'}-{deflate}"
    arguments = [client, server.ws_origin, deflate, str(MAX_MESSAGE)]
    with env.node(name, "echo.mjs", *arguments, flags=flags) as script:
        for line in script.unread_lines():
            if line == "end of checks":
                return
            if line.startswith("{"):
                result = json.loads(line)
                full_name = f"echo: {label}, {result['name']} [{variant}]"
                report.record(full_name, result["ok"], result.get("detail", ""))
        raise CheckFailed(f"the script died: {script.tail()}")


def node_major() -> int:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(version.stdout.lstrip("v").split(".")[0])
