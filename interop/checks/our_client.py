"""Our client, by its example `conformance_client`, against echo servers of other libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable

from harness import (
    DEADLINE,
    INTEROP,
    VARIANTS,
    Environment,
    Process,
    Report,
    Variant,
    expect,
    expect_equal,
)

# What our client may be told; without deflate in the server, an offer must simply be declined.
COMPRESSIONS = ["off", "shared", "takeover"]
PROTOCOL = "echo.interop"


class EchoServer:
    """A foreign echo server: prints `listening PORT`, then `closed CODE REASON` per connection."""

    def __init__(self, process: Process, variant: Variant):
        self.process = process
        port = process.wait_line(r"^listening (\d+)$")[1]
        self.url = f"{'wss' if variant.tls else 'ws'}://{'localhost' if variant.tls else '127.0.0.1'}:{port}/"


def npm_ws(env: Environment, variant: Variant) -> EchoServer:
    name = f"npm-ws-server-{'tls' if variant.tls else 'plain'}-{variant.compression}"
    return EchoServer(env.node(name, "echo_server.mjs", *options(env, variant)), variant)


def websockets(env: Environment, variant: Variant) -> EchoServer:
    name = f"websockets-server-{'tls' if variant.tls else 'plain'}-{variant.compression}"
    argv = [sys.executable, INTEROP / "python" / "echo_server.py", *options(env, variant)]
    return EchoServer(Process(name, argv), variant)


def options(env: Environment, variant: Variant) -> list[str]:
    compression = "on" if variant.compression else "off"
    tls = ["--cert", str(env.tls.cert), "--key", str(env.tls.key)] if variant.tls else []
    return ["--compression", compression, "--protocol", PROTOCOL, *tls]


SERVERS: dict[str, Callable[[Environment, Variant], EchoServer]] = {
    "npm ws": npm_ws,
    "Python websockets": websockets,
}


def run(env: Environment, report: Report) -> None:
    for library, start in SERVERS.items():
        for variant in VARIANTS:
            server = start(env, variant)
            where = f"{library} server [{variant}]"
            for compression in COMPRESSIONS:
                name = f"our client: echoes, compression {compression}, {where}"
                report.run(name, echoes, env, server, "--compression", compression)
            report.run(
                f"our client: subprotocol, {where}", echoes, env, server, "--protocol", PROTOCOL
            )
            if variant.tls:
                report.run(
                    f"our client: refuses a stranger's certificate, {where}", refuses, env, server
                )
            server.process.close()


def echoes(env: Environment, server: EchoServer, *arguments: str) -> None:
    before = len(closes(server))
    status, output = client(env, server, env.tls.ca, *arguments)
    expect_equal(status, 0, f"exit status ({output})")
    # The client has ended: the server learns of each close in order, so the last one is enough.
    server.process.wait_line("^closed ")
    seen = closes(server)[before:]
    expect(
        all(code != "1006" for code in seen),
        f"a connection ended without a close handshake: {seen}",
    )


def refuses(env: Environment, server: EchoServer) -> None:
    status, output = client(env, server, env.tls.stranger)
    expect(status not in (0, 101), f"exit status {status} where a refusal was wanted ({output})")
    expect("certificate" in output.lower(), f"the refusal does not name the certificate: {output}")


def client(env: Environment, server: EchoServer, ca: object, *arguments: str) -> tuple[int, str]:
    trust = ["--ca", str(ca)] if server.url.startswith("wss") else []
    argv = [env.example("conformance_client"), server.url, *trust, *arguments]
    with Process("conformance_client", argv) as process:
        return process.wait_exit(DEADLINE * 3), process.tail()


def closes(server: EchoServer) -> list[str]:
    return [line.split()[1] for line in server.process.lines if line.startswith("closed ")]
