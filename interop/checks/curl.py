"""curl, and Python's parsers, against the HTTP side of the port: what a plain HTTP peer sees."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from dataclasses import dataclass

from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as openmetrics

from checks.python_clients import connecting
from harness import (
    DEADLINE,
    Environment,
    Process,
    Report,
    Switchboard,
    Variant,
    expect,
    expect_equal,
    poll,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# RFC 6455, section 1.3: the accept key of a handshake is the digest of its key and this.
ACCEPT = base64.b64encode(
    hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
).decode()

UPGRADE = [
    "-H",
    "Connection: Upgrade",
    "-H",
    "Upgrade: websocket",
    "-H",
    "Sec-WebSocket-Version: 13",
    "-H",
    f"Sec-WebSocket-Key: {KEY}",
]

# What /metrics must tell, as parts of the metrics' names.
METRICS = ["connections", "messages", "bytes", "close", "drop", "limit"]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def run(env: Environment, report: Report) -> None:
    # Compression is between WebSockets: to plain HTTP these two are all there is.
    for variant in (Variant(tls=False, compression=False), Variant(tls=True, compression=False)):
        report.guard(f"curl [{variant}]", run_variant, env, report, variant)


def run_variant(env: Environment, report: Report, variant: Variant) -> None:
    server = env.server(variant)
    scheme = "https" if variant.tls else "http"
    for name, check in {
        "an upgrade is answered 101 with the accept key of its key": upgrade,
        "a plain GET of /echo is answered 426 and told the version": upgrade_required,
        "an unknown version is answered 426 and told the version": unknown_version,
        "an upgrade from another origin is answered 403": foreign_origin,
        "an upgrade from the same origin is answered 101": same_origin,
        "/health is 200": health,
        "/metrics is what Prometheus reads": metrics,
        "/rooms/{name} tells the members as JSON": room,
        "the chat page is HTML under a strict policy": page,
    }.items():
        report.run(f"curl: {name} [{scheme}]", check, env, server)


def upgrade(env: Environment, server: Switchboard) -> None:
    answer = opened(env, server)
    expect_equal(answer.status, 101, "the status")
    expect_equal(answer.headers.get("sec-websocket-accept"), ACCEPT, "Sec-WebSocket-Accept")
    expect_equal(answer.headers.get("upgrade", "").lower(), "websocket", "Upgrade")
    expect_equal(answer.headers.get("connection", "").lower(), "upgrade", "Connection")
    for absent in ("sec-websocket-protocol", "sec-websocket-extensions", "content-length"):
        expect(absent not in answer.headers, f"{absent} is in the answer")


def same_origin(env: Environment, server: Switchboard) -> None:
    expect_equal(opened(env, server, "-H", f"Origin: {origin(server)}").status, 101, "the status")


def foreign_origin(env: Environment, server: Switchboard) -> None:
    for other in ("https://elsewhere.example", "null", f"{origin(server)}.elsewhere.example"):
        answer = fetch(env, server, "/echo", *UPGRADE, "-H", f"Origin: {other}")
        expect_equal(answer.status, 403, f"the status for {other}")


def upgrade_required(env: Environment, server: Switchboard) -> None:
    answer = fetch(env, server, "/echo")
    expect_equal(answer.status, 426, "the status")
    expect_equal(answer.headers.get("sec-websocket-version"), "13", "Sec-WebSocket-Version")
    expect(answer.body.strip(), "no sentence says what is wrong")


def unknown_version(env: Environment, server: Switchboard) -> None:
    request = [part.replace("Version: 13", "Version: 8") for part in UPGRADE]
    answer = fetch(env, server, "/echo", *request)
    expect_equal(answer.status, 426, "the status")
    expect_equal(answer.headers.get("sec-websocket-version"), "13", "Sec-WebSocket-Version")


def health(env: Environment, server: Switchboard) -> None:
    expect_equal(fetch(env, server, "/health").status, 200, "the status")


def metrics(env: Environment, server: Switchboard) -> None:
    before = samples(env, server)
    with connecting(env, server) as connect:
        client = connect()
        for _ in range(7):
            client.send("counted")
            client.receive()
        client.close()
    for part in METRICS:
        expect(any(part in name for name in before), f"no metric tells of {part}")

    def counted() -> bool:
        after = samples(env, server)
        return any("messages" in name and after[name] - before.get(name, 0) >= 7 for name in after)

    poll(counted, "a rise of the count of messages by the 7 that were echoed")


def samples(env: Environment, server: Switchboard) -> dict[str, float]:
    """Every metric's name, with the sum of its samples; its name alone when it has none yet."""
    answer = fetch(env, server, "/metrics")
    expect_equal(answer.status, 200, "the status of /metrics")
    kind = answer.headers.get("content-type", "")
    expect(
        kind.startswith(("text/plain", "application/openmetrics-text")), f"content type {kind!r}"
    )
    parse = openmetrics if kind.startswith("application/openmetrics-text") else text_format
    sums: dict[str, float] = {}
    for family in parse.text_string_to_metric_families(answer.body.decode()):
        expect(family.documentation, f"{family.name} has no help text")
        sums.setdefault(family.name, 0)
        for sample in family.samples:
            sums[family.name] += sample.value
    return sums


