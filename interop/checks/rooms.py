"""Two client libraries in one room: what one sends, the other reads."""

from __future__ import annotations

import base64
import json
from typing import Self

from checks.python_clients import connecting
from harness import VARIANTS, Environment, Report, Switchboard, Variant, expect_equal, poll


def run(env: Environment, report: Report) -> None:
    for variant in VARIANTS:
        report.run(f"rooms: websockets and npm ws talk [{variant}]", talk, env, variant)
        report.run(
            f"rooms: ?self=1 sends to the sender too [{variant}]", include_self, env, variant
        )


class NodeMember:
    """A member of a room by npm `ws`, told what to do line by line."""

    def __init__(self, env: Environment, server: Switchboard, path: str):
        deflate = "deflate" if server.variant.compression else "no-deflate"
        self._script = env.node("node-room", "room.mjs", server.ws_origin + path, deflate)
        self._script.wait_line("^open$")

    def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "binary"
        data = message.encode() if isinstance(message, str) else message
        self._script.tell(json.dumps({"kind": kind, "data": base64.b64encode(data).decode()}))

    def receive(self) -> str | bytes:
        got = json.loads(self._script.wait_line(r"^\{.*\}$")[0])
        data = base64.b64decode(got["data"])
        return data.decode() if got["kind"] == "text" else data

    def close(self) -> None:
        self._script.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def talk(env: Environment, variant: Variant) -> None:
    server = env.server(variant)
    room = f"talk-{server.port}"
    with connecting(env, server) as connect, NodeMember(env, server, f"/rooms/{room}") as node:
        python = connect(f"/rooms/{room}")
        poll(lambda: server.members(room, env) == 2, "a room of two")
        for message in ("hello, wörld", bytes(range(256)), "", "x" * 100_000):
            # Were a message to come back to its sender, the next one read here would be that.
            python.send(message)
            expect_equal(node.receive(), message, "what npm ws read")
            node.send(message)
            expect_equal(python.receive(), message, "what websockets read")
        for index in range(200):
            python.send(f"message {index}")
        for index in range(200):
            expect_equal(node.receive(), f"message {index}", "the next message in order")
        node.close()
        poll(lambda: server.members(room, env) == 1, "a room of one, after npm ws had left")
    poll(lambda: server.members(room, env) == 0, "an empty room")


def include_self(env: Environment, variant: Variant) -> None:
    server = env.server(variant)
    path = f"/rooms/self-{server.port}"
    with connecting(env, server) as connect, NodeMember(env, server, path) as node:
        alone = connect(f"{path}?self=1")
        poll(lambda: server.members(path.rpartition("/")[2], env) == 2, "a room of two")
        for message in ("to myself", b"\x00\x01"):
            alone.send(message)
            expect_equal(alone.receive(), message, "what came back to the sender")
            expect_equal(node.receive(), message, "what the other member read")
