"""What happens to one order, told in any order and more than once: it ends as if it had been told in the usual one."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import text

from app.campaigns.document import RewardRule
from app.cli.output import progress
from app.kit import ids
from app.kit.errors import InvitreeError
from app.models import Participant
from app.referrals.identity import MemberIdentity
from app.resources import Resources
from app.rewards.service import grant_all_due
from app.signups.service import sign_up
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from proofs.money import checks
from proofs.money.desk import Desk, open_desk
from tests.factories.campaigns import TWO_LEVELS

Outcome = Literal["", "failed", "paid"]
Refunds = Mapping[str, tuple[int, Mapping[str, int] | None]]
SAMPLE = 15
PATIENCE = 1_800
REPEATED = 0.4
SEED = 20_261_122
ON_PURCHASE = (
    RewardRule(key="buyer_days", on="order_paid", to="invitee", days=30),
    RewardRule(key="inviter_days", on="order_paid", to="inviter", days=30, cap_days=365),
)
# What comes too early is told again later, as its sender would; what comes too late stays undone.
NOT_NOW = frozenset({"order_not_found", "nothing_payable", "below_minimum", "withdrawal_missing", "order_refunded"})
_END = text("""
    SELECT 'order', status, refunded_minor::text, platform_fee_refunded_minor::text FROM orders WHERE merchant_id = :m
    UNION ALL SELECT 'line', external_line_id, refunded_minor::text, '' FROM order_lines WHERE merchant_id = :m
    UNION ALL SELECT 'refund', external_refund_id, status, amount_minor::text FROM refunds WHERE merchant_id = :m
    UNION ALL SELECT 'days', side, status, (SELECT coalesce(bool_or(m.ends_at > :soon), false)::text FROM memberships m
                     WHERE m.merchant_id = r.merchant_id AND m.member_id = r.member_id) FROM rewards r
              WHERE merchant_id = :m
    UNION ALL SELECT 'commission', l.external_line_id, c.level::text, sum(c.amount_minor)::text FROM commissions c
              JOIN order_lines l ON l.merchant_id = c.merchant_id AND l.id = c.line_id WHERE c.merchant_id = :m
              GROUP BY l.external_line_id, c.level
    ORDER BY 1, 2, 3, 4
""")
_PLACES = text("""
    SELECT a.kind, CASE a.member_id WHEN :first THEN 'first' WHEN :second THEN 'second' ELSE '' END,
           sum(e.amount_minor)::bigint
    FROM ledger_accounts a JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
    WHERE a.merchant_id = :m GROUP BY 1, 2 HAVING sum(e.amount_minor) <> 0
