"""What a client sees of faults that are the database's."""

from __future__ import annotations

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.api.errors import problem, translate
from app.kit.errors import Unavailable
from app.resources import Resources


@pytest.mark.parametrize(
    ("state", "code"),
    [("40P01", "transaction_conflict"), ("40001", "transaction_conflict"), ("53300", "database_busy")],
)
async def test_what_may_be_sent_again_is_said_so(resources: Resources, state: str, code: str) -> None:
    raising = text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
    with pytest.raises(DBAPIError) as raised:
        async with resources.db.system() as session:
            await session.execute(raising)
    known = translate(raised.value)
    assert known is not None
    assert (known.status, known.code) == (503, code)
    assert known.retry_after


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.DeadlockDetectedError("deadlock detected"), "transaction_conflict"),
        (ConnectionError("connection is closed"), "database_unavailable"),
    ],
)
def test_what_the_driver_itself_says_is_told_alike(error: Exception, code: str) -> None:
    known = translate(error)
    assert known is not None
    assert (known.status, known.code) == (503, code)


async def test_a_refused_statement_is_a_fault_of_ours(resources: Resources) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with resources.db.system() as session:
            await session.execute(text("SELECT no_such_column"))
    assert translate(raised.value) is None


def test_a_503_always_says_when_to_come_again() -> None:
    answer = problem(Unavailable("registration_closed", "Later."), request_id="req", instance="/")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("refusal", "code", "seconds"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "database_unavailable", "2"),
        (asyncpg.AdminShutdownError("terminating connection"), "database_unavailable", "2"),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "database_busy", "5"),
    ],
    ids=["starts", "ends", "full"],
)
async def test_a_server_that_takes_no_connection_is_away_or_busy(
    api: httpx.AsyncClient,
    resources: Resources,
    refusal: Exception,
    code: str,
    seconds: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers, so that the driver raises its own error where SQLAlchemy wraps none."""

    def refuse() -> None:
        raise refusal

    monkeypatch.setattr(resources.db, "glance", refuse)
    answer = await api.get("/v1/campaigns")
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert answer.headers["retry-after"] == seconds
