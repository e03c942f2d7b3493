#!/usr/bin/env python3
"""Everything a developer runs, from a bare checkout: `python3 dev.py` lists the commands.

Standard library only: it makes `.venv` from `requirements.lock` and runs the command inside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "invitree-stamp.json"
LOCK = ROOT / "requirements.lock"
PYTHON = VENV / "bin" / "python"

USAGE = """\
usage: python3 dev.py COMMAND [ARGUMENTS]

  demo [--once] [--people N] [--port P]  play a whole campaign against a running server
  serve [--port P] [--data DIR]          API and worker, on the embedded database or on DATABASE_URL and REDIS_URL
  test [PYTEST ARGUMENTS]                the tests
  check [--skip STEP]...                 format, lint, types, layers, migrations, API description, tests (also on the
                                         oldest PostgreSQL and Redis that must do): what CI runs
  bench [NAME] [--json]                  what is promised about speed
  prove [NAME] [--quick] [--json]        what is promised about faults
  openapi [--check | --write]            the description of the API: print, compare with openapi.json, write it
  env                                    only make or refresh .venv
  ANYTHING ELSE                          handed to `invitree …` (try `python3 dev.py --help`)
"""


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


# How pip begins the line of a package from the network, and of one from a folder.
TAKEN = ("Collecting ", "Processing ")
# The oldest servers that must do, as Debian 12 has them.
OLDEST_POSTGRES = Path("/usr/lib/postgresql/15/bin")
OLDEST_REDIS = "7.0"
INSTALL_OLDEST = "apt-get install postgresql-15 redis-server"


class SetupError(Exception):
    """The environment could not be made; the message says what to do."""


# -- the environment


def wanted_stamp() -> dict[str, str]:
    return {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "root": str(ROOT),
        "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
    }


def found_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    # A dangling link to a removed interpreter does not "exist".
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two first starts at once would install over each other."""
    with (ROOT / ".venv.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another dev.py that is making .venv …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_environment() -> None:
    wanted = wanted_stamp()
    if found_stamp() == wanted:
        return
    with one_at_a_time():
        found = found_stamp()
        if found == wanted:
            return
        started = time.monotonic()
        # Without a stamp the last install did not finish: nothing in there can be trusted. With one, it is whole.
        if not found or {**found, "lock": ""} != {**wanted, "lock": ""}:
            make_venv()
        STAMP.unlink(missing_ok=True)
        install_lock()
        install_project()
        STAMP.write_text(json.dumps(wanted), "utf-8")
        say(f"Environment ready in {time.monotonic() - started:.0f} s.")


def make_venv() -> None:
    say("Making .venv …")
    ensure_ensurepip()
    shutil.rmtree(VENV, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"Could not make .venv:\n{done.stdout}{done.stderr}")


def ensure_ensurepip() -> None:
    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if not shutil.which("apt-get"):
        raise SetupError("This Python has no `ensurepip`: install your system's package for `venv`, then start again.")
    if os.geteuid() != 0:
        raise SetupError(f"This Python has no `ensurepip`. Run once:  sudo apt-get install -y {package}")
    say(f"Installing {package} …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", package]
    if subprocess.run(install, check=False, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment, stdout=subprocess.DEVNULL)
        if subprocess.run(install, check=False, env=environment, stdout=sys.stderr).returncode != 0:
            raise SetupError(f"Could not install {package}. Run:  apt-get install -y {package}")


def install_lock() -> None:
    total = len(re.findall(r"^[a-z0-9]", LOCK.read_text("utf-8"), re.MULTILINE))
    say(f"Installing what requirements.lock names (about {total} packages) …")
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "-r", str(LOCK)]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as installer:
        for line in installer.stdout or ():
            lines.append(line)
            report_progress(line, sum(seen.startswith(TAKEN) for seen in lines), total)
    if installer.returncode != 0:
        raise SetupError("Could not install the packages; pip said:\n" + "".join(lines[-25:]))


def report_progress(line: str, count: int, total: int) -> None:
    if line.startswith(TAKEN) and (sys.stderr.isatty() or count % 20 == 0):
        end = "\r" if sys.stderr.isatty() else "\n"
        print(
            f"  {min(count, total)}/{total} {line.split()[1].rpartition('/')[2][:50]:<50}",
            end=end,
            file=sys.stderr,
            flush=True,
        )
    elif line.startswith("Installing collected"):
        say(f"  unpacking …{'':<50}")


