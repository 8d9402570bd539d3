"""The certificate that servers show under TLS: signed by itself, made at the first use and kept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .places import RESULTS


def certificate() -> tuple[Path, Path]:
    """The files of the certificate and of its key."""
    chain, key = RESULTS / "tls-cert.pem", RESULTS / "tls-key.pem"
    if not (chain.exists() and key.exists()):
        if not shutil.which("openssl"):
            raise SystemExit("The TLS workloads need a certificate, and openssl is not here.")
        RESULTS.mkdir(parents=True, exist_ok=True)
        command = ["openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=localhost"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-keyout", str(key), "-out", str(chain)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return chain, key
