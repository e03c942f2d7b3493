"""Structured logs: one JSON object a line in production, coloured lines at a terminal. Nobody's data goes in."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, cast

import structlog

# Where errors quote what people sent: PostgreSQL the row, its driver an argument, the validators their input.
_QUOTED = re.compile(
    r"(?s:(?<=DETAIL:).*?(?=HINT:|CONTEXT:|\[SQL:|\[parameters:|\n\n|'\)|\Z))"
    r"|(?<=query argument \$)\d+: .*"
    r"|(?<=invalid input syntax for type )[\w ]+: .*"
    r"|(?<='input': ).*"
    r"|(?<=input_value=).*(?=, input_type=)"
)


def processors(*, as_json: bool) -> list[Any]:
    """What an event goes through on its way to a line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Here and not by the renderer, which would show the values of local variables at a terminal.
        structlog.processors.format_exc_info,
        hide_values,
    ]
    if as_json:
        return [*shared, structlog.processors.JSONRenderer()]
    return [*shared, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def hide_values(_logger: Any, _method: str, event: Any) -> Any:
    """The text of errors without the values that it quotes."""
    for name in ("error", "exception"):
        if isinstance(event.get(name), str):
            event[name] = _QUOTED.sub("…", event[name])
    return event


def configure(level: str, *, as_json: bool) -> None:
    structlog.configure(
        processors=processors(as_json=as_json),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(logger_name=name))
