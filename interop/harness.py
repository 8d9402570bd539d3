"""What every check stands on: processes that always end, certificates, and the tally.

Nothing here waits by sleeping for a result: a wait is for a line of output, for a process to end,
or for a condition polled until a deadline.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
INTEROP = ROOT / "interop"
WORK = ROOT / "build" / "interop"
ARTIFACTS = ROOT / "build" / "artifacts"

# How long anything that should be immediate may take on a busy machine.
DEADLINE = 30.0

# The largest message the servers under test accept; the checks send just up to and past it.
MAX_MESSAGE = 4 * 1024 * 1024


class CheckFailed(Exception):
    """What a check found wrong, in one sentence."""


class Skipped(Exception):
    """Why a check cannot run on this machine."""


def expect(condition: object, sentence: str) -> None:
    if not condition:
        raise CheckFailed(sentence)


def expect_equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise CheckFailed(f"{what}: wanted {brief(wanted)}, got {brief(got)}")


def brief(value: object) -> str:
    """A repr that fits on a line, whatever the payload."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


def poll(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """The first truthy result of `condition`, or a failure once the deadline has passed."""
    until = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > until:
            raise CheckFailed(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)


# ---- The tally ---------------------------------------------------------------------------------


@dataclass
class Report:
    """Prints one line per check and counts them."""

    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self, name: str, check: Callable[..., object], *args: object) -> None:
        """One check: `check(*args)` passes unless it raises."""
        began = time.monotonic()
        if self.guard(name, check, *args):
            seconds = time.monotonic() - began
            self.record(name, True, f" ({seconds:.1f} s)" if seconds >= 1 else "")

    def guard(self, name: str, step: Callable[..., object], *args: object) -> bool:
        """Runs `step(*args)`; what it raises is a failure of `name` and never ends the run."""
        try:
            step(*args)
        except Skipped as reason:
            self.skip(name, str(reason))
        except Exception as error:  # noqa: BLE001, a check may fail in any way
            self.record(name, False, describe(error))
        else:
            return True
        return False

    def record(self, name: str, ok: bool, detail: str = "") -> None:
        if ok:
            self.passed += 1
            print(f"ok      {name}{detail}", flush=True)
        else:
            # The list at the end names each; the whole story was told here.
            self.failures.append(f"{name}: {detail.splitlines()[0] if detail else ''}")
            print(f"FAILED  {name}: {detail}", flush=True)

    def follow(self, script: Process, named: Callable[[str], str], reference: bool = False) -> None:
        """Records the checks that a script prints, one JSON object a line, to its `end of checks`.

        Those marked `beyond` are wanted of us, but known to fail against a `reference`.
        """
        for line in script.unread_lines():
            if line == "end of checks":
                return
            if not line.startswith("{"):
                continue
            result = json.loads(line)
            ok, detail = result["ok"], result.get("detail", "")
            if reference and result.get("beyond"):
                detail = f" (known not to hold here: {detail})" if not ok else "it holds here now"
                ok = not ok
            self.record(named(result["name"]), ok, detail)
        raise CheckFailed(f"the script died: {script.tail()}")

    def skip(self, name: str, reason: str) -> None:
        """A check that this machine cannot run; CI's machine must be able to."""
        if os.environ.get("CI") in ("true", "1"):
            self.record(name, False, f"{reason} (in CI this is a failure)")
        else:
            self.skipped += 1
            print(f"SKIPPED {name}: {reason}", flush=True)

    def finish(self, counts: str | None) -> int:
        """Prints the failures once more and the closing line; the exit status."""
        if self.failures:
            print("\nFailed:")
            for failure in self.failures:
                print(f"  {failure}")
        line = f"{self.passed} passed, {len(self.failures)} failed"
        print(f"\n{line}, {self.skipped} skipped" if self.skipped else f"\n{line}", flush=True)
        if counts:
            Path(counts).write_text(f"{self.passed} {len(self.failures)} {self.skipped}\n")
        return 1 if self.failures or not self.passed else 0


