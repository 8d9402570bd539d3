"""Hostile peers: as many as are wanted, of all kinds alike, each replaced once it is cut off.

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
    await peer.send(f"GET {POLLING} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    sid = (await peer.head()).split(b'"sid":"')[1][:20].decode()
    target = f"POST {POLLING}&sid={sid} HTTP/1.1"
    await peer.send(f"{target}\r\nHost: a\r\nContent-Length: 99999\r\n\r\n4")
    await peer.drip(b"x")


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


async def half_open(peer: Peer) -> None:
    """Never answers a ping, and does not say that it is gone."""
    await peer.send(UPGRADE.format(path=random.choice((ECHO, WEBSOCKET))))
    await peer.head()
    await peer.until_cut_off()


KINDS: tuple[Callable[[Peer], Awaitable[None]], ...] = (
    silent,
    dripping_head,
    dripping_later_head,
    dripping_body,
    deaf_to_pages,
    deaf_to_pongs,
    deaf_to_echoes,
    vanishing,
    half_open,
)


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


async def main(port: int, count: int) -> None:
    flood = Flood(port)
    # They come within a few seconds: how fast many can connect is another question.
    tasks = [
        asyncio.create_task(flood.occupy(KINDS[number % len(KINDS)], number / 2000))
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
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
