"""The demonstration: its own account, its table of an order, and the sales that it checks against both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress

from app.cli.demo import books, cashier, checking, funding, opening, paying, spreading, tables
from app.cli.demo.account import Account, Node, Purchase
from app.cli.demo.client import DemoError
from app.cli.demo.command import leaves
from app.cli.demo.stage import Stage
from app.resources import Resources
from app.worker.loop import run_all
from app.worker.tasks import TASKS

# Enough for the play, and nothing that looks at what other tests have left in Redis.
WORK = ("follow_checkouts", "notify_late")
# Of the terminals that the tables have to fit.
COLUMNS = 100


@pytest.fixture
def chain() -> list[Node]:
    top = Node("ptc_1", "mbr_1", "aaaaaaaa", "甲")
    middle = Node("ptc_2", "mbr_2", "bbbbbbbb", "乙", top, invited=True)
    return [top, middle, Node("ptc_3", "mbr_3", "cccccccc", "丙", middle, invited=True)]


def width(rows: Iterable[tuple[str, ...]]) -> int:
    """Of a table, in columns of a terminal."""
    widest = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return sum(widest) + 3 * len(widest) + 1


def bought(buyer: Node, refunded_minor: int = 0) -> Purchase:
    return Purchase("ord_1", buyer, 5_900, 100, refunded_minor=refunded_minor)


@pytest.mark.parametrize(
    ("refunded", "first", "second", "fee"), [(0, 1_770, 590, 59), (999, 1_471, 491, 50), (5_900, 0, 0, 0)]
)
def test_refunds_take_their_part_of_each_share(
    chain: list[Node], refunded: int, first: int, second: int, fee: int
) -> None:
    account = Account(chain, [bought(chain[2], refunded_minor=refunded)])
    assert [account.commission_of(node) for node in chain] == [second, first, 0]
    assert account.fees_minor == fee


def test_what_was_paid_out_and_refunded_afterwards_is_owed(chain: list[Node]) -> None:
    account = Account(chain, [bought(chain[2], refunded_minor=4_900)])
    account.paid_out_minor.update({"mbr_1": 590, "mbr_2": 1_770})
    assert [account.payable_of(node) for node in chain] == [-490, -1_470, 0]
    assert account.withdrawable() == {}


def test_only_sales_in_the_tool_fill_the_funds(chain: list[Node]) -> None:
    in_tool = Purchase("ord_2", chain[2], 5_900, 60, in_tool=True, refunded_minor=900)
    account = Account(chain, [bought(chain[1]), in_tool], topped_up_minor=1_000, spent_minor=300)
    assert account.funds_minor == 5_000 + 1_000 - 300


def test_the_shares_of_an_order_are_all_that_was_paid() -> None:
    order = {
        "amount_minor": 5_900,
        "refunded_minor": 999,
        "platform_fee_bps": 100,
        "platform_fee_minor": 59,
        "platform_fee_refunded_minor": 9,
    }
    levels: list[tables.Share] = [("一级", "", 5_900, "", 1_770, -299), ("二级", "", 5_900, "", 590, -99)]
    *_, merchant, total = tables.all_shares(order, levels)
    assert merchant[3:] == ("5900 − 1770 − 590 − 59 = 3481", 3_481, -592)
    assert total[4:] == (5_900, -999)
    named = ("二级 欧阳小满🎈", "default v1 10%", 5_900, "5900 × 1000 ÷ 10000 = 590", 590, -99)
    assert width(tables.cells(*share) for share in (named, merchant, total)) <= COLUMNS


def test_an_address_is_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), soft_wrap=True, width=40)
    monkeypatch.setattr(tables, "out", shown)
    tables.list_places([("报名 join", address := f"http://127.0.0.1:8000/h5/c/{'m' * 30}/join?code=c7shkrtt")])
    assert isinstance(shown.file, StringIO)
    assert address in shown.file.getvalue().split()


def test_what_several_acts_found_at_once_is_told_one_by_one() -> None:
    one, two = DemoError("one"), DemoError("two")
    found: list[BaseException] = [one, BaseExceptionGroup("", [two])]
    assert leaves(BaseExceptionGroup("", found)) == [one, two]


@asynccontextmanager
async def working(resources: Resources) -> AsyncIterator[None]:
    stop = asyncio.Event()
    worker = asyncio.create_task(run_all([task for task in TASKS if task.name in WORK], resources, stop))
    try:
        yield
    finally:
        stop.set()
        await worker


async def play(stage: Stage) -> None:
    await opening.register(stage)
    await opening.publish(stage)
    await opening.enrol_promoters(stage)
    await spreading.spread(stage)
    await cashier.sell(stage)
    await funding.buy_plan(stage)


async def money(stage: Stage) -> list[str]:
    return [wrong for check in (books.funds, books.checkouts, checking.orders) async for wrong in check(stage)]


async def test_what_friends_buy_is_accounted_for_and_a_wrong_fen_is_named(
    site: str, resources: Resources, tmp_path: Path
) -> None:
    async with httpx.AsyncClient(base_url=site, timeout=60, trust_env=False) as http, working(resources):
        stage = Stage(http, len(cashier.WAYS), tmp_path, Progress(disable=True))
        await play(stage)
        await stage.pass_time(paying.HOLD_SECONDS)
        assert await money(stage) == []
        assert width(stage.seen) <= COLUMNS
        stage.account.topped_up_minor += 5
        stage.account.purchases[0].refunded_minor += 1
        assert {wrong.split()[0] for wrong in await money(stage)} == {"funding", "order"}
