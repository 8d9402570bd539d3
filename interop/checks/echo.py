"""One echo conversation, held by every client library: Python's here, Node's in node/echo.mjs.

The two files hold the same checks under the same names; what a library cannot do (fragments,
pings, compression) is left out for it.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable

from checks.python_clients import PYTHON_CLIENTS, Client, connecting
from harness import (
    MAX_MESSAGE,
    VARIANTS,
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
    # The server may close while we still write: that is an error here and no finding.
    with contextlib.suppress(Exception):
        client.send(bytes(MAX_MESSAGE + 1))
    expect_equal(client.closed_by_server(), 1009, "the close code after a message too big")


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
    for name, conversation, needs in CONVERSATIONS:
        if needs is None or getattr(library, needs):
            full_name = f"echo: {library.name}, {name} [{variant}]"
            report.run(full_name, converse, conversation, env, server, library)


def converse(
    conversation: Callable[..., None],
    env: Environment,
    server: Switchboard,
    library: type[Client],
) -> None:
    with connecting(env, server, library) as connect:
        conversation(connect, server)


def run_node(env: Environment, report: Report, variant: Variant, label: str, client: str) -> None:
    server = env.server(variant)
    experimental = client == "built-in" and node_major() < 22
    flags = ("--experimental-websocket",) if experimental else ()
    deflate = "deflate" if variant.compression else "no-deflate"
    name = f"node-{client}-{'tls' if variant.tls else 'plain'}-{deflate}"
    arguments = [client, server.ws_origin, deflate, str(MAX_MESSAGE)]
    with env.node(name, "echo.mjs", *arguments, flags=flags) as script:
        report.follow(script, lambda check: f"echo: {label}, {check} [{variant}]")


def node_major() -> int:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(version.stdout.lstrip("v").split(".")[0])