def describe(error: Exception) -> str:
    """One line for an exception; for one that is no check's own finding, where it came from too."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, CheckFailed):
        return text
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if str(INTEROP) in frame.filename
    ]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {text}{where}"


# ---- Processes ---------------------------------------------------------------------------------

_running: list[Process] = []


class Process:
    """A child whose output is read as it comes, kept in a log, and which never outlives us."""

    def __init__(self, name: str, argv: list[str | Path], env: dict[str, str] | None = None):
        self.name = name
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self.log = WORK / "logs" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._child = subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | (env or {}),
            # Its own group, so that whatever it starts (a browser) ends with it.
            start_new_session=True,
        )
        _running.append(self)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.log.open("w") as log:
            for line in self._child.stdout:
                log.write(line)
                log.flush()
                self.lines.append(line.rstrip("\n"))
                self._fresh.put(line.rstrip("\n"))
        self._fresh.put(None)

    def wait_line(self, pattern: str, seconds: float = DEADLINE) -> re.Match[str]:
        """The next unread line that matches; fails when the output ends or the time is up."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._fresh.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise CheckFailed(
                    f"{self.name} printed nothing like {pattern!r} within {seconds:g} s; "
                    f"its last lines: {self.tail()}"
                ) from None
            if line is None:
                self._fresh.put(None)
                raise CheckFailed(
                    f"{self.name} ended before printing {pattern!r}; its last lines: {self.tail()}"
                )
            if match := re.search(pattern, line):
                return match

    def unread_lines(self) -> Iterator[str]:
        """Every line from here to the end of the output; each must come within five deadlines.

        That is later than a script gives up a check of its own.
        """
        while True:
            try:
                line = self._fresh.get(timeout=5 * DEADLINE)
            except queue.Empty:
                raise CheckFailed(
                    f"{self.name} fell silent; its last lines: {self.tail()}"
                ) from None
            if line is None:
                self._fresh.put(None)
                return
            yield line

    def tell(self, line: str) -> None:
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait_exit(self, seconds: float = DEADLINE) -> int:
        """The exit status, once all output has been read."""
        try:
            status = self._child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise CheckFailed(
                f"{self.name} still runs after {seconds:g} s; its last lines: {self.tail()}"
            ) from None
        self._reader.join(timeout=seconds)
        return status

    def listens(self, port: int) -> bool:
        """Whether it is this child that listens on a port, as the kernel has it.

        A connection to try it by may reach whoever else has taken the port.
        """
        listening = "0A"
        sockets = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == listening and fields[1].endswith(f":{port:04X}"):
                sockets.add(f"socket:[{fields[9]}]")
        held = set()
        # It may have ended, or close one meanwhile.
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{self._child.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    held.add(os.readlink(file))
        return not held.isdisjoint(sockets)

    def is_running(self) -> bool:
        return self._child.poll() is None

    def tail(self) -> str:
        return " / ".join(self.lines[-4:]) or "(none)"

    def close(self) -> None:
        """Ends the child and everything it started; harmless when it has ended already."""
        for number, grace in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=grace)
                break
        if self in _running:
            _running.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def close_all() -> None:
    for process in list(_running):
        process.close()


def end_children_with_us() -> None:
    """Children are stopped on a normal end, on a failure, and when we are told to stop."""
    atexit.register(close_all)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


# ---- The server under test ---------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One way to run the server or to reach it."""

    tls: bool
    compression: bool

    def __str__(self) -> str:
        return (
            f"{'TLS' if self.tls else 'plain'}, {'deflate' if self.compression else 'no deflate'}"
        )


VARIANTS = [Variant(tls, compression) for tls in (False, True) for compression in (False, True)]


