"""How the binary starts and ends: ports, sockets, refusals and signals."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from checks.python_clients import Websockets, connecting
from harness import (
    DEADLINE,
    VARIANTS,
    Environment,
    Process,
    Report,
    Switchboard,
    Variant,
    expect,
    expect_equal,
    poll,
)

PLAIN = Variant(tls=False, compression=False)
DEFAULT_PORT = 3000


def run(env: Environment, report: Report) -> None:
    for variant in VARIANTS:
        for number in (signal.SIGTERM, signal.SIGINT):
            name = f"lifecycle: {number.name} closes with 1001 and exits 0 [{variant}]"
            report.run(name, ends_on_signal, env, variant, number)
    report.run("lifecycle: a Unix socket serves HTTP and WebSocket", unix_socket, env)
    report.run(
        "lifecycle: the next port when the default one is taken, and says so", port_taken, env
    )
    report.run("lifecycle: a public address open to any origin is refused", public_and_open, env)
    report.run(
        "lifecycle: a taken port that was asked for is an error that names it",
        asked_port_taken,
        env,
    )


def ends_on_signal(env: Environment, variant: Variant, number: signal.Signals) -> None:
    with Switchboard(env, variant) as server, connecting(env, server) as connect:
        paths = ("/echo?greet=0", "/rooms/leaving", "/rooms/leaving")
        clients = [connect(path) for path in paths]
        clients[0].send("are you there?")
        expect_equal(clients[0].receive(), "are you there?", "the echo")
        server.signal(number)
        for client in clients:
            expect_equal(client.closed_by_server(), 1001, "the close code")
        expect_equal(server.wait_exit(), 0, "the exit status")
        expect(not accepts(server.port), "something still listens on the port")


def unix_socket(env: Environment) -> None:
    # Not under build/: the path of a Unix socket has room for 107 bytes only.
    with (
        tempfile.TemporaryDirectory(prefix="switchboard-") as folder,
        Switchboard(env, PLAIN, "--listen", f"unix:{folder}/socket") as server,
    ):
        path = Path(folder) / "socket"
        poll(path.exists, "the socket's file")
        health = subprocess.run(
            ["curl", "-sS", "--fail", "--unix-socket", path, "http://localhost/health"],
            check=False,
            capture_output=True,
            timeout=DEADLINE,
        )
        expect_equal(health.returncode, 0, f"curl's exit status ({health.stderr.decode().strip()})")
        client = Websockets("ws://localhost/echo?greet=0", unix=str(path))
        for message in ("over a file", bytes(70_000)):
            client.send(message)
            expect_equal(client.receive(), message, "the echo")
        client.close()
        client.drop()
        server.signal(signal.SIGTERM)
        expect_equal(server.wait_exit(), 0, "the exit status")
        expect(not path.exists(), "the socket's file is left behind")


def port_taken(env: Environment) -> None:
    with contextlib.ExitStack() as held:
        blocker = held.enter_context(socket.socket())
        blocker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Held by us, or by someone else already: either way it is taken.
        with contextlib.suppress(OSError):
            blocker.bind(("127.0.0.1", DEFAULT_PORT))
            blocker.listen()
        with Process("switchboard-default", [env.bin_dir / "switchboard", "serve"]) as server:
            port = int(server.wait_line(r"http://127\.0\.0\.1:(\d+)/")[1])
            expect(port > DEFAULT_PORT, f"it listens on {port}")
            said = [line for line in server.lines if str(DEFAULT_PORT) in line]
            expect(said, f"nothing says that port {DEFAULT_PORT} is taken: {server.tail()}")
            poll(lambda: accepts(port), "a connection to the port that was printed")


def asked_port_taken(env: Environment) -> None:
    with socket.socket() as blocker:
        blocker.bind(("127.0.0.1", 0))
        blocker.listen()
        port = blocker.getsockname()[1]
        refused(env, ["--listen", f"127.0.0.1:{port}"], str(port))


def public_and_open(env: Environment) -> None:
    refused(env, ["--listen", "0.0.0.0:0", "--allow-origin", "*"], "origin")


def refused(env: Environment, arguments: list[str], told: str) -> None:
    """The binary must end by itself, not with 0, and with a sentence about `told`."""
    argv = [env.bin_dir / "switchboard", "serve", *arguments]
    with Process("switchboard-refused", argv) as server:
        status = server.wait_exit()
        output = "\n".join(server.lines)
    expect(status > 0, f"the exit status is {status}")
    expect(told in output, f"no sentence tells of {told!r}: {output}")
    expect("panicked" not in output, f"it panicked: {output}")


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
