"""`invitree serve`: API and worker as supervised children, on the embedded servers or on those of the environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer

from app.cli import environment
from app.cli.api import API
from app.cli.migrate import upgrade
from app.cli.output import Exit, say
from app.cli.worker import WORKER
from app.embedded import EmbeddedError
from app.embedded.server import guarded
from app.embedded.supervisor import Program, Supervisor
from app.kit import logging
from app.resources import open_resources, require_fit
from app.settings import Ground, Settings, get_settings

START_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    base_url: str
    prepared: environment.Prepared
    supervisor: Supervisor


@contextlib.contextmanager
def running(host: str, port: int, data: Path | None, *, migrate: bool = False) -> Iterator[Running]:
    """API and worker until the end of the context. Raises EmbeddedError with a sentence when they cannot run."""
    with contextlib.ExitStack() as cleanup:
        listener = cleanup.enter_context(listen(host, port))
        base_url = url_of(listener)
        if Ground().public_url is None:
            # Before the servers are described, so that commands beside this one put the same links on posters.
            cleanup.enter_context(environment.entered({"INVITREE_PUBLIC_URL": base_url}))
        prepared = cleanup.enter_context(environment.prepared(data, exclusive=True))
        if prepared.stack is not None or migrate:
            if prepared.owner_url is None:
                raise EmbeddedError("--migrate needs DATABASE_OWNER_URL: only the owner of the tables may change them.")
            upgrade(prepared.owner_url)
        settings = get_settings()
        logging.configure(settings.log_level, as_json=settings.log_json)
        asyncio.run(check(settings))
        variables = dict(os.environ)
        # Only what migrates may act as owner.
        variables.pop("DATABASE_OWNER_URL", None)
        supervisor = Supervisor([api_program(listener, base_url, variables), worker_program(variables)])
        supervisor.start()
        cleanup.callback(supervisor.stop)
        supervisor.wait_ready(START_PATIENCE, only="api")
        yield Running(base_url, prepared, supervisor)


async def check(settings: Settings) -> None:
    """What must not run is said once, here, not again and again by the children."""
    async with open_resources(settings) as resources:
        await require_fit(resources)


def listen(host: str, port: int) -> socket.socket:
    """Held by this process, so that connections wait instead of failing while the API is started again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by each connection. The server, handed a descriptor, takes it for a Unix socket and does not set it;
    # without, every answer on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EmbeddedError(f"Cannot listen on {host}:{port} ({error.strerror}): choose another with --port.") from None
    listener.listen(2048)
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{reachable}:{port}"


def api_program(listener: socket.socket, base_url: str, variables: dict[str, str]) -> Program:
    command = [*API, "--fd", str(listener.fileno())]
    return Program(
        name="api",
        spawn=lambda: spawn(command, variables, (listener.fileno(),)),
        stop_signals=(signal.SIGTERM, signal.SIGKILL),
        is_ready=lambda _pid: is_healthy(base_url),
        explain=lambda: "What it printed above says why.",
    )


def worker_program(variables: dict[str, str]) -> Program:
    return Program(
        name="worker",
        spawn=lambda: spawn(WORKER, variables, ()),
        stop_signals=(signal.SIGTERM, signal.SIGKILL),
        steady_after=1.0,
    )


def spawn(command: list[str], variables: dict[str, str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    here = os.open(environment.CHECKOUT, os.O_RDONLY)
    try:
        return subprocess.Popen(  # noqa: S603 - our own programs
            guarded(command, signal.SIGTERM, folder=here),
            env=variables,
            pass_fds=(here, *descriptors),
            start_new_session=True,  # an interrupt at the terminal is for `serve`, which stops its children in order
        )
    finally:
        os.close(here)


def is_healthy(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/healthz", timeout=1.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
    migrate: Annotated[bool, typer.Option("--migrate", help="On servers of your own: migrate first.")] = False,
) -> None:
    """Run API and worker, on the embedded servers or on DATABASE_URL and REDIS_URL."""
    with stopped_by_signals(), running(host, port, data, migrate=migrate) as served:
        announce(served)
        threading.Event().wait()
    raise typer.Exit(Exit.DONE)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ends what is inside at the first SIGINT or SIGTERM, at any stage; more of them do not disturb the stopping."""

    def interrupt(_number: int, _frame: object) -> None:
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, signal.SIG_IGN)
        # Past the buffers: the signal may have come in the middle of a line that is being printed through them.
        os.write(sys.stderr.fileno(), "Stopping …\n".encode())
        raise KeyboardInterrupt

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def announce(served: Running) -> None:
    say(f"\n  Invitree runs at {served.base_url}  (API description: {served.base_url}/docs)")
    say(f"  Register a merchant: {served.base_url}/h5/r")
    if served.prepared.data_dir is not None:
        say(f"  Data and keys: {served.prepared.data_dir}  (keys.json holds the keys; keep it with the data)")
    say("  Stop with Ctrl-C.\n")
