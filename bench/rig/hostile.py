"""Hostile peers: as many as are wanted, of all kinds alike, each replaced once it is cut off. Of a server with TLS
(a third argument, "tls") they never finish the handshake.

A process of its own. It prints a line of JSON once all are there, and another when its input ends.
"""

from __future__ import annotations

import asyncio
import collections
import json
import random
import socket
import sys
from collections.abc import Awaitable, Callable

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
ECHO = "/echo?greet=0"
# A masked frame of 125 bytes: a ping, and binary data.
PINGS = (b"\x89\xfd\0\0\0\0" + bytes(125)) * 10
ECHOES = (b"\x82\xfd\0\0\0\0" + bytes(125)) * 10
# The start of a ClientHello of 16 KB.
HELLO = b"\x16\x03\x01\x3f\x00\x01\x00\x3e\xfc\x03\x03"
# Those who drip do so this often; the server's deadlines are longer.
DRIP = 1.0
# The kernel's buffer of one who does not read.
NARROW = 4096


class Peer:
    """A connection, and how it is spoken to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.loop = asyncio.get_running_loop()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        # Ports of one address would run out.
        self.socket.bind((f"127.0.1.{random.randrange(1, 255)}", 0))
        self.socket.setblocking(False)

    async def connect(self) -> None:
        await self.loop.sock_connect(self.socket, ("127.0.0.1", self.port))

    async def send(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        await self.loop.sock_sendall(self.socket, data)

    async def head(self) -> bytes:
        read = b""
        while b"\r\n\r\n" not in read:
            more = await self.loop.sock_recv(self.socket, 4096)
            if not more:
                raise ConnectionError
            read += more
        return read

    async def until_cut_off(self) -> None:
        while await self.loop.sock_recv(self.socket, 4096):
            pass

    async def drip(self, data: bytes) -> None:
        """Until the server has had enough."""
        while True:
            await self.send(data)
            await asyncio.sleep(DRIP)


async def silent(peer: Peer) -> None:
    await peer.until_cut_off()


async def dripping_head(peer: Peer) -> None:
    await peer.send(f"GET {ECHO} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    await peer.drip(b"x")


async def dripping_later_head(peer: Peer) -> None:
    await peer.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await peer.head()
    await peer.send(f"GET {ECHO} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    await peer.drip(b"x")


async def dripping_body(peer: Peer) -> None:
    sid = await session(peer)
    target = f"POST {POLLING}&sid={sid} HTTP/1.1"
    await peer.send(f"{target}\r\nHost: a\r\nContent-Length: 99999\r\n\r\n4")
    await peer.drip(b"x")


async def session(peer: Peer) -> str:
    """The id of a session that polls."""
    await peer.send(f"GET {POLLING} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = await peer.head()
    while b'"sid":"' not in answer or len(answer.split(b'"sid":"')[1]) < 20:
        more = await peer.loop.sock_recv(peer.socket, 4096)
        if not more:
            raise ConnectionError
        answer += more
    return answer.split(b'"sid":"')[1][:20].decode()


async def deaf_to_pages(peer: Peer) -> None:
    await peer.drip(b"GET /style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 5)


async def deaf_to_pongs(peer: Peer) -> None:
    await peer.send(UPGRADE.format(path=ECHO))
    await peer.head()
    await peer.drip(PINGS)


async def deaf_to_echoes(peer: Peer) -> None:
    await peer.send(UPGRADE.format(path=ECHO))
    await peer.head()
    await peer.drip(ECHOES)


async def vanishing(peer: Peer) -> None:
    """Opens, and is gone after a moment; somewhere on the way."""
    for step in (UPGRADE.format(path=WEBSOCKET)[:50], UPGRADE.format(path=WEBSOCKET)[50:]):
        if random.random() < 0.3:
            return
        await peer.send(step)
    await peer.head()
    await asyncio.sleep(random.random() * 10)


async def vanishing_poll(peer: Peer) -> None:
    """Has a session after a moment, joins, and is gone within a POST or a poll, or after them."""
    await asyncio.sleep(random.random() * 5)
    sid = await session(peer)
    post = f"POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: "
    if random.random() < 0.3:
        return await peer.send(post + "100\r\n\r\n4")
    await peer.send(post + "2\r\n\r\n40")
    await peer.head()
    for _ in range(2):
        # The first poll fetches the welcome, the second waits.
        await peer.send(f"GET {POLLING}&sid={sid} HTTP/1.1\r\nHost: a\r\n\r\n")
        if random.random() < 0.3:
            return
        await asyncio.sleep(random.random())


async def vanishing_upgrade(peer: Peer) -> None:
    """Has a session after a moment, and is gone within its upgrade: within the request or the probe."""
    await asyncio.sleep(random.random() * 5)
    sid = await session(peer)
    probing = Peer(peer.port)
    try:
        await probing.connect()
        request = UPGRADE.format(path=f"{WEBSOCKET}&sid={sid}")
        for step in (request[:50], request[50:]):
            await probing.send(step)
            if random.random() < 0.3:
                return
        await probing.head()
        # "2probe", as a masked text.
        await probing.send(b"\x81\x86\0\0\0\x002probe")
        await asyncio.sleep(random.random())
    finally:
        probing.socket.close()


async def half_open(peer: Peer) -> None:
    """Never answers a ping, and does not say that it is gone."""
    await peer.send(UPGRADE.format(path=random.choice((ECHO, WEBSOCKET))))
    await peer.head()
    await peer.until_cut_off()


async def dripping_hello(peer: Peer) -> None:
    await peer.send(HELLO)
    await peer.drip(b"\0")


async def half_hello(peer: Peer) -> None:
    await peer.send(HELLO)
    await peer.until_cut_off()


async def vanishing_hello(peer: Peer) -> None:
    await peer.send(HELLO[: random.randrange(len(HELLO))])
    await asyncio.sleep(random.random() * 10)


KINDS: tuple[Callable[[Peer], Awaitable[None]], ...] = (
    silent,
    dripping_head,
    dripping_later_head,
    dripping_body,
    deaf_to_pages,
    deaf_to_pongs,
    deaf_to_echoes,
    vanishing,
    vanishing_poll,
    vanishing_upgrade,
    half_open,
)
KINDS_OF_TLS = (silent, dripping_hello, half_hello, vanishing_hello)


class Flood:
    def __init__(self, port: int) -> None:
        self.port = port
        self.there = 0
        self.cut_off: collections.Counter[str] = collections.Counter()

    async def occupy(self, kind: Callable[[Peer], Awaitable[None]], delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            peer = Peer(self.port)
            try:
                await peer.connect()
                self.there += 1
                await kind(peer)
            except OSError:
                # That is what is expected of a server that has had enough.
                pass
            finally:
                peer.socket.close()
            self.there -= 1
            self.cut_off[kind.__name__] += 1


async def main(port: int, count: int, kinds: tuple[Callable[[Peer], Awaitable[None]], ...]) -> None:
    flood = Flood(port)
    # They come within a few seconds: how fast many can connect is another question.
    tasks = [
        asyncio.create_task(flood.occupy(kinds[number % len(kinds)], number / 2000))
        for number in range(count)
    ]
    while flood.there < 0.95 * count:
        await asyncio.sleep(0.1)
    print(json.dumps({"there": flood.there}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"there": flood.there, "cut_off": flood.cut_off}), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    wanted = KINDS_OF_TLS if sys.argv[3:] == ["tls"] else KINDS
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), wanted))
