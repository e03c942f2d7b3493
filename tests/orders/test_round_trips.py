from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.resources import Resources
from tests.factories.shops import Till

MOST = 8
# Asked once a connection: what kinds of values there are.
_OF_THE_DRIVER = ("'jit'", "typeinfo")


@contextmanager
def counted(resources: Resources) -> Iterator[list[str]]:
    """Whatever is sent to the database as the tenant, by the toolkit or past it, but for BEGIN, COMMIT and its own."""
    statements: list[str] = []
    watched: list[Any] = []

    def note(record: Any) -> None:
        if record.query not in {"BEGIN;", "COMMIT;"} and not any(word in record.query for word in _OF_THE_DRIVER):
            statements.append(record.query)

    def watch(connection: Any, *_: Any) -> None:
        connection.driver_connection.add_query_logger(note)
        watched.append(connection.driver_connection)

    engine = resources.db.app_engine.sync_engine
    event.listen(engine, "checkout", watch)
    try:
        yield statements
    finally:
        event.remove(engine, "checkout", watch)
        for driver in watched:
            driver.remove_query_logger(note)


async def test_an_order_takes_few_statements_however_many_lines_it_has(till: Till) -> None:
    await till.sell()  # opens the accounts
    lines = [{"external_line_id": str(number), "amount_minor": 1_000} for number in range(20)]
    with counted(till.resources) as one:
        await till.sell()
    with counted(till.resources) as many:
        await till.sell(amount_minor=20_000, lines=lines)
    assert len(one) == len(many), many
    assert 4 < len(one) <= MOST, one
