#!/usr/bin/env python3
"""Runs the Autobahn test suite against our server, over both of its drivers, and our client, and
judges it.

`./test --only autobahn` runs it; `--full` runs all 517 cases of everyone. The default leaves out
the largest payloads of 12.* and 13.*, and tries the server's second driver on a part of the rest.
Autobahn's own reports stay under build/autobahn/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness import (
    ROOT,
    CheckFailed,
    Process,
    Report,
    describe,
    end_children_with_us,
    expect,
    poll,
)

WORK = ROOT / "build" / "autobahn"
TOTAL = 517
# So many free ports are tried in turn, each of which somebody may take before the suite does.
PORTS = 5

# 12.* and 13.* are the compression classes: for every kind of data (five in 12, seven sets of
# parameters in 13), 18 cases of 1,000 messages each. These are those with payloads of 65,536 and
# 131,072 bytes, whole and in fragments: two thirds of the whole suite's time.
LARGEST = [9, 10, 14, 15, 16, 17, 18]
GROUPS = [f"12.{data}" for data in range(1, 6)] + [f"13.{parameters}" for parameters in range(1, 8)]

# What the driver that gives each connection a task is tried on, where not everything is run: all of
# the protocol and of the limits, and of compression one kind of data and one set of parameters.
TASK_DRIVER = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.*", "13.3.*"]

# Autobahn's 9.1.6 and 9.2.6 send messages of 16 MiB, the suite's largest.
MAX_MESSAGE = 16 * 1024 * 1024

# Cases where NON-STRICT was looked at and found to be what we want, each with the reason.
REVIEWED_NON_STRICT: dict[str, str] = {}

GOOD_CLOSES = ("OK", "INFORMATIONAL")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--full", action="store_true", help="all 517 cases")
    arguments.add_argument("--role", choices=ROLES, help="only this one of ours")
    arguments.add_argument(
        "--cases", nargs="+", metavar="PATTERN", help="only these, e.g. 6.* 7.1.1"
    )
    arguments.add_argument("--bin-dir", type=Path, default=ROOT / "target" / "release")
    arguments.add_argument(
        "--wstest", type=Path, default=ROOT / "build" / "autobahn-venv" / "bin" / "wstest"
    )
    arguments.add_argument("--counts", help="file for the three counts, for ./test")
    options = arguments.parse_args()

    end_children_with_us()
    shutil.rmtree(WORK, ignore_errors=True)
    report = Report()
    try:
        every = all_cases(options.wstest)
        expect(len(every) == TOTAL, f"the suite has {len(every)} cases, not {TOTAL}")
        left_out = (
            [] if options.full else [f"{group}.{size}" for group in GROUPS for size in LARGEST]
        )
        chosen = [options.role] if options.role else list(ROLES)
        cases = {role: [case for case in every if case not in left_out] for role in chosen}
        if options.cases:
            cases = dict.fromkeys(chosen, among(every, options.cases))
        elif not options.full and "server-task" in chosen:
            cases["server-task"] = among(cases["server-task"], TASK_DRIVER)
    except Exception as error:  # noqa: BLE001, nothing can be run: that is the finding
        report.record("autobahn: the suite's list of cases", False, describe(error))
        return report.finish(options.counts)

    for role in chosen:
        print(f"our {role}: {len(cases[role])} of {TOTAL} cases", flush=True)
    failures: dict[str, str] = {}

    def run(role: str) -> None:
        began = time.monotonic()
        try:
            ROLES[role](role, options.bin_dir.resolve(), options.wstest.resolve(), cases[role])
        except Exception as error:  # noqa: BLE001, told with the other findings
            failures[role] = describe(error)
        print(f"-- the {role} role took {time.monotonic() - began:.0f} s", flush=True)

    # wstest keeps one core busy and our side is quick: each role uses a core.
    threads = [threading.Thread(target=run, args=(role,), daemon=True) for role in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for role in chosen:
        if role in failures:
            report.record(f"autobahn: the {role} role ran to its end", False, failures[role])
        judge(report, role, cases[role])
    return report.finish(options.counts)


def all_cases(wstest: Path) -> list[str]:
    """The ids of all cases, as the suite itself lists them."""
    program = (
        "import json; from autobahntestsuite.caseset import CaseSet; "
        "from autobahntestsuite import case as c; "
        "s = CaseSet(c.CaseSetname, c.CaseBasename, c.Cases, c.CaseCategories, c.CaseSubCategories); "
        "print(json.dumps([s.caseClasstoId(k) for k in s.Cases]))"
    )
    # Not from this folder, where its `import autobahn` would find this very file.
    folder = wstest.resolve().parent
    argv = [folder / "python", "-W", "ignore", "-c", program]
    listed = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=folder)
    expect(listed.returncode == 0, f"the suite does not list its cases: {listed.stderr[-300:]}")
    return json.loads(listed.stdout)


def matches(case: str, pattern: str) -> bool:
    """`6.*` means every case of class 6; anything else is one case's id."""
    return case.startswith(pattern[:-1]) if pattern.endswith(".*") else case == pattern


def among(cases: list[str], patterns: list[str]) -> list[str]:
    """Those cases that one of the patterns names."""
    return [case for case in cases if any(matches(case, pattern) for pattern in patterns)]


