"""`python3 dev.py openapi`: the committed description of the API, written anew or compared with the code.

Not a command of `invitree`: it imports every route, which the others need not wait for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from app.cli.output import Exit, out, say
from app.kit import crypto
from app.main import create_app
from app.settings import Settings

COMMITTED = Path(__file__).resolve().parents[2] / "openapi.json"
# Describing the API opens no connection and seals nothing.
NOWHERE = "postgresql://nobody@nowhere/none"


def describe() -> str:
    settings = Settings(
        database_url=NOWHERE,
        database_system_url=NOWHERE,
        redis_url="redis://nowhere",
        secret_key=SecretStr(crypto.new_key()),
        encryption_keys=SecretStr(f"k1:{crypto.new_key()}"),
        blind_index_key=SecretStr(crypto.new_key()),
        environment="development",
        log_level="warning",
    )
    return json.dumps(create_app(settings).openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def openapi(
    write: Annotated[bool, typer.Option("--write", help="Write openapi.json.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail when openapi.json is not what the code says.")] = False,
) -> None:
    """Print the description of the API."""
    description = describe()
    if write:
        COMMITTED.write_text(description, "utf-8")
    elif not check:
        out.file.write(description)
    elif not COMMITTED.exists() or COMMITTED.read_text("utf-8") != description:
        say("openapi.json differs from the code: run `python3 dev.py openapi --write` and commit it.")
        raise typer.Exit(Exit.FAILED)


if __name__ == "__main__":
    typer.run(openapi)
