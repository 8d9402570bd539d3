"""The checks that python-socketio, a client written by others, makes of a Socket.IO server."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import socketio

from harness import DEADLINE, CheckFailed, Report, expect, expect_equal

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
VALUES = ["text", "ünï 👋", 1, -2.5, True, None, [], {"a": [{"b": None}]}]
BINARY = [bytes(range(256)), {"deep": [b"", b"\x00\xff"]}, "text"]


@contextmanager
def connected(
    origin: str, transports: list[str], namespace: str = "/", auth: Any = None
) -> Iterator[socketio.Client]:
    client = socketio.Client(reconnection=False)
    client.connect(
        origin, transports=transports, namespaces=[namespace], auth=auth, wait_timeout=DEADLINE
    )
    try:
        yield client
    finally:
        client.disconnect()


def listen(client: socketio.Client, event: str, namespace: str = "/") -> Callable[[], list[Any]]:
    """What gives the arguments of the next `event`."""
    got: queue.Queue[list[Any]] = queue.Queue()
    client.on(event, lambda *args: got.put(list(args)), namespace=namespace)

    def receive() -> list[Any]:
        try:
            return got.get(timeout=DEADLINE)
        except queue.Empty:
            raise CheckFailed(f"{event} did not come") from None

    return receive


def auth(origin: str, transports: list[str]) -> None:
    with connected(origin, transports, auth={"token": "ü"}) as client:
        me = client.call("whoami", timeout=DEADLINE)
        expect_equal(me["auth"], {"token": "ü"}, "the auth")
        expect_equal(me["id"], client.get_sid(), "the id")


def echoes(origin: str, transports: list[str], values: list[Any]) -> None:
    with connected(origin, transports) as client:
        receive = listen(client, "echo")
        # A tuple is several arguments, to this library.
        client.emit("echo", tuple(values))
        expect_equal(receive(), values, "the echo")


def acks(origin: str, transports: list[str], values: list[Any]) -> None:
    with connected(origin, transports) as client:
        got = client.call("ack", tuple(values), timeout=DEADLINE)
        expect_equal(list(got), values, "the ack")


def answers(origin: str, transports: list[str]) -> None:
    with connected(origin, transports) as client:
        client.on("question", lambda text, data: (text * 2, data + b"!"))
        receive = listen(client, "answered")
        client.emit("ask", ("twice", b"binary"))
        expect_equal(receive(), ["twicetwice", b"binary!"], "the answer")


def in_order(origin: str, transports: list[str]) -> None:
    with connected(origin, transports) as client:
        for number in range(200):
            client.emit("collect", number)
        expect_equal(client.call("collected", timeout=DEADLINE), list(range(200)), "the numbers")


def namespaces(origin: str, transports: list[str]) -> None:
    for namespace in ("/custom", "/dynamic-5"):
        with connected(origin, transports, namespace) as client:
            me = client.call("whoami", namespace=namespace, timeout=DEADLINE)
            expect_equal(me["namespace"], namespace, "the namespace")


def refused(origin: str, transports: list[str]) -> None:
    client = socketio.Client(reconnection=False)
    told: queue.Queue[Any] = queue.Queue()
    client.on("connect_error", told.put, namespace="/guarded")
    try:
        client.connect(
            origin, transports=transports, namespaces=["/guarded"], wait_timeout=DEADLINE
        )
    except socketio.exceptions.ConnectionError:
        error = told.get(timeout=DEADLINE)
        expect_equal(error, {"message": "token wanted", "data": {"code": 401}}, "the error")
    else:
        client.disconnect()
        raise CheckFailed("it was let in")


def kicked(origin: str, transports: list[str]) -> None:
    client = socketio.Client(reconnection=False)
    client.connect(origin, transports=transports, wait_timeout=DEADLINE)
    receive = listen(client, "disconnect")
    client.emit("kick", False)
    receive()
    # It hangs up by itself, in a thread of its own. To do so here as well would have one thread empty
    # the queue that the other waits to be written, for the 30 s that this library waits for a packet.
    client.eio.wait()
    expect(not client.connected, "it is still connected")


CHECKS: list[tuple[str, Callable[..., None], list[Any]]] = [
    ("auth", auth, []),
    ("JSON of every kind", echoes, [VALUES]),
    ("binary", echoes, [BINARY]),
    ("ack", acks, [VALUES]),
    ("ack with binary", acks, [BINARY]),
    ("the client answers", answers, []),
    ("200 events in order", in_order, []),
    ("namespaces", namespaces, []),
    ("a refusal with data", refused, []),
    ("the server disconnects", kicked, []),
]


def run(origin: str, report: Report) -> None:
    for label, transports in TRANSPORTS.items():
        for name, check, arguments in CHECKS:
            full_name = f"socketio: python-socketio, {label}: {name}"
            report.run(full_name, check, origin, transports, *arguments)