# ---- The roles ---------------------------------------------------------------------------------


def run_server_role(role: str, bin_dir: Path, wstest: Path, cases: list[str]) -> None:
    driver = "task" if role == "server-task" else "auto"
    argv = [bin_dir / "switchboard", "serve", "--listen", "127.0.0.1:0", "--driver", driver]
    argv += ["--compression", "on", "--max-message", str(MAX_MESSAGE)]
    with Process(f"autobahn-{role}", argv) as server:
        port = server.wait_line(r"http://127\.0\.0\.1:(\d+)/")[1]
        url = f"ws://127.0.0.1:{port}/echo?greet=0"
        spec = write_spec(role, {"servers": [{"agent": "switchboard", "url": url}]}, cases)
        with Process(
            f"autobahn-{role}-fuzzingclient", [wstest, "-m", "fuzzingclient", "-s", spec]
        ) as fuzzer:
            expect(fuzzer.wait_exit(time_limit(cases)) == 0, f"wstest failed: {fuzzer.tail()}")


def run_client_role(role: str, bin_dir: Path, wstest: Path, cases: list[str]) -> None:
    with fuzzing_server(role, wstest, cases) as port:
        argv = [bin_dir / "examples" / "autobahn_client", f"ws://127.0.0.1:{port}", "switchboard"]
        with Process("autobahn-client", argv) as client:
            status = client.wait_exit(time_limit(cases))
            expect(status == 0, f"autobahn_client ended with {status}: {client.tail()}")
        # The last request has the reports written; wstest answers it after that.
        poll(lambda: index(role).exists(), "the report is written")


def has_begun(server: Process, port: int) -> bool:
    return server.listens(port) or not server.is_running()


@contextlib.contextmanager
def fuzzing_server(role: str, wstest: Path, cases: list[str]) -> Iterator[int]:
    """The port of a fuzzing server; another one when somebody else was faster to take it."""
    for _ in range(PORTS):
        port = free_port()
        spec = write_spec(role, {"url": f"ws://127.0.0.1:{port}"}, cases)
        argv = [wstest, "-m", "fuzzingserver", "-s", spec, "-u", "0"]
        with Process("autobahn-fuzzingserver", argv) as server:
            poll(partial(has_begun, server, port), "the fuzzing server listens or ends")
            if server.is_running():
                yield port
                return
            last_words = server.tail()
    raise CheckFailed(f"the fuzzing server listens on none of {PORTS} ports: {last_words}")


ROLES = {
    "server": run_server_role,
    "server-task": run_server_role,
    "client": run_client_role,
}


def write_spec(role: str, what: dict[str, object], cases: list[str]) -> Path:
    folder = WORK / role
    folder.mkdir(parents=True, exist_ok=True)
    spec = WORK / f"{role}-spec.json"
    common = {"outdir": str(folder), "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    spec.write_text(json.dumps(what | common, indent=1))
    return spec


def time_limit(cases: list[str]) -> float:
    """Seconds: ample for a busy machine, yet an end to a run that hangs."""
    return 120 + 5.0 * len(cases)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- The judgement -----------------------------------------------------------------------------


def index(role: str) -> Path:
    return WORK / role / "index.json"


def judge(report: Report, role: str, cases: list[str]) -> None:
    """One check per case, and a table of classes; a case without a result has failed."""
    results = (
        json.loads(index(role).read_text()).get("switchboard", {}) if index(role).exists() else {}
    )
    classes: dict[int, Counter[str]] = defaultdict(Counter)
    for case in cases:
        result = results.get(case)
        classes[int(case.split(".")[0])][result["behavior"] if result else "NO RESULT"] += 1
        finding = judged(case, result)
        if finding is None:
            report.passed += 1
        else:
            report.record(
                f"autobahn, our {role}, case {case}", False, f"{finding}{story(role, result)}"
            )
    unexpected = sorted(set(results) - set(cases))
    if unexpected:
        report.record(f"autobahn, our {role}: only the chosen cases ran", False, str(unexpected))
    print(f"\nOur {role}: {len(results)} results of {len(cases)} cases")
    for number, outcomes in sorted(classes.items()):
        told = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
        seconds = (
            sum(r["duration"] for c, r in results.items() if c.split(".")[0] == str(number)) / 1000
        )
        print(f"  {number:>2}.*  {told:<40} {seconds:6.1f} s")


def judged(case: str, result: dict | None) -> str | None:
    """What is wrong with a result, if anything."""
    if result is None:
        return "no result"
    behavior, closing = result["behavior"], result["behaviorClose"]
    if closing not in GOOD_CLOSES:
        return f"{behavior}, its close {closing}"
    if behavior in ("OK", "INFORMATIONAL"):
        return None
    if behavior == "NON-STRICT" and case in REVIEWED_NON_STRICT:
        return None
    return behavior


def story(role: str, result: dict | None) -> str:
    """What the case does and what came of it, in Autobahn's own words."""
    if result is None:
        return ""
    try:
        told = json.loads((WORK / role / result["reportfile"]).read_text())
    except (OSError, ValueError):
        return ""
    parts = [told.get("description", ""), told.get("result", ""), told.get("resultClose", "")]
    return "".join(f"\n          {' '.join(str(part).split())}" for part in parts if part)


if __name__ == "__main__":
    raise SystemExit(main())
