"""`invitree serve` as a program: started, killed in parts and as a whole, stopped."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.cli import environment, serve
from app.embedded import EmbeddedError, InUseError, ProductionError
from tests.embedded.helpers import query

KEYS = ("INVITREE_SECRET_KEY", "INVITREE_ENCRYPTION_KEYS", "INVITREE_BLIND_INDEX_KEY")
ROOT = Path(__file__).resolve().parents[2]


def command_line(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-P", "-m", "app.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Served:
    """One `serve` on a free port."""

    def __init__(self, data: Path) -> None:
        self.process = command_line("serve", "--port", "0", "--data", str(data))
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"runs at (\S+)", line):
                self.url = found[1]
                return
        raise AssertionError(f"did not start: {self.process.wait()}")

    def children(self) -> dict[str, int]:
        """The API's and the worker's process ids."""
        found: dict[str, int] = {}
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in path.read_text("ascii").split():
                words = Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")
                name = next((name for name in ("uvicorn", "app.worker") if name in words), None)
                if name:
                    found[name] = int(pid)
        return found


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ivt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"


@pytest.fixture(scope="module")
def served(data: Path) -> Iterator[Served]:
    found = Served(data)
    yield found
    found.process.kill()
    found.process.communicate()


@pytest.fixture
def no_servers_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the other tests' servers have left are put back afterwards."""
    for name in ("DATABASE_URL", "DATABASE_SYSTEM_URL", "DATABASE_OWNER_URL", "REDIS_URL", "INVITREE_ENV", *KEYS):
        monkeypatch.setenv(name, "remembered")
        monkeypatch.delenv(name)


def test_what_dies_comes_back_and_requests_wait_for_it(served: Served) -> None:
    assert httpx.get(f"{served.url}/readyz").json()["database"] == "ok"
    before = served.children()
    assert set(before) == {"uvicorn", "app.worker"}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    # The listening socket outlives the API: the request waits for the next one instead of being refused.
    assert httpx.get(f"{served.url}/readyz", timeout=30).status_code == 200
    deadline = time.monotonic() + 20
    while len(served.children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not set(served.children().values()) & set(before.values())


@pytest.mark.usefixtures("no_servers_named")
def test_a_command_shares_the_running_servers_and_a_second_serve_is_refused(served: Served, data: Path) -> None:
    with environment.prepared(data) as shared:
        assert shared.stack is None
        assert os.environ["INVITREE_PUBLIC_URL"] == served.url
        assert query(os.environ["DATABASE_SYSTEM_URL"], "SELECT count(*) > 0 FROM plans") == [(True,)]
    with pytest.raises(InUseError), serve.running("127.0.0.1", 0, data):
        pass


def test_a_killed_serve_takes_its_children_along_and_keeps_the_keys(served: Served, data: Path) -> None:
    keys, children = (data / "keys.json").read_bytes(), served.children().values()
    served.process.kill()
    served.process.communicate()
    again = Served(data)
    assert (data / "keys.json").read_bytes() == keys
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "the killed server's children live on"
        time.sleep(0.05)
    again.process.send_signal(signal.SIGTERM)
    _, said = again.process.communicate(timeout=20)
    assert again.process.returncode == 0, said
    assert not (data / "running.json").exists()


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EmbeddedError, match="another with --port"):
        serve.listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.usefixtures("no_servers_named")
def test_production_refuses_the_embedded_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVITREE_ENV", "production")
    with pytest.raises(ProductionError, match="not for production"), serve.running("127.0.0.1", 0, tmp_path):
        pass


def test_missing_settings_are_named_before_anything_starts() -> None:
    process = command_line("serve", "--port", "0", DATABASE_URL="postgresql://somewhere/x")
    _, output = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "DATABASE_SYSTEM_URL: Field required" in output
    assert "INVITREE_SECRET_KEY" in output
