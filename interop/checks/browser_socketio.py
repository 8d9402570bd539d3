"""Headless Chromium on the chat page in its Socket.IO mode; driven by node/browser-socketio.mjs."""

from __future__ import annotations

import shutil
import tempfile

from checks.browser import find_chromium
from harness import ARTIFACTS, INTEROP, Environment, Report, Switchboard, Variant

CLIENT = INTEROP / "node" / "node_modules" / "socket.io-client" / "dist"


def run(env: Environment, report: Report) -> None:
    for variant in (Variant(tls=False, compression=False), Variant(tls=True, compression=True)):
        report.guard(f"browser: Socket.IO chats [{variant}]", chat, env, report, variant)


def chat(env: Environment, report: Report, variant: Variant) -> None:
    """Runs the script; each of its steps is a check of its own."""
    chromium = find_chromium()
    profile = tempfile.mkdtemp(prefix="switchboard-chromium-")
    name = f"chat-io-{'tls' if variant.tls else 'plain'}"
    try:
        with (
            Switchboard(env, variant, "--socketio-client-dir", str(CLIENT)) as server,
            Switchboard(env, variant) as bare,
        ):
            arguments = [chromium, server.origin, bare.origin, profile, str(ARTIFACTS / name)]
            with env.node(f"browser-{name}", "browser-socketio.mjs", *arguments) as script:
                report.follow(script, lambda check: f"browser, Socket.IO: {check} [{variant}]")
    finally:
        shutil.rmtree(profile, ignore_errors=True)
