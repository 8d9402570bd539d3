"""One small blocking face for three Python WebSocket libraries.

The class attributes tell what a library cannot do: then the checks that need it leave it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp
import websocket
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.client import unix_connect as websockets_unix_connect
from websockets.exceptions import ConnectionClosed

from harness import DEADLINE, MAX_MESSAGE, CheckFailed, Environment, Switchboard, expect_equal

T = TypeVar("T")


class OnLoop:
    """What the asyncio libraries share: a loop of their own, run one call at a time.

    Not the blocking client of `websockets`: it reads and writes one TLS socket from two threads,
    and over TLS its handshake was seen to hang now and then (on Python 3.11).
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def _call(self, what: Coroutine[Any, Any, T]) -> T:
        async def within_deadline() -> T:
            return await asyncio.wait_for(what, DEADLINE)

        return self._runner.run(within_deadline())


class Websockets(OnLoop):
    """`websockets`."""

    name = "Python websockets"
    deflates = fragments = pings = sends_bad_text = reads_while_writing = True

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext | None = None,
        deflate: bool = False,
        unix: str | None = None,
    ):
        super().__init__()
        options = {
            "compression": "deflate" if deflate else None,
            "max_size": 2 * MAX_MESSAGE,
            "open_timeout": DEADLINE,
            "ping_interval": None,
        }

        async def opened():
            if unix:
                return await websockets_unix_connect(unix, url, **options)
            return await websockets_connect(url, ssl=context, proxy=None, **options)

        self._socket = self._call(opened())
        self.subprotocol = self._socket.subprotocol
        self.deflated = bool(self._socket.protocol.extensions)

    def send(self, message: str | bytes) -> None:
        self._call(self._socket.send(message))

    def send_fragments(self, pieces: list[str] | list[bytes]) -> None:
        self._call(self._socket.send(pieces))

    def send_bad_text(self) -> None:
        self._call(self._socket.send(b"\xc3\x28", text=True))

    def receive(self) -> str | bytes:
        return self._call(self._socket.recv())

    def ping(self, payload: bytes) -> None:
        async def round_trip() -> None:
            await (await self._socket.ping(payload))

        self._call(round_trip())

    def close(self, code: int = 1000, reason: str = "") -> int | None:
        self._call(self._socket.close(code, reason))
        return self._received()

    def closed_by_server(self) -> int | None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._call(self._socket.recv())
        return self._received()

    def _received(self) -> int | None:
        received = self._socket.protocol.close_rcvd
        return received.code if received else None

    def drop(self) -> None:
        if not self._socket.transport.is_closing():
            self._socket.transport.abort()
        self._runner.close()


class Aiohttp(OnLoop):
    """`aiohttp`."""

    name = "Python aiohttp"
    deflates = pings = True
    fragments = sends_bad_text = reads_while_writing = False

    def __init__(self, url: str, context: ssl.SSLContext | None, deflate: bool):
        super().__init__()
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
        return self._socket.close_code

    def drop(self) -> None:
        self._call(self._session.close())
        self._runner.close()


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

    def drop(self) -> None:
        self._socket.shutdown()


PYTHON_CLIENTS = [Websockets, Aiohttp, WebsocketClient]
Client = Websockets | Aiohttp | WebsocketClient


@contextlib.contextmanager
def connecting(
    env: Environment, server: Switchboard, library: type[Client] = Websockets
) -> Iterator[Callable[..., Client]]:
    """Gives a function that connects to a path of the server; drops all that it connected."""
    context = env.tls.client if server.variant.tls else None
    with contextlib.ExitStack() as opened:

        def connect(path: str = "/echo?greet=0") -> Client:
            client = library(server.ws_origin + path, context, server.variant.compression)
            opened.callback(client.drop)
            return client

        yield connect
