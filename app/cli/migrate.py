"""`invitree migrate`: brings the schema to the newest version; `--check` proves the migrations themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from alembic import command
from alembic.config import Config

from app import embedded
from app.cli import environment
from app.cli.output import Exit, say

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(owner_url: str) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = owner_url
    return config


def upgrade(owner_url: str, revision: str = "head") -> None:
    command.upgrade(alembic_config(owner_url), revision)


def check_migrations(owner_url: str) -> None:
    """Up, down to nothing, up again, and no difference to the models; raises at the first fault."""
    config = alembic_config(owner_url)
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    command.check(config)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Try up, down, up on a scratch database; change nothing.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded database.")] = None,
) -> None:
    """Bring the schema to the newest version, as the owner."""
    if check:
        with (
            tempfile.TemporaryDirectory(prefix="invitree-check-") as folder,
            embedded.start(Path(folder), durable=False) as stack,
        ):
            check_migrations(stack.owner_url)
        say("Migrations go up, down and up again, and match the models.")
        return
    with environment.prepared(data) as ground:
        if ground.owner_url is None:
            say("Set DATABASE_OWNER_URL: only the owner of the tables may change them.")
            raise typer.Exit(Exit.USAGE)
        upgrade(ground.owner_url)
    say("The schema is at its newest version.")
