"""The servers that can be measured: ours, and peers on other people's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .certificate import certificate
from .places import BENCH, example, release_dir
from .workloads import Workload

JS = BENCH / "peers-js"
BUN = JS / "node_modules" / ".bin" / "bun"
DENO = JS / "node_modules" / ".bin" / "deno"
GO_PEERS = "go_peers"
# What ours and Bun can besides echo and bcast.
TOPICS_AND_TLS: dict[str, Any] = {"modes": ("echo", "bcast", "topics"), "tls": True}
OURS = ("switchboard", "switchboard_shared", "switchboard_io")
# The peers that ours is set beside, in the order of the tables' columns.
SOCKETIO_PEERS = ("socketio_node", "socketio_bun", "socketioxide")


@dataclass(frozen=True)
class Server:
    name: str
    # Who builds it: "ours", "rust", "node", "bun", "deno" or "go".
    family: str
    # The words of its command. {mode} and {port} are filled in; {option} may become nothing.
    command: tuple[str, ...]
    option: str = ""
    # The option that turns compression on; None: it has none.
    deflate: str | None = None
    modes: tuple[str, ...] = ("echo", "bcast")
    # Answers bytes with bytes, without WebSocket.
    raw: bool = False
    # Serves TLS when it is given --tls-cert=FILE and --tls-key=FILE.
    tls: bool = False
    # Speaks Socket.IO, and nothing else.
    socketio: bool = False

    def can(self, workload: Workload) -> bool:
        if self.socketio != (workload.socketio is not None):
            return False
        if self.raw and (workload.load == "conn" or workload.deflate):
            return False
        if workload.tls and not self.tls:
            return False
        if workload.deflate and self.deflate is None:
            return False
        return workload.mode in self.modes

    def words(self, workload: Workload, port: int) -> list[str]:
        option = self.deflate if workload.deflate else self.option
        words = (word.format(mode=workload.mode, port=port, option=option) for word in self.command)
        chosen = [word for word in words if word]
        if workload.tls:
            chain, key = certificate()
            chosen += [f"--tls-cert={chain}", f"--tls-key={key}"]
        return chosen

    @property
    def has_runtime(self) -> bool:
        """Whether a just-in-time compiler must warm up first."""
        return self.family in ("node", "bun", "deno")


def _ours(name: str, binary: str, **fields: Any) -> Server:
    words = (str(example(binary)), "--port={port}", "--mode={mode}", "{option}")
    return Server(name, "ours", words, **fields)


def _rust(name: str, binary: str | None = None, **fields: Any) -> Server:
    path = str(release_dir(BENCH) / (binary or name))
    return Server(name, "rust", (path, "{mode}", "{port}", "{option}"), **fields)


def _script(
    name: str, family: str, runtime: tuple[str, ...], script: Path, **fields: Any
) -> Server:
    return Server(name, family, (*runtime, str(script), "{mode}", "{port}", "{option}"), **fields)


def _go(name: str) -> Server:
    words = ("env", "GOMAXPROCS=1", str(release_dir(BENCH) / GO_PEERS), name, "{mode}", "{port}")
    return Server(name, "go", (*words, "{option}"), deflate="deflate")


def all_servers() -> dict[str, Server]:
    servers = [
        _ours("switchboard", "bench_server", deflate="--deflate=takeover", **TOPICS_AND_TLS),
        _ours("switchboard_shared", "bench_server", deflate="--deflate=shared", **TOPICS_AND_TLS),
        _rust("raw_tcp", raw=True),
        _rust("axum"),
        _rust("fastwebsockets"),
        _rust("sockudo", deflate="deflate"),
        _rust("tokio_websockets"),
        _rust("tungstenite"),
        _rust("tungstenite_tuned", "tungstenite", option="tuned"),
        _rust("yawc", deflate="deflate"),
        _rust("yawc_tuned", "yawc", option="tuned"),
        _script("ws", "node", ("node",), JS / "ws.js", deflate="deflate"),
        _script("bun", "bun", (str(BUN),), JS / "bun.js", deflate="deflate", **TOPICS_AND_TLS),
        _script(
            "bun_shared", "bun", (str(BUN),), JS / "bun.js", deflate="shared", **TOPICS_AND_TLS
        ),
        _script("deno", "deno", (str(DENO), "run", "--allow-net"), JS / "deno.js"),
        _go("gorilla"),
        _go("gws"),
        _ours("switchboard_io", "bench_socketio", socketio=True),
        _script("socketio_node", "node", ("node",), JS / "socketio.js", socketio=True),
        _script("socketio_bun", "bun", (str(BUN),), JS / "socketio_bun.js", socketio=True),
        _rust("socketioxide", socketio=True),
    ]
    return {server.name: server for server in servers}


def extra(text: str, *, socketio: bool = False) -> Server:
    """A server from the command line, NAME=COMMAND, as ours or its like: an older build, say."""
    name, _, command = text.partition("=")
    words = (*command.split(), "{option}")
    deflate = "--deflate=takeover"
    return Server(name, "extra", words, deflate=deflate, socketio=socketio, **TOPICS_AND_TLS)