def room(env: Environment, server: Switchboard) -> None:
    answer = fetch(env, server, "/rooms/nobody-is-here")
    expect_equal(answer.status, 200, "the status")
    expect(answer.headers.get("content-type", "").startswith("application/json"), "no JSON type")
    expect_equal(json.loads(answer.body), {"room": "nobody-is-here", "members": 0}, "the body")


def page(env: Environment, server: Switchboard) -> None:
    answer = fetch(env, server, "/")
    expect_equal(answer.status, 200, "the status")
    expect(answer.headers.get("content-type", "").startswith("text/html"), "no HTML type")
    policy = answer.headers.get("content-security-policy", "")
    expect(
        "default-src 'none'" in policy or "default-src 'self'" in policy,
        f"the policy is {policy!r}",
    )
    expect("unsafe-" not in policy, f"the policy has a hole: {policy}")
    expect_equal(answer.headers.get("x-content-type-options"), "nosniff", "X-Content-Type-Options")
    referrer = answer.headers.get("referrer-policy", "")
    expect(referrer in ("no-referrer", "same-origin"), f"Referrer-Policy is {referrer!r}")


# ---- curl --------------------------------------------------------------------------------------


def origin(server: Switchboard) -> str:
    """By name, and with TLS: curl then also sends the name (SNI) and checks it."""
    return server.origin.replace("127.0.0.1", "localhost")


def command(env: Environment, server: Switchboard, path: str, *arguments: str) -> list[str]:
    trust = ["--cacert", str(env.tls.ca)] if server.variant.tls else []
    limits = ["--max-time", str(DEADLINE), "--noproxy", "*", "--http1.1"]
    # Not the resolver's business: ::1 with the same port may be somebody else's.
    limits += ["--resolve", f"localhost:{server.port}:127.0.0.1"]
    return ["curl", "-sSiN", *limits, *trust, *arguments, origin(server) + path]


def fetch(env: Environment, server: Switchboard, path: str, *arguments: str) -> Answer:
    """An exchange that ends with the answer."""
    done = subprocess.run(
        command(env, server, path, *arguments),
        check=False,
        capture_output=True,
        timeout=DEADLINE * 2,
    )
    expect_equal(done.returncode, 0, f"curl's exit status ({done.stderr.decode().strip()})")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return parse(head.decode().split("\r\n"), body)


def opened(env: Environment, server: Switchboard, *arguments: str) -> Answer:
    """An upgrade: curl stays connected, so it is ended once the head has come.

    curl prints the head of a 101 only when more bytes follow it: here, the greeting.
    """
    with Process("curl-upgrade", command(env, server, "/echo", *UPGRADE, *arguments)) as curl:
        curl.wait_line(r"^\r?$")
        return parse([line for line in curl.lines if line.strip()], b"")


def parse(head: list[str], body: bytes) -> Answer:
    headers = dict(line.rstrip("\r").split(": ", 1) for line in head[1:])
    names = {name.lower(): value for name, value in headers.items()}
    return Answer(int(head[0].split()[1]), names, body)
