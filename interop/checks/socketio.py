"""Socket.IO: the official clients, python-socketio and the raw wire against a server.

What that server does is written down in socketio-server.md. It exists twice: in Rust, as two
examples, and in Node.js by socket.io itself, so that `--reference` tries the checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from checks import socketio_python
from harness import INTEROP, Environment, Process, Report, expect

# The servers under test: our example and Node's own, started with the same flags.
REFERENCES = {
    "conformance_io": "socketio-reference.cjs",
    "suite_server": "socketio-suite-reference.cjs",
}

TRANSPORTS = ["polling", "websocket", "upgrade"]
# The parser of version 2 has another wire format for msgpack, which nobody serves any more.
CLIENTS = [(4, "json"), (4, "msgpack"), (3, "json"), (3, "msgpack"), (2, "json")]
AREAS = ["connect", "events", "acks", "namespaces", "rooms", "lifetime"]

# Long enough for any conversation on a busy machine.
CALM = ["--ping-interval", "25000", "--ping-timeout", "20000"]
FAST_PINGS = ["--ping-interval", "100", "--ping-timeout", "20000"]
# What suite_server is otherwise, with time for clients to answer.
BEATING = ["--ping-interval", "300", "--ping-timeout", "20000"]
PATIENT = ["--connect-timeout", "45000"]
# python-engineio that disconnects while a POST of its own is under way leaves out its goodbye and
# waits for its poll to end, which takes until the server's next ping: from Node's server just so.
SOON_PINGS = ["--ping-interval", "1000", "--ping-timeout", "20000"]


@contextmanager
def serving(env: Environment, program: str, *flags: str) -> Iterator[str]:
    """The origin of a server, which must be alive and well at the end."""
    if env.reference:
        argv = ["node", INTEROP / "node" / REFERENCES[program]]
    else:
        argv = [env.example(program)]
    env.started += 1
    with Process(f"{program}-{env.started}", [*argv, "--port", "0", *flags]) as server:
        port = server.wait_line(r"^listening (\d+)$")[1]
        yield f"http://127.0.0.1:{port}"
        panics = [line for line in server.lines if "panicked" in line]
        expect(not panics, f"{program} panicked: {panics[:1]}")
        expect(server.is_running(), f"{program} ended: {server.tail()}")


def run(env: Environment, report: Report) -> None:
    for version, parser in CLIENTS:
        for transport in TRANSPORTS:
            label = f"client {version}, {transport}, {parser}"
            report.guard(
                f"socketio: {label}", conversations, env, report, label, version, transport, parser
            )
    report.guard("socketio: HTTP", http, env, report)
    report.guard("socketio: the wires", wires, env, report)
    report.guard("socketio: python-socketio", python, env, report)


def conversations(
    env: Environment, report: Report, label: str, version: int, transport: str, parser: str
) -> None:
    """All areas by one client; recovery and fast heartbeats need servers of their own."""
    flags = ["--parser", parser, *(["--eio3"] if version == 2 else [])]
    areas = AREAS + (["upgrade"] if transport == "upgrade" else [])
    settings = [(areas, []), (["heartbeat"], FAST_PINGS)]
    # Earlier clients do not know of recovery.
    if version == 4:
        settings.append((["recovery"], ["--recovery"]))
        # The client offers it with each WebSocket.
        if transport != "polling":
            settings.append((["events", "acks", "rooms"], ["--deflate"]))
    for wanted, more in settings:
        with serving(env, "conformance_io", *flags, *more) as origin:
            arguments = [str(version), transport, parser, origin, *wanted]
            name = f"{label}, deflate" if "--deflate" in more else label
            script(env, report, name, "socketio.mjs", *arguments)


def http(env: Environment, report: Report) -> None:
    with serving(env, "conformance_io") as origin:
        script(env, report, "HTTP", "socketio-http.mjs", origin)


def wires(env: Environment, report: Report) -> None:
    for label, name, flags in (
        ("engine wire", "engineio-wire.mjs", ["--eio"]),
        ("socket wire", "socketio-wire.mjs", []),
    ):
        with (
            serving(env, "suite_server", *flags, *CALM, *PATIENT) as calm,
            serving(env, "suite_server", *flags) as quick,
            serving(env, "suite_server", *flags, *BEATING, *PATIENT) as beating,
        ):
            script(env, report, label, name, calm, quick, beating)


def python(env: Environment, report: Report) -> None:
    with serving(env, "conformance_io", *SOON_PINGS) as origin:
        socketio_python.run(origin, report)


def script(env: Environment, report: Report, label: str, name: str, *arguments: str) -> None:
    with env.node(
        f"socketio-{label.replace(', ', '-').replace(' ', '-')}", name, *arguments
    ) as node:
        report.follow(node, lambda check: f"socketio: {label}: {check}", env.reference)
