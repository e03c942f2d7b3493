"""Tables into files: CSV, or XLSX by the file's name; no cell evaluates, and only their owner reads them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.output import Exit, say
from app.kit import clock, spreadsheets
from app.kit.spreadsheets import Cell

OutFile = Annotated[Path | None, typer.Option("--out", help="Also into this file: .csv, or .xlsx.", dir_okay=False)]


def write_sheet(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    is_xlsx = path.suffix.lower() == ".xlsx"
    write_private(
        path,
        spreadsheets.to_xlsx(header, rows, created=clock.utcnow()) if is_xlsx else spreadsheets.to_csv(header, rows),
        lost="Nothing was changed.",
    )
    say(f"Written: {escape(str(path))}")


def write_private(path: Path, content: bytes, *, lost: str) -> None:
    """Whole or not at all, readable by its owner only; `lost` says what to do where it cannot be written."""
    half = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        half.replace(path)
    except OSError as error:
        say(f"{escape(str(path))} could not be written: {error.strerror}. {lost}")
        raise typer.Exit(Exit.FAILED) from None
