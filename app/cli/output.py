"""What every command prints with: tables and JSON on standard output, progress and messages on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.kit.outages import Outages

# Into a file or a pipe an id is never broken over two lines.
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, soft_wrap=True)


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    PARTLY = 4


def say(message: str) -> None:
    err.print(message, highlight=False)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Numbers stand to the right."""
    filled = [list(row) for row in rows]
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(filled) and all(isinstance(row[index], int | float) for row in filled)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        table.add_row(*(str(cell) for cell in row))
    out.print(table)


def show_json(value: Any) -> None:
    out.print(msgspec.json.encode(value).decode(), markup=False, highlight=False)


def progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
    )


@contextmanager
def waiting(what: str, total: int) -> Iterator[tuple[Callable[[int], None], Callable[[str | None], None]]]:
    """A bar, told how many more are done, and what it waits for (None: nothing any more).

    In a file there is no bar: what is waited for has a line now and then.
    """
    outages = Outages()
    with progress() as bar:
        task = bar.add_task(what, total=total)

        def waits(why: str | None) -> None:
            bar.update(task, description=what if why is None else f"{what}, waiting: {escape(why)}")
            if why is not None and not err.is_terminal and outages.is_news(what):
                say(f"{what}, waiting: {escape(why)}")

        yield lambda count: bar.advance(task, count), waits
