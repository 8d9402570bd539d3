"""The servers that can be measured: ours, and peers on other people's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .certificate import certificate
from .places import BENCH, bench_server, release_dir
from .workloads import Workload

JS = BENCH / "peers-js"
BUN = JS / "node_modules" / ".bin" / "bun"
DENO = JS / "node_modules" / ".bin" / "deno"
GO_PEERS = "go_peers"
OURS = ("switchboard", "switchboard_shared")


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

    def can(self, workload: Workload) -> bool:
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


def _ours(name: str, deflate: str) -> Server:
    words = (str(bench_server()), "--port={port}", "--mode={mode}", "{option}")
    modes = ("echo", "bcast", "topics")
    return Server(name, "ours", words, deflate=f"--deflate={deflate}", modes=modes, tls=True)


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
    bun: dict[str, Any] = {"modes": ("echo", "bcast", "topics"), "tls": True}
    servers = [
        _ours("switchboard", "takeover"),
        _ours("switchboard_shared", "shared"),
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
        _script("bun", "bun", (str(BUN),), JS / "bun.js", deflate="deflate", **bun),
        _script("bun_shared", "bun", (str(BUN),), JS / "bun.js", deflate="shared", **bun),
        _script("deno", "deno", (str(DENO), "run", "--allow-net"), JS / "deno.js"),
        _go("gorilla"),
        _go("gws"),
    ]
    return {server.name: server for server in servers}


def extra(text: str) -> Server:
    """A server from the command line, NAME=COMMAND, as ours or its like: an older build, say."""
    name, _, command = text.partition("=")
    words = (*command.split(), "{option}")
    modes = ("echo", "bcast", "topics")
    return Server(name, "extra", words, deflate="--deflate=takeover", modes=modes, tls=True)