""")


@dataclass(frozen=True, slots=True)
class Kind:
    """One history: refunds by name (amount, lines), where the hold begins, and what becomes of a withdrawal.

    `alike`: refunds of the same sums in other parts, as which it must end.
    """

    refunds: Refunds
    hold_from: Literal["payment", "fulfilment"]
    outcome: Outcome = ""
    lines: Mapping[str, int] = field(default_factory=lambda: {"1": 5_900})
    alike: Refunds | None = None

    def events(self) -> list[str]:
        return ["order", *self.refunds, "fulfil", "time", *(["withdraw", "result"] if self.outcome else [])]


TWO_LINES = {"1": 5_900, "2": 333}
BY_LINE = {"a": (1_001, {"1": 1_001}), "b": (100, {"2": 100}), "c": (333, {"1": 333})}
PARTS = {"a": (1_001, None), "b": (77, None)}
FULL: Refunds = {**PARTS, "rest": (4_822, None)}
BACK = {"a": (1_001, {"1": 1_001}), "rest": (5_232, {"1": 4_899, "2": 333})}
# Of lines that rounding tells apart; with names and without, in part and wholly, and the same in other parts.
THREE_LINES = {"1": 5_900, "2": 333, "3": 7}
LOOSE: Refunds = {"a": (1_001, None), "b": (78, None), "c": (1, None)}
MIXED: Refunds = {"a": (1_001, None), "b": (200, {"2": 200}), "c": (777, {"1": 770, "3": 7}), "d": (333, None)}
MIXED_WHOLE: Refunds = {"a": (3_000, None), "b": (333, {"2": 333}), "rest": (2_907, None)}
CUT_LOOSE: Refunds = {"a": (540, None), "b": (540, None)}
CUT_MIXED: Refunds = {"a": (7, {"3": 7}), "b": (1_334, None), "c": (970, {"1": 770, "2": 200})}
HISTORIES: tuple[tuple[Refunds, Mapping[str, int], Refunds | None], ...] = (
    (PARTS, {"1": 5_900}, None),
    (FULL, {"1": 5_900}, None),
    (BY_LINE, TWO_LINES, None),
    (BACK, TWO_LINES, None),
    (LOOSE, THREE_LINES, None),
    (MIXED, THREE_LINES, None),
    (MIXED_WHOLE, THREE_LINES, None),
    (CUT_LOOSE, THREE_LINES, LOOSE),
    (CUT_MIXED, THREE_LINES, MIXED),
)
KINDS = tuple(
    Kind(refunds, hold_from, outcome, lines, alike)
    for refunds, lines, alike in HISTORIES
    for hold_from in ("payment", "fulfilment")
    for outcome in ("", "failed", "paid")
)


@dataclass(slots=True)
class Telling:
    """One tenant, one order. `withdrawn`: what a payout that was paid has taken out of the house."""

    desk: Desk
    buyer: Participant
    kind: Kind
    batch: str = ""
    withdrawal: str = ""
    withdrawn: int = 0

    async def tell(self, event: str) -> None:
        """Raises what the use cases raise."""
        tellers: dict[str, Callable[[], Awaitable[Any]]] = {
            "order": lambda: self.desk.sell("order", self.kind.lines, paid_at=self.paid_at, buyer=self.buyer),
            "fulfil": lambda: self.desk.fulfil("order", at=self.paid_at + timedelta(hours=1)),
            "time": self.pass_time,
            "withdraw": self.withdraw,
            "result": self.result,
        }
        if event in self.kind.refunds:
            amount, lines = self.kind.refunds[event]
            await self.desk.refund("order", event, amount, lines)
        else:
            await tellers[event]()

    @property
    def paid_at(self) -> Any:
        return self.desk.shop.campaign.starts_at

    async def pass_time(self) -> None:
        """The hold is over; the clock has been there before if this is told again."""
        self.desk.now = self.paid_at + timedelta(days=20)
        await self.desk.release()

    async def withdraw(self) -> None:
        if not self.withdrawal:
            self.withdrawal = (await self.desk.withdraw(self.desk.shop.first.member_id)).id

    async def result(self) -> None:
        """The whole way of a batch; told again it is the same file once more."""
        if not self.withdrawal:
            raise InvitreeError("withdrawal_missing", "Nothing was asked for.")
        if not self.batch:
            self.batch = (await self.desk.build()).id
            await self.desk.approve(self.batch)
            await self.desk.export(self.batch)
        payouts = [each for each in await self.desk.payouts(self.batch) if each.withdrawal_id == self.withdrawal]
        others = [each for each in await self.desk.payouts(self.batch) if each.withdrawal_id != self.withdrawal]
        told = {each.id: self.kind.outcome for each in payouts} | {each.id: "failed" for each in others}
        if told:
            await self.desk.report(self.batch, told)
        if self.kind.outcome == "paid":
            self.withdrawn = sum(each.amount_minor for each in payouts)

    async def end(self) -> End:
        """What there is of everything, and where the money stands."""
        desk, own = self.desk, ids.decode("mch", self.desk.merchant_id)
        async with desk.resources.db.tenant(desk.merchant_id) as session:
            await grant_all_due(session, merchant_id=desk.merchant_id, now=desk.now)
            rows = [tuple(row) for row in await session.execute(_END, {"m": own, "soon": desk.now})]
            earners = zip(("first", "second"), desk.earners, strict=True)
            given = {"m": own} | {name: ids.decode("mbr", one.member_id) for name, one in earners}
            stand = await session.execute(_PLACES, given)
            places = {(kind, who): int(minor) for kind, who, minor in stand}
        return rows, places


End = tuple[list[Any], dict[tuple[str, str], int]]
Usual = dict[str, End]


async def run(stage: Stage, quick: bool) -> Finding:
    dice, seen, faults = random.Random(SEED), Counter[str](), list[str]()
    plan, usual = _plan(dice, quick=quick), Usual()
    with progress() as bar:
        for kind, order in bar.track(plan, description="orders"):
            faults += await compare(stage.resources, kind, order, seen, usual)
    found = {
        "ends that differ": len(faults),
        "kinds without a withdrawal that was paid first": sum(
            not seen[f"{kind.hold_from} paid"] for kind in KINDS if kind.outcome == "paid"
        ),
    }
    remark = f"{dict(seen)}"
    events = seen["told"]
    return Finding(
        dict.fromkeys(found, 0), found, events, seen["out of order"], len(plan) * 5, len(plan), [*faults, remark]
    )


PROOF = Entry("refund-order", run, seconds=PATIENCE, weight=9)


def _plan(dice: random.Random, *, quick: bool) -> list[tuple[Kind, list[str]]]:
    """Of one kind without a payout all orders that there are, of each a sample."""
    late = [(kind, ["order", "fulfil", "time", "withdraw", "result", *kind.refunds]) for kind in KINDS if kind.outcome]
    if quick:
        # Every third, so that all refunds, holds and outcomes are among them.
        few = [kind for place, kind in enumerate(KINDS) if place % 3 == place // 3 % 3]
        return [*((kind, _shuffled(dice, kind)) for kind in few), *late[1:4:2], late[-1]]
    every = [(KINDS[3], list(order)) for order in itertools.permutations(KINDS[3].events())]
    return [*every, *((kind, _shuffled(dice, kind)) for kind in KINDS for _ in range(SAMPLE)), *late]


def _shuffled(dice: random.Random, kind: Kind) -> list[str]:
    """Some twice, at any place; whoever asks for money asks once."""
    events = kind.events()
    events += [event for event in events if event != "withdraw" and dice.random() < REPEATED]
    return dice.sample(events, len(events))


async def compare(
    resources: Resources, kind: Kind, order: Sequence[str], seen: Counter[str], usual: Usual
) -> list[str]:
    """A fault a thing that is not as in the usual order, which nobody withdraws in."""
    alone = replace(kind, outcome="", refunds=kind.alike or kind.refunds, alike=None)
    if str(alone) not in usual:
        usual[str(alone)] = await (await _told(resources, alone, alone.events(), Counter())).end()
    telling = await _told(resources, kind, order, seen)
    (wanted, places), (found, stand) = usual[str(alone)], await telling.end()
    if kind.alike:
        wanted, found = ([row for row in rows if row[0] != "refund"] for rows in (wanted, found))
    faults = [f"{each} instead of {other}" for each, other in itertools.zip_longest(found, wanted) if each != other]
    # Where the order matters: what was paid out before it was refunded stays paid, and is owed.
    moved = telling.withdrawn
    places = places | {
        ("member_paid", "first"): moved,
        ("member_payable", "first"): places.get(("member_payable", "first"), 0) - moved,
    }
    places = {place: minor for place, minor in places.items() if minor}
    faults += [f"{stand} instead of {places}"] if stand != places else []
    faults += await checks.faults(resources, telling.desk.merchant_id)
    seen[f"{kind.hold_from} {kind.outcome}"] += bool(moved)
    return [f"{'; '.join(order)} of {kind}: {fault}" for fault in faults]


async def _told(resources: Resources, kind: Kind, order: Sequence[str], seen: Counter[str]) -> Telling:
    rule = TWO_LEVELS.model_copy(update={"hold_from": kind.hold_from})
    desk = await open_desk(resources, commission=rule, rewards=ON_PURCHASE)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        friend = await sign_up(
            session,
            merchant_id=desk.merchant_id,
            campaign_id=desk.shop.campaign.id,
            identity=MemberIdentity(external_id=ids.new("ext")),
            invite_code=desk.shop.first.invite_code,
            now=desk.now,
        )
    telling = Telling(desk, friend.participant, kind)
    desk.now = telling.paid_at + timedelta(days=1)
    await _tell_all(telling, order, seen)
    return telling


async def _tell_all(telling: Telling, order: Sequence[str], seen: Counter[str]) -> None:
    """Until nothing that is left can be told any more."""
    usual = telling.kind.events()
    places = [usual.index(event) for event in order]
    seen["out of order"] += sum(later < earlier for earlier, later in itertools.pairwise(places))
    waiting = list(order)
    while waiting:
        left = []
        for event in waiting:
            try:
                await telling.tell(event)
                seen["told"] += 1
            except InvitreeError as refusal:
                if refusal.code not in NOT_NOW:
                    raise
                seen[f"not now: {refusal.code}"] += 1
                left.append(event)
        if len(left) == len(waiting):
            return
        waiting = left
        await asyncio.sleep(0)
