"""`invitree api`: the serving process alone."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

API = [
    *(sys.executable, "-P", "-m", "uvicorn", "app.main:create_server", "--factory"),
    *("--loop", "uvloop", "--http", "app.api.protocol:BoundedProtocol", "--ws", "none"),
    # Access lines, the caller's address behind proxies and the headers are the middleware's.
    *("--no-access-log", "--no-proxy-headers", "--no-server-header", "--log-level", "warning"),
    # Longer than proxies and clients keep an idle connection: whoever closes first must not be the side that is asked.
    *("--timeout-keep-alive", "75"),
    # Answers under way are finished within these seconds; then connections are closed.
    *("--timeout-graceful-shutdown", "5"),
]


def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Run the API alone, on the servers named by the environment."""
    os.execv(API[0], [*API, "--host", host, "--port", str(port)])  # noqa: S606 - signals then reach the API itself
