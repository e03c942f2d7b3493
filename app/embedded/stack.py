"""`start`: a data folder in, running servers and their URLs out."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.embedded import folder, processes, valkey
from app.embedded.account import Account, find_account
from app.embedded.binaries import Binaries, find_binaries
from app.embedded.errors import ProductionError
from app.embedded.postgres import Postgres, identifier, make_cluster
from app.embedded.server import open_home
from app.embedded.supervisor import Supervisor

DATABASE = "invitree"
# A crash may leave a long recovery to do; a server that ends meanwhile is noticed at once.
START_PATIENCE = 120.0
LEFT_BEHIND_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Stack:
    """URLs stay valid while the stack runs, also when a server had to be started again."""

    redis_url: str
    _passwords: dict[str, str]
    _postgres: Postgres
    _supervisor: Supervisor

    def url(self, role: str, database: str = DATABASE) -> str:
        """Without a driver, as `DATABASE_URL` takes it. Roles: `owner`, `app`, `system`."""
        name = f"invitree_{role}"
        return f"postgresql://{name}:{self._passwords[name]}@/{database}?host={self._postgres.sockets}"

    @property
    def owner_url(self) -> str:
        return self.url("owner")

    @property
    def app_url(self) -> str:
        return self.url("app")

    @property
    def system_url(self) -> str:
        return self.url("system")

    @property
    def pids(self) -> dict[str, int]:
        """`postgres` and `valkey`; one is missing while it is being started again."""
        return self._supervisor.pids()

    def check(self, timeout: float = 30.0) -> None:
        """Waits until both servers answer (a dead one is being started again); raises EmbeddedError if one does not."""
        self._supervisor.wait_ready(timeout)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Owned by the owner role. A template may have no connections."""
        copied = f" TEMPLATE {identifier(template)}" if template else ""
        self._postgres.run(f"CREATE DATABASE {identifier(name)} OWNER invitree_owner{copied}")

    def drop_database(self, name: str) -> None:
        """Also when it does not exist; its connections are ended."""
        self._postgres.run(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)")


@contextlib.contextmanager
def start(
    data_dir: Path, *, durable: bool = True, production: bool = False, binaries: Binaries | None = None
) -> Iterator[Stack]:
    """Starts PostgreSQL and Valkey on a folder and stops them at the end. The data are kept.

    `durable=False` is for throw-away data: nothing is forced to disk, and Valkey writes nothing at all. `binaries`:
    others than the wheels'. Raises EmbeddedError when the folder is in use, the platform has no servers, or one does
    not start.
    """
    if production:
        raise ProductionError(
            "The embedded database is not for production: set DATABASE_URL, DATABASE_SYSTEM_URL and REDIS_URL."
        )
    data_dir = data_dir.absolute()
    account = find_account()
    binaries = binaries or find_binaries(account)
    with folder.hold(data_dir), contextlib.ExitStack() as cleanup:
        stop_left_behind(account, data_dir, binaries)
        sockets = folder.make_socket_folder(account)
        cleanup.callback(folder.remove_socket_folder, account, sockets)
        folder.write_record(data_dir, {"sockets": str(sockets), "children": {}})
        yield from run(account, binaries, data_dir, sockets, cleanup, durable=durable)


def run(
    account: Account,
    binaries: Binaries,
    data_dir: Path,
    sockets: Path,
    cleanup: contextlib.ExitStack,
    *,
    durable: bool,
) -> Iterator[Stack]:
    cluster = data_dir / "postgres"
    passwords = folder.load_passwords(data_dir, cluster_exists=cluster.exists())
    superuser, roles = passwords["postgres"], {name: passwords[name] for name in passwords if name != "postgres"}
    if not cluster.exists():
        make_cluster(account, binaries, cluster, sockets / "password", superuser, durable=durable)
    postgres_home = open_home(account, cluster)
    cleanup.callback(postgres_home.close)
    valkey_home = open_home(account, data_dir / "valkey")
    cleanup.callback(valkey_home.close)
    postgres = Postgres(binaries, postgres_home, sockets, superuser)
    programs = [
        postgres.program(account, durable=durable),
        valkey.make_program(account, binaries.valkey, valkey_home, sockets, durable=durable),
    ]

    def remember(pids: dict[str, int]) -> None:
        children = {name: {"pid": pid, "mark": processes.mark_of(pid)} for name, pid in pids.items()}
        folder.write_record(data_dir, {"sockets": str(sockets), "children": children})

    supervisor = Supervisor(programs, remember)
    supervisor.start()
    cleanup.callback(supervisor.stop)
    supervisor.wait_ready(START_PATIENCE)
    postgres.bootstrap(roles)
    yield Stack(f"unix://{sockets / valkey.SOCKET}", passwords, postgres, supervisor)


def stop_left_behind(account: Account, data_dir: Path, binaries: Binaries) -> None:
    """Ends what a killed launcher left: by its record, then by who works in the servers' folders."""
    record = folder.read_record(data_dir)
    found = {child["pid"]: child["mark"] for child in record.get("children", {}).values()}
    for name, binary in (("postgres", binaries.postgres), ("valkey", binaries.valkey)):
        if (data_dir / name).is_dir():
            for pid in processes.working_in(data_dir / name, binary):
                found.setdefault(pid, processes.mark_of(pid))
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    for pid, mark in found.items():
        if mark:
            processes.stop_marked(pid, mark, signals, LEFT_BEHIND_PATIENCE)
    if sockets := record.get("sockets"):
        folder.remove_socket_folder(account, Path(sockets))
