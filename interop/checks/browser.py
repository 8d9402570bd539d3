"""Headless Chromium on the chat page; the pages are driven by node/browser.mjs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile

from harness import (
    ARTIFACTS,
    CheckFailed,
    Environment,
    Report,
    Skipped,
    Switchboard,
    Variant,
    poll,
)

# Starting a browser on a busy machine takes its time.
STEP = 90.0


def run(env: Environment, report: Report) -> None:
    for variant in (Variant(tls=False, compression=False), Variant(tls=True, compression=True)):
        report.guard(f"browser: two pages chat [{variant}]", chat, env, report, variant)


def chat(env: Environment, report: Report, variant: Variant) -> None:
    """Runs the script; each of its steps is a check of its own."""
    chromium = find_chromium()
    server = Switchboard(env, variant)
    profile = tempfile.mkdtemp(prefix="switchboard-chromium-")
    name = f"chat-{'tls' if variant.tls else 'plain'}"
    arguments = [chromium, server.origin, profile, str(ARTIFACTS / name)]
    script = env.node(f"browser-{name}", "browser.mjs", *arguments)
    try:
        while True:
            step = json.loads(script.wait_line(r"^\{.*\}$", STEP)[0])
            if "check" in step:
                full_name = f"browser: {step['check']} [{variant}]"
                report.record(full_name, step["ok"], step.get("detail", ""))
            elif step["ask"] == "kill":
                server.signal(signal.SIGKILL)
                server.wait_exit()
                script.tell("killed")
            elif step["ask"] == "restart":
                server = restarted(env, variant, server.port)
                script.tell("restarted")
            elif step["ask"] == "end":
                return
    finally:
        script.close()
        server.close()
        shutil.rmtree(profile, ignore_errors=True)


def restarted(env: Environment, variant: Variant, port: int) -> Switchboard:
    """A server where the killed one was.

    Meanwhile the port may be somebody's for a moment, as that of a connection.
    """

    def start() -> Switchboard | None:
        with contextlib.suppress(CheckFailed):
            return Switchboard(env, variant, listen=f"127.0.0.1:{port}")
        return None

    return poll(start, f"a server on port {port} again", STEP)


def find_chromium() -> str:
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    for name in filter(None, names):
        if found := shutil.which(name):
            return found
    raise Skipped("there is no Chromium on this machine")