class Switchboard(Process):
    """The real binary, serving on a free loopback port."""

    def __init__(self, env: Environment, variant: Variant, *args: str, listen: str = "127.0.0.1:0"):
        argv: list[str | Path] = [env.bin_dir / "switchboard", "serve", "--listen", listen]
        argv += ["--max-message", str(MAX_MESSAGE)]
        argv += ["--compression", "on" if variant.compression else "off"]
        if variant.tls:
            argv += ["--tls-cert", env.tls.cert, "--tls-key", env.tls.key]
        env.started += 1
        super().__init__(f"switchboard-{env.started}", argv + list(args))
        scheme = "https" if variant.tls else "http"
        try:
            self.port = int(self.wait_line(rf"{scheme}://127\.0\.0\.1:(\d+)/")[1])
        except CheckFailed:
            self.close()
            raise
        self.variant = variant
        self.origin = f"{scheme}://127.0.0.1:{self.port}"
        self.ws_origin = f"{'wss' if variant.tls else 'ws'}://127.0.0.1:{self.port}"

    def get(self, path: str, env: Environment) -> bytes:
        """The body of a GET that succeeds."""
        context = env.tls.client if self.variant.tls else None
        url = self.origin + path
        with urllib.request.urlopen(url, timeout=DEADLINE, context=context) as response:
            return response.read()

    def members(self, room: str, env: Environment) -> int:
        return json.loads(self.get(f"/rooms/{room}", env))["members"]


@dataclass(frozen=True)
class Certificates:
    """A certificate authority of this run's own and a certificate for localhost that it signed."""

    ca: Path
    cert: Path
    key: Path
    # An authority that signed nothing here: a client that trusts only it must refuse.
    stranger: Path

    @property
    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


def make_certificates(folder: Path) -> Certificates:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "leaf.ext").write_text(
        "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
    )
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    authority = (
        "-days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    )
    signer = "-CA ca.pem -CAkey ca.key -CAcreateserial"
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=interop-authority {authority}",
        f"req -x509 {key} -keyout stranger.key -out stranger.pem -subj /CN=stranger {authority}",
        f"req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost",
        f"x509 -req -in leaf.csr {signer} -days 30 -extfile leaf.ext -out leaf.pem",
    ):
        subprocess.run(
            ["openssl", *command.split()], cwd=folder, check=True, capture_output=True, text=True
        )
    return Certificates(
        ca=folder / "ca.pem",
        cert=folder / "leaf.pem",
        key=folder / "leaf.key",
        stranger=folder / "stranger.pem",
    )


@dataclass
class Environment:
    """What the checks share: where the binaries are, the certificates, one server per variant."""

    bin_dir: Path
    tls: Certificates
    # Whether the socketio group tries Node's own server instead of ours, which tries the checks.
    reference: bool = False
    started: int = 0
    _servers: dict[Variant, Switchboard] = field(default_factory=dict)

    def server(self, variant: Variant) -> Switchboard:
        """The server of that variant, started when first asked for and shared by all checks."""
        if variant not in self._servers:
            self._servers[variant] = Switchboard(self, variant)
        return self._servers[variant]

    def end_servers(self, report: Report) -> None:
        """Ends the shared servers; none may have crashed or panicked over what it was sent."""
        for variant, server in self._servers.items():
            report.run(
                f"the server outlived every check and ends well [{variant}]", self._end, server
            )

    @staticmethod
    def _end(server: Switchboard) -> None:
        server.signal(signal.SIGTERM)
        expect_equal(server.wait_exit(), 0, "the exit status")
        panics = [line for line in server.lines if "panicked" in line]
        expect(not panics, f"it panicked: {panics[:1]}")

    def example(self, name: str) -> Path:
        return self.bin_dir / "examples" / name

    def node(self, name: str, script: str, *args: str, flags: tuple[str, ...] = ()) -> Process:
        """A Node.js peer; every certificate it meets is checked against the run's own authority."""
        argv: list[str | Path] = ["node", *flags, INTEROP / "node" / script, *args]
        return Process(
            name, argv, {"NODE_EXTRA_CA_CERTS": str(self.tls.ca), "NODE_NO_WARNINGS": "1"}
        )
