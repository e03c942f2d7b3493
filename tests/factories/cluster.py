"""A Redis Cluster of three masters on this machine, which tests may kill, pause and move slots in."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from app.embedded.account import Account, find_account
from app.embedded.server import open_home, spawn
from app.embedded.supervisor import Program
from tests.factories.servers import redis_server
from tests.factories.tracking import OwnValkey

MASTERS = 3
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Master:
    """One server, and a client of it that is no cluster's."""

    port: int
    bus: int
    server: OwnValkey
    client: Redis

    @property
    def id(self) -> str:
        found: str = self.ask("MYID")
        return found

    def ask(self, *words: object) -> Any:
        return self.command("CLUSTER", *words)

    def command(self, *words: object) -> Any:
        client: Any = self.client
        found = client.execute_command(*words)
        return found.decode() if isinstance(found, bytes) else found

    def is_synced(self) -> bool:
        return bool(self.client.info("replication").get("master_link_status") == "up")

    def holds_for_master(self, other: Master) -> bool:
        return any(
            line.split()[0] == other.id and "master" in line.split()[2] for line in self.ask("NODES").splitlines()
        )

    def sees_all(self) -> bool:
        try:
            told = str(self.ask("INFO"))
        except (RedisError, OSError):
            return False
        wanted = ("state:ok", f"slots_assigned:{REDIS_CLUSTER_HASH_SLOTS}", f"known_nodes:{MASTERS}", "slots_fail:0")
        return all(f"cluster_{part}\r" in told for part in wanted)


@dataclass(frozen=True, slots=True)
class OwnCluster:
    folder: Path
    masters: list[Master]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{master.port}" for master in self.masters)

    def owner(self, slot: int) -> Master:
        return self.masters[slot * MASTERS // REDIS_CLUSTER_HASH_SLOTS]

    def add_replica(self, cleanup: ExitStack, master: Master) -> Master:
        """Synchronized; to be forgotten by the masters in the end."""
        port, bus = free_ports(2)
        replica = start_master(cleanup, find_account(), self.folder / "replica", port, bus)
        replica.ask("MEET", "127.0.0.1", master.port, master.bus)
        until(lambda: all(replica.id in each.ask("NODES") for each in self.masters))
        replica.ask("REPLICATE", master.id)
        until(replica.is_synced)
        return replica

    def wait(self) -> None:
        until(lambda: all(master.sees_all() for master in self.masters))

    @contextmanager
    def killed(self, master: Master) -> Iterator[None]:
        """What it had is lost, but for its place in the cluster."""
        with master.server.stopped():
            yield
        self.wait()


@contextmanager
def own_cluster() -> Iterator[OwnCluster]:
    account = find_account()
    folder = Path(mkdtemp(prefix="ivt-clu-", dir="/tmp"))
    account.own(folder)
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        ports = free_ports(2 * MASTERS)
        masters = [
            start_master(cleanup, account, folder / f"node-{place}", port, bus)
            for place, (port, bus) in enumerate(zip(ports[::2], ports[1::2], strict=True))
        ]
        cluster = OwnCluster(folder, masters)
        for place, master in enumerate(masters):
            # Rounded up, so that `owner` finds the same by rounding down.
            first, last = (-(-REDIS_CLUSTER_HASH_SLOTS * edge // MASTERS) for edge in (place, place + 1))
            master.ask("ADDSLOTSRANGE", first, last - 1)
            master.ask("SET-CONFIG-EPOCH", place + 1)
            master.ask("MEET", "127.0.0.1", masters[0].port, masters[0].bus)
        cluster.wait()
        yield cluster


def start_master(cleanup: ExitStack, account: Account, folder: Path, port: int, bus: int) -> Master:
    binary = redis_server()
    home = open_home(account, folder)
    cleanup.callback(home.close)
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "cluster-port": bus,
        "cluster-enabled": "yes",
        # Longer than any test lets one stand still.
        "cluster-node-timeout": 5000,
        # One master's death is not the others'.
        "cluster-require-full-coverage": "no",
        "dir": "./",
        "save": "",
        "appendonly": "no",
        "repl-diskless-sync-delay": 0,
    }
    command = [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
    program = Program(
        name=f"master {port}",
        spawn=lambda: spawn(account, home, command, signal.SIGKILL),
        stop_signals=(signal.SIGKILL,),
        is_ready=lambda _pid: answers(port),
        explain=home.explain,
    )
    server = OwnValkey(f"redis://127.0.0.1:{port}", program)
    server.start()
    cleanup.callback(server.stop)
    return Master(port, bus, server, cleanup.enter_context(Redis(port=port, socket_timeout=1.0)))


def free_ports(count: int) -> list[int]:
    """All held until all are found, so that none is found twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
