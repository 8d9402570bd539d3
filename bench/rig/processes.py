"""A server and the generator beside each other, each on a CPU of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .places import RESULTS, generator
from .servers import OURS, Server
from .workloads import Workload

START_DEADLINE = 20.0
# The generator gives up by itself when nothing is answered; this is for when it does not.
RUN_DEADLINE = 240.0
# So many free ports are tried in turn, each of which somebody may take before the server does.
PORTS = 5
PRIORITY = -15


class RunFailed(Exception):
    """What the server or the generator did wrong."""


class PortTaken(RunFailed):
    """Somebody took the port before the server did."""


def run(server: Server, workload: Workload, seconds: float, warm: float) -> dict[str, Any]:
    """One measurement, by a server started for it."""
    for _ in range(PORTS - 1):
        try:
            return run_on(free_port(), server, workload, seconds, warm)
        except PortTaken:
            continue
    return run_on(free_port(), server, workload, seconds, warm)


def run_on(
    port: int, server: Server, workload: Workload, seconds: float, warm: float
) -> dict[str, Any]:
    RESULTS.mkdir(parents=True, exist_ok=True)
    log = RESULTS / "server.log"
    with log.open("w") as output, started(server.words(workload, port), output) as process:
        wait_until_listening(port, process, log)
        # Compilers just in time get more of it.
        warm *= 2 if server.has_runtime else 1
        arguments = [*workload.arguments(seconds, warm), f"--port={port}", f"--pid={process.pid}"]
        if server.raw:
            arguments.append("--raw")
        if workload.has_heartbeat and server.name in OURS:
            arguments.append("--pinged")
        return generate(arguments)


@contextlib.contextmanager
def started(words: list[str], output: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, preexec_fn=lambda: settle(0)
        )
    except OSError as error:
        raise RunFailed(f"the server cannot be started: {error}") from None
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def generate(arguments: list[str]) -> dict[str, Any]:
    """What the generator reports."""
    command = [str(generator()), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: settle(1),
    )
    try:
        report, errors = process.communicate(timeout=RUN_DEADLINE)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"the generator was not done after {RUN_DEADLINE:.0f} s") from None
    finally:
        process.kill()
    if process.returncode:
        raise RunFailed(errors.strip()[-300:] or f"the generator ended with {process.returncode}")
    parsed: dict[str, Any] = json.loads(report)
    return parsed


def settle(index: int) -> None:
    """In a new process: a session of its own, one CPU of those there are, and before all others."""
    os.setsid()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[index % len(cpus)]})
    # Where sessions share the CPUs evenly, priority counts between sessions only by this file.
    # Neither is allowed to everyone.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(PRIORITY))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def settle_behind(index: int) -> None:
    """In a new process: on the CPU of another, after it."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[index % len(cpus)]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_DEADLINE
    while not (sockets := listening(port)) & held_by(process.pid):
        if process.poll() is not None or time.monotonic() > until:
            failure = PortTaken if sockets else RunFailed
            raise failure(f"the server does not listen: {log.read_text()[-300:]}")
        time.sleep(0.02)


def listening(port: int) -> set[str]:
    """The sockets that listen on a port, by the kernel: a connection would be one to measure."""
    local, state = f":{port:04X}", "0A"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {f"socket:[{f[9]}]" for f in fields if f[3] == state and f[1].endswith(local)}


def held_by(session: int) -> set[str]:
    """What the processes of a session have open, as the kernel names it."""
    held = set()
    for folder in Path("/proc").iterdir():
        # Any of them may end meanwhile, and not all let us look.
        with contextlib.suppress(ValueError, OSError):
            if os.getsid(int(folder.name)) == session:
                held |= {os.readlink(file) for file in (folder / "fd").iterdir()}
    return held