def install_project() -> None:
    """Makes `import app` and the `invitree` command work, without a build."""
    site = next((VENV / "lib").glob("python3*/site-packages"))
    (site / "invitree.pth").write_text(f"{ROOT}\n", "utf-8")
    script = VENV / "bin" / "invitree"
    # Not a `#!` line with the interpreter's path: that breaks on blanks and on long paths.
    script.write_text('#!/bin/sh\nexec "$(dirname -- "$0")/python" -P -m app.cli "$@"\n', "utf-8")
    script.chmod(0o755)


# -- the commands


def module(name: str, *arguments: str) -> list[str]:
    # -P: a folder named `app` where the command was typed must not shadow ours.
    return [str(PYTHON), "-P", "-m", name, *arguments]


def replace_process(command: list[str]) -> int:
    """Signals then reach the program itself."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - a fixed interpreter and our own module


def run(command: list[str], **variables: str) -> int:
    """Runs from the root of the checkout; an interrupt is the child's to handle."""
    # Our code is compiled once, not by each of the hundreds of processes that the tests and the proofs start.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, cwd=ROOT, env={**inherited, **variables}) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)


def test(arguments: list[str], **variables: str) -> int:
    # Two workers halve the whole suite on two cores; a chosen few start faster alone.
    chosen = list(arguments) or ["-n", str(min(os.cpu_count() or 1, 2)), "--dist", "worksteal"]
    browser = find_chromium()
    if not browser:
        chosen.append(f"--ignore={ROOT / 'tests' / 'browser'}")
    code = run(module("pytest", *chosen), **variables)
    if not browser:
        print("Left out: the browser tests (tests/browser), because no Chromium was found. `apt-get install chromium`.")
    return code


def find_oldest() -> dict[str, str] | None:
    redis = shutil.which("redis-server")
    if not redis or not (OLDEST_POSTGRES / "postgres").exists():
        return None
    said = subprocess.run([redis, "--version"], check=False, capture_output=True, text=True).stdout
    if f" v={OLDEST_REDIS}." not in said:
        return None
    return {"INVITREE_TEST_POSTGRES": str(OLDEST_POSTGRES), "INVITREE_TEST_REDIS": redis}


def test_on_oldest() -> int | None:
    """None: left out, as is allowed anywhere but in continuous integration."""
    servers = find_oldest()
    if servers is None:
        print(f"Left out: the tests on PostgreSQL 15 and Redis {OLDEST_REDIS}. On Debian 12: {INSTALL_OLDEST}")
        return 1 if os.environ.get("CI") == "true" else None
    return test([], **servers)


def steps() -> dict[str, Callable[[], int | None]]:
    return {
        "format": lambda: run(module("ruff", "format", "--check", ".")),
        "lint": lambda: run(module("ruff", "check", ".")),
        "types": lambda: run(module("mypy")),
        "layers": lambda: run([str(VENV / "bin" / "lint-imports")]),
        "migrations": lambda: run(module("app.cli", "migrate", "--check")),
        "openapi": lambda: run(module("app.cli.openapi", "--check")),
        "tests": lambda: test([]),
        "tests-oldest": test_on_oldest,
        "proofs": lambda: run(module("proofs", "--quick")),
    }


def check(arguments: list[str]) -> int:
    every = steps()
    skipped = [name for flag, name in zip(arguments[::2], arguments[1::2], strict=False) if flag == "--skip"]
    if len(arguments) != 2 * len(skipped) or not set(skipped) <= set(every):
        say(f"usage: python3 dev.py check [--skip STEP]...   steps: {' '.join(every)}")
        return 2
    results: list[tuple[str, str, float]] = []
    for name, step in every.items():
        if name in skipped:
            results.append((name, "skipped", 0.0))
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        code = step()
        result = {0: "ok", None: "left out"}.get(code, f"FAILED ({code})")
        results.append((name, result, time.monotonic() - started))
    print(f"\n{'step':<14}{'result':<14}{'seconds':>8}")
    for name, result, seconds in results:
        print(f"{name:<14}{result:<14}{seconds:>8.1f}")
    return 1 if any(result.startswith("FAILED") for _, result, _ in results) else 0


def main(arguments: list[str]) -> int:
    if not arguments:
        print(USAGE, end="")
        return 2
    command, rest = arguments[0], arguments[1:]
    ensure_environment()
    if command == "env":
        return 0
    if command in ("test", "check"):
        return test(rest) if command == "test" else check(rest)
    if command in ("bench", "prove"):
        os.chdir(ROOT)
        return replace_process(module("benchmarks" if command == "bench" else "proofs", *rest))
    if command == "openapi":
        return replace_process(module("app.cli.openapi", *rest))
    return replace_process(module("app.cli", *arguments))


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this check is what tells a user of an older Python
        sys.exit("Invitree needs Python 3.11 or newer; start dev.py with such a python3.")
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        say(f"dev.py: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
