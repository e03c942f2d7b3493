from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.resources import Resources
from tests.factories.shops import Till

MOST = 8


@contextmanager
def counted(resources: Resources) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engines = [engine.sync_engine for engine in (resources.db.app_engine, resources.db.system_engine)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def test_an_order_takes_few_statements_however_many_lines_it_has(till: Till) -> None:
    await till.sell()  # opens the accounts
    lines = [{"external_line_id": str(number), "amount_minor": 1_000} for number in range(20)]
    with counted(till.resources) as one:
        await till.sell()
    with counted(till.resources) as many:
        await till.sell(amount_minor=20_000, lines=lines)
    assert len(one) == len(many) <= MOST, one
