"""PostgreSQL: a cluster made once, started under the launcher, with the three roles and the database in it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.embedded import processes
from app.embedded.account import Account
from app.embedded.binaries import Binaries
from app.embedded.errors import EmbeddedError
from app.embedded.server import ENVIRONMENT, Home, open_home, run_to_end, spawn
from app.embedded.supervisor import Program

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An expected refusal by a constraint is not worth a line each in a log that nobody rotates.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
}
# Only for throw-away clusters of tests: survives a killed server, not a crash of the machine.
# Statistics are those of empty tables there: what is compiled for many rows is asked for a few, hundreds of times.
THROW_AWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "autovacuum_naptime": "10min",
    "jit": "off",
}

# Older ones take the letters' cases from the C library, which must know C.UTF-8.
BUILTIN_LOCALE_SINCE = 17

BOOTSTRAP = """
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %L',
              name, password)
FROM (VALUES {roles}) AS wanted (name, password)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT 'CREATE DATABASE invitree OWNER invitree_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'invitree') \\gexec
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """What the launcher needs of a cluster: its programs, its folder, where it listens, its superuser's password."""

    binaries: Binaries
    home: Home
    sockets: Path
    password: str

    def program(self, account: Account, *, durable: bool) -> Program:
        settings = SETTINGS | ({} if durable else THROW_AWAY) | {"unix_socket_directories": str(self.sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self.binaries.postgres), "-D", self.home.inside, *options]
        return Program(
            name="postgres",
            spawn=lambda: spawn(account, self.home, command, signal.SIGINT),
            explain=self.home.explain,
            may_start=lambda: clear_stale_lock(self.home.path, self.binaries.postgres),
            is_ready=lambda pid: answers(self.home.path, pid),
            # Fast, immediate, and the last resort: a smart shutdown would wait for clients.
            stop_signals=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
        )

    def run(self, sql: str, database: str = "postgres") -> None:
        """As superuser; on standard input, because a command line can be read by every user."""
        command = [str(self.binaries.psql), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(self.sockets), "-U", "postgres", "-d", database]
        environment = {**ENVIRONMENT, "PGPASSWORD": self.password, "PGOPTIONS": "-c client_min_messages=warning"}
        done = subprocess.run(command, input=sql, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EmbeddedError(f"PostgreSQL refused: {done.stderr.strip()}")

    def bootstrap(self, passwords: dict[str, str]) -> None:
        roles = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in passwords.items())
        self.run(BOOTSTRAP.format(roles=roles))


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def identifier(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def answers(folder: Path, pid: int) -> bool:
    """As `pg_ctl` sees it: the postmaster writes its state into the eighth line of its lock file."""
    try:
        lines = (folder / "postmaster.pid").read_text("utf-8").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def clear_stale_lock(folder: Path, program: Path) -> bool:
    """Whether a postmaster may start here.

    A killed postmaster that nobody has reaped, or a stranger with its id, looks alive to PostgreSQL, which then refuses
    to start. What counts is whether any server process still works in the folder: backends outlive a killed postmaster
    for a moment, and starting beside them would corrupt the cluster.
    """
    if not processes.PROC.is_dir():
        return True  # PostgreSQL's own checks decide
    if processes.working_in(folder, program):
        return False
    (folder / "postmaster.pid").unlink(missing_ok=True)
    return True


def make_cluster(
    account: Account, binaries: Binaries, path: Path, password_file: Path, password: str, *, durable: bool
) -> None:
    """Made beside its place and moved there when complete, so that an interrupted start leaves nothing half-made."""
    half_made = path.with_name("postgres.half-made")
    shutil.rmtree(half_made, ignore_errors=True)
    home = open_home(account, half_made)
    try:
        password_file.touch(mode=0o600)
        account.own(password_file)
        password_file.write_text(password, "utf-8")
        command = [str(binaries.initdb), "-D", home.inside, "-U", "postgres", f"--pwfile={password_file}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", *locale_options(binaries), "--no-instructions"]
        command += [] if durable else ["--no-sync"]
        run_to_end(account, home, command)
    finally:
        password_file.unlink(missing_ok=True)
        home.close()
    home.log.unlink(missing_ok=True)
    half_made.rename(path)


def locale_options(binaries: Binaries) -> list[str]:
    """Sorts by code point, and knows all letters' cases: the same on every machine."""
    said = subprocess.run([str(binaries.initdb), "--version"], capture_output=True, text=True, check=True).stdout
    major = int(said.split()[2].partition(".")[0])
    if major >= BUILTIN_LOCALE_SINCE:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C", "--lc-ctype=C.UTF-8"]
