"""Where the application is cut open: functions by their names, statements by their text, commits by their task."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asyncpg import Connection
from asyncpg.transaction import Transaction
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_cursor

DEAD = 86
# Whoever has a function under a name of its own has the replacement under it.
OURS = ("app.", "proofs.", "tests.")
# Set once a process, before the program runs: there is no other way into patched code.
FIRED: Path | None = None
Action = Callable[[], None]
Wrap = Callable[[Any], Any]


def die() -> None:
    """As by SIGKILL: nothing is closed, nothing is flushed."""
    mark()
    os._exit(DEAD)


def fail(error: Callable[[], BaseException]) -> Action:
    def act() -> None:
        mark()
        raise error()

    return act


def mark() -> None:
    if FIRED is not None:
        FIRED.touch()


class Fuse:
    """Burns once, when it has been asked more than `skip` times."""

    def __init__(self, skip: int) -> None:
        self.left = skip

    def burns(self) -> bool:
        self.left -= 1
        return self.left == -1


def replace(place: str, wrap: Wrap) -> None:
    """`module:name` or `module:Class.name`, wherever it is known by now. AttributeError where it is gone."""
    module, _, path = place.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    original = getattr(holder, name)
    replacement = wrap(original)
    setattr(holder, name, replacement)
    for other in [known for title, known in sys.modules.items() if title.startswith(OURS)]:
        for title in [title for title, value in vars(other).items() if value is original]:
            setattr(other, title, replacement)


def around(
    place: str,
    *,
    before: Action | None = None,
    after: Action | None = None,
    skip: int = 1,
    given: Callable[..., bool] = lambda *_, **__: True,
    result: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Act once at an awaited function: among the calls that `given` and `result` fit, after `skip` of them."""
    fuse = Fuse(skip)

    def wrap(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            fits = given(*args, **kwargs)
            if fits and before is not None and fuse.burns():
                before()
            found = await original(*args, **kwargs)
            if fits and after is not None and result(found) and fuse.burns():
                after()
            return found

        return wrapped

    replace(place, wrap)


def statement(pattern: str, *, before: Action | None = None, after: Action | None = None, skip: int = 0) -> None:
    """Act once at a statement, whoever sends it: the SQL toolkit, or code that speaks to the driver itself."""
    fuse, wanted = Fuse(skip), re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def wrap(original: Any, spell: Callable[[Any], str]) -> Any:
        @functools.wraps(original)
        async def wrapped(self: Any, operation: Any, *args: Any, **kwargs: Any) -> Any:
            burns = wanted.search(spell(operation)) is not None and fuse.burns()
            if burns and before is not None:
                before()
            found = await original(self, operation, *args, **kwargs)
            if burns and after is not None:
                after()
            return found

        return wrapped

    for holder, names in (
        (AsyncAdapt_asyncpg_cursor, ("_prepare_and_execute", "_executemany")),
        (Connection, ("execute", "executemany", "fetch", "fetchrow", "fetchval")),
    ):
        for name in names:
            setattr(holder, name, wrap(getattr(holder, name), str))
    for name in ("copy_records_to_table", "copy_to_table"):
        setattr(Connection, name, wrap(getattr(Connection, name), "COPY {}".format))


def commit(armed_by: str, *, before: Action | None = None, after: Action | None = None, skip: int = 1) -> None:
    """Act once at the commit of a task that has called `armed_by`."""
    fuse = Fuse(skip)
    armed: set[asyncio.Task[Any] | None] = set()

    def wrap(original: Any) -> Any:
        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = await original(*args, **kwargs)
            armed.add(asyncio.current_task())
            return found

        return wrapped

    committing = Transaction.commit

    async def commit_or_not(self: Any) -> None:
        task = asyncio.current_task()
        burns = task in armed and fuse.burns()
        armed.discard(task)
        if burns and before is not None:
            before()
        await committing(self)
        if burns and after is not None:
            after()

    replace(armed_by, wrap)
    setattr(Transaction, "commit", commit_or_not)  # noqa: B010 - a method is not to be assigned, says mypy
