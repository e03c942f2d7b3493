"""Bringing a database to the newest schema, as its owner."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

INI = Path(__file__).resolve().parents[2] / "alembic.ini"


def config(owner_url: str) -> Config:
    configuration = Config(INI)
    configuration.attributes["url"] = owner_url
    return configuration


def upgrade(owner_url: str, revision: str = "head") -> None:
    command.upgrade(config(owner_url), revision)


def downgrade(owner_url: str, revision: str = "base") -> None:
    command.downgrade(config(owner_url), revision)


def check(owner_url: str) -> None:
    """Raise where the models and the migrations differ."""
    command.check(config(owner_url))
