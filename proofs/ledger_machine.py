"""Money moved in any order by a state machine, its sums compared after each step; then SQL that means harm."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.kit import clock, ids
from app.kit.errors import InvitreeError
from app.payouts.rules import FeeBearer, Terms
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from proofs.money import checks, hostile
from proofs.money.desk import Desk, open_desk
from tests.factories.campaigns import TWO_LEVELS

T = TypeVar("T")
EXAMPLES, QUICK_EXAMPLES = 80, 9
STEPS, QUICK_STEPS = 50, 20
LEAST_EACH = 5
PATIENCE = 1_800
STEP_PATIENCE = 60.0
amounts = st.integers(1, 20_000) | st.sampled_from((1, 3, 9, 10, 99, 3_333, 5_900))
# What a refusal may say here; whatever else comes is a fault.
REFUSALS = frozenset({
    *("refund_exceeds_paid", "order_refunded", "withdrawal_open", "nothing_payable", "below_minimum", "nothing_to_pay"),
    *("batch_approved", "batch_exported", "batch_settled", "batch_cancelled", "batch_not_approved"),
    *("batch_not_exported", "withdrawal_approved", "withdrawal_in_payout", "withdrawal_paid", "withdrawal_failed"),
    *("funds_insufficient", "commission_not_found", "commission_reversed", "commission_in_payout", "commission_paid"),
})  # fmt: skip
MOSTLY = (
    *("sold", "refunded in full", "refunded after payout", "fulfilled", "released", "withdrawn", "built", "approved"),
    *("exported", "paid", "topped up", "debt", "rejected", "commission_rejected"),
    *("funds_reserved", "funds_spent", "payout_fee_borne", "fee_withheld"),
)
EVERYTHING = (
    *MOSTLY,
    *("sold with refunds before", "refunded in part", "refunded by line", "sent again", "withdrawal cancelled"),
    *("batch cancelled", "failed", "reported otherwise", "funds_released", "made up for", "covered late"),
)
Hold = Literal["payment", "fulfilment"]
HOLDS: tuple[Hold, ...] = ("payment", "fulfilment")
BEARERS: tuple[FeeBearer, ...] = ("merchant", "payee")


@dataclass(slots=True)
class Tally:
    """What the machine did, over all examples."""

    steps: int = 0
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Machine(RuleBasedStateMachine):
    """One tenant an example. `batches`: those that were built, `told`: what a result file has said of a payout."""

    stage: Stage
    loop: asyncio.AbstractEventLoop
    tally: Tally

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the loop that the connections belong to, which is another thread's."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=STEP_PATIENCE)

    def attempt(self, what: str, work: Coroutine[Any, Any, T]) -> T | None:
        """None where it was refused, as it may be."""
        try:
            done = self.run(work)
        except InvitreeError as refusal:
            if refusal.code not in REFUSALS:
                raise
            self.tally.refused[refusal.code] += 1
            return None
        self.tally.done[what] += 1
        return done

    @initialize(
        past=st.sampled_from(("paid", "failed", "paid", "sold", "paid")),
        hold_from=st.sampled_from(HOLDS),
        prepaid=st.booleans(),
        bearer=st.sampled_from(BEARERS),
    )
    def open(self, past: str, hold_from: Hold, prepaid: bool, bearer: FeeBearer) -> None:
        """`prepaid`: what was topped up covers the first payouts and not all of those that follow."""
        rule = TWO_LEVELS.model_copy(update={"hold_from": hold_from})
        long_ago = clock.utcnow() - timedelta(days=60)
        self.desk: Desk = self.run(open_desk(self.stage.resources, commission=rule, starts_at=long_ago))
        self.run(self.desk.agree(Terms(fee_minor=20, fee_bps=60, fee_bearer=bearer)))
        if prepaid:
            self.run(self.desk.pay_ahead())
            self.top_up(10_000)
        self.orders: dict[str, dict[str, int]] = {}
        self.sent: list[tuple[str, str, int]] = []
        self.withdrawals: list[str] = []
        self.batches: list[str] = []
        self.told: dict[str, tuple[str, str]] = {}
        for line in (5_900, 333):
            self.sell([line, 100], [])
        for name in self.orders:
            self.attempt("fulfilled", self.desk.fulfil(name))
        self.release(8)
        if past != "sold":
            self.withdraw(0)
            self._pay_out(past)
            self._refund("refunded in full", next(iter(self.orders)), 6_000)

    @rule(
        lines=st.lists(amounts, min_size=1, max_size=3),
        early=st.lists(amounts, max_size=2),
        days_ago=st.sampled_from((8, 0)),
    )
    def sell(self, lines: list[int], early: list[int], days_ago: int = 0) -> None:
        """Told of at once, or when the hold is over already."""
        name = ids.new("ext")
        for amount in early:
            self._refund("", name, amount)
        self.orders[name] = {str(number): amount for number, amount in enumerate(lines)}
        paid_at = self.desk.now - timedelta(days=days_ago)
        selling = self.desk.sell(name, self.orders[name], paid_at=paid_at)
        self.attempt("sold with refunds before" if early else "sold", selling)

    def _order(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(list(self.orders)))

    def _refund(self, what: str, name: str, amount: int, lines: Mapping[str, int] | None = None) -> None:
        refund = ids.new("ext")
        if self.attempt(what, self.desk.refund(name, refund, amount, lines)) and lines is None:
            self.sent.append((name, refund, amount))
        self.tally.done["refunded after payout"] += any(outcome == "paid" for _, outcome in self.told.values())

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), amount=amounts)
    def refund(self, data: st.DataObject, amount: int) -> None:
        self._refund("refunded in part", self._order(data), amount)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), amount=amounts)
    def refund_line(self, data: st.DataObject, amount: int) -> None:
        name = self._order(data)
        line = data.draw(st.sampled_from(list(self.orders[name])))
        self._refund("refunded by line", name, amount, {line: amount})

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def refund_the_rest(self, data: st.DataObject) -> None:
        name = self._order(data)
        order = self.run(self.desk.order(name))
        if order and order.amount_minor > order.refunded_minor:
            self._refund("refunded in full", name, order.amount_minor - order.refunded_minor)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), level=st.sampled_from((1, 2)))
    def reject(self, data: st.DataObject, level: int) -> None:
        """Twice: the second time nothing happens."""
        name = self._order(data)
        line = data.draw(st.sampled_from(list(self.orders[name])))
        if self.attempt("rejected", self.desk.reject(name, line, level)):
            self.run(self.desk.reject(name, line, level))

    @rule(wholly=st.booleans())
    def come_short(self, wholly: bool) -> None:
        """A refund of what is still held is taken from a payout, and then nothing of it is left, in either way."""
        self.top_up(20_000)
        self.sell([20_000, 5_900], [], days_ago=8)
        self.attempt("fulfilled", self.desk.fulfil(list(self.orders)[-1]))
        self.release(8)
        self.sell([3_000], [])
        name = list(self.orders)[-1]
        self._refund("refunded in part", name, 1_000)
        self.pay_out(0, "paid")
        if wholly:
            self._refund("refunded in full", name, 2_000)
        else:
            self.attempt("rejected", self.desk.reject(name, "0", 1))
        rows = self.run(self.desk.commissions(name, "0", 1))
        self.tally.done["made up for"] += {row.status for row in rows} == {"payable", "paid"}

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """A refund, and its order with it: both known, nothing happens."""
        name, refund, amount = data.draw(st.sampled_from(self.sent))
        self.attempt("sent again", self.desk.refund(name, refund, amount))

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def fulfil(self, data: st.DataObject) -> None:
        self.attempt("fulfilled", self.desk.fulfil(self._order(data)))

    @rule(days=st.sampled_from((0.1, 1, 3, 8)))
    def release(self, days: float) -> None:
        self.desk.pass_days(days)
        if self.run(self.desk.release()):
            self.tally.done["released"] += 1

    @rule(level=st.sampled_from((0, 1)))
    def withdraw(self, level: int) -> None:
        found = self.attempt("withdrawn", self.desk.withdraw(self.desk.earners[level].member_id))
        self.withdrawals += [found.id] if found else []

    @precondition(lambda self: self.withdrawals)
    @rule(data=st.data())
    def cancel_withdrawal(self, data: st.DataObject) -> None:
        wanted = data.draw(st.sampled_from(self.withdrawals[::-1]))
        self.attempt("withdrawal cancelled", self.desk.cancel_withdrawal(wanted))

    @rule()
    def build(self) -> None:
        batch = self.attempt("built", self.desk.build())
        self.batches += [batch.id] if batch else []

    def _batch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.batches[:-4:-1]))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), further=st.booleans())
    def approve(self, data: st.DataObject, further: bool) -> None:
        batch = self._batch(data)
        if self.attempt("approved", self.desk.approve(batch)) and further:
            self.attempt("exported", self.desk.export(batch))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def export(self, data: st.DataObject) -> None:
        """Twice: the second time the same bytes."""
        batch = self._batch(data)
        first = self.attempt("exported", self.desk.export(batch))
        if first is not None:
            assert self.run(self.desk.export(batch)) == first

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def cancel_batch(self, data: st.DataObject) -> None:
        self.attempt("batch cancelled", self.desk.cancel_batch(self._batch(data)))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), outcome=st.sampled_from(("paid", "paid", "failed")))
    def report(self, data: st.DataObject, outcome: str) -> None:
        self._report(self._batch(data), outcome)

    def _report(self, batch: str, outcome: str) -> None:
        waiting = {each.id: outcome for each in self.run(self.desk.payouts(batch)) if each.id not in self.told}
        done = self.attempt(outcome, self.desk.report(batch, waiting)) if waiting else None
        if done:
            assert not done.refused
            self.told |= {payout: (batch, told) for payout, told in waiting.items()}

    @precondition(lambda self: self.told)
    @rule(data=st.data(), other=st.booleans())
    def report_again(self, data: st.DataObject, other: bool) -> None:
        """The same, or the contrary of what was said first: neither changes anything."""
        payout, (batch, told) = data.draw(st.sampled_from(sorted(self.told.items())))
        said = {"paid": "failed", "failed": "paid"}[told] if other else told
        found = self.attempt(
            "reported otherwise" if other else "reported again", self.desk.report(batch, {payout: said})
        )
        assert found
        assert (found.paid, found.failed) == (0, 0)

    @rule(level=st.sampled_from((0, 1)), outcome=st.sampled_from(("paid", "paid", "failed")))
    def pay_out(self, level: int, outcome: str) -> None:
        """The whole way at once, which single steps seldom go to its end."""
        self.withdraw(level)
        self._pay_out(outcome)

    @rule(level=st.sampled_from((0, 1)), whole=st.booleans())
    def change_ones_mind(self, level: int, whole: bool) -> None:
        """A member cancels what was asked for, or somebody the batch that it is in."""
        self.sell([5_900, 100], [], days_ago=8)
        self.attempt("fulfilled", self.desk.fulfil(list(self.orders)[-1]))
        self.release(8)
        self.withdraw(level)
        batch = self.attempt("built", self.desk.build())
        if batch is not None:
            self.batches.append(batch.id)
            self.all_adds_up()
            if whole or not self.withdrawals:
                self.attempt("batch cancelled", self.desk.cancel_batch(batch.id))
            else:
                self.attempt("withdrawal cancelled", self.desk.cancel_withdrawal(self.withdrawals[-1]))

    def _pay_out(self, outcome: str) -> None:
        batch = self.attempt("built", self.desk.build())
        if batch is None:
            return
        self.batches.append(batch.id)
        self.attempt("approved", self.desk.approve(batch.id))
        self.attempt("exported", self.desk.export(batch.id))
        self.all_adds_up()
        self._report(batch.id, outcome)

    @rule(level=st.sampled_from((0, 1)), amount=st.sampled_from((20_000, 60_000)))
    def cover(self, level: int, amount: int) -> None:
        """A batch that the funds do not cover is paid once somebody has topped up."""
        self.sell([20_000, 5_900], [], days_ago=8)
        self.attempt("fulfilled", self.desk.fulfil(list(self.orders)[-1]))
        self.release(8)
        refused = self.tally.refused["funds_insufficient"]
        self.pay_out(level, "paid")
        if self.tally.refused["funds_insufficient"] > refused:
            self.top_up(amount)
            paid = self.tally.done["paid"]
            self.pay_out(level, "paid")
            self.tally.done["covered late"] += self.tally.done["paid"] > paid

    @rule(amount=amounts)
    def top_up(self, amount: int) -> None:
        reference = ids.new("ext")
        assert self.run(self.desk.top_up(reference, amount))
        assert not self.run(self.desk.top_up(reference, amount))
        self.tally.done["topped up"] += 1

    @invariant()
    def all_adds_up(self) -> None:
        self.tally.steps += 1
        found = self.run(checks.faults(self.stage.resources, self.desk.merchant_id))
        assert not found, found

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.tally.done["debt"] += self.run(checks.is_in_debt(self.stage.resources, self.desk.merchant_id))
            self.tally.done += self.run(checks.booked(self.stage.resources, self.desk.merchant_id))


async def run(stage: Stage, quick: bool) -> Finding:
    tally, faults = Tally(), list[str]()
    examples, steps = (QUICK_EXAMPLES, QUICK_STEPS) if quick else (EXAMPLES, STEPS)
    faults += await play(stage, tally, examples=examples, steps=steps, same=quick)
    attack = await hostile.attack(stage)
    wanted = dict.fromkeys(MOSTLY, 1) if quick else dict.fromkeys(EVERYTHING, LEAST_EACH)
    missing = [name for name, least in wanted.items() if tally.done[name] < least]
    found = {
        "books that do not add up": len(faults),
        "kinds of steps that are too few": len(missing),
        "hostile attempts": attack.attempts,
        "hostile attempts that did harm": len(attack.harm),
        "hostile attempts that prove nothing": len(attack.vain),
    }
    expected = dict.fromkeys(found, 0) | {"hostile attempts": attack.attempts}
    faults += [f"too few: {name}" for name in missing] + attack.harm + attack.vain
    remark = f"{dict(tally.done)}; refused: {dict(tally.refused)}; SQL: {dict(attack.answers)}"
    least = examples * steps // 2
    return Finding(expected, found, tally.steps, attack.attempts, least, hostile.LEAST, [*faults, remark])


async def play(stage: Stage, tally: Tally, *, examples: int, steps: int, same: bool) -> list[str]:
    """What went wrong, with the steps that led there. `same`: the same steps each time, and not shortened."""
    here = {"stage": stage, "loop": asyncio.get_running_loop(), "tally": tally}
    machine: type[Machine] = type("MachineHere", (Machine,), here)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=same,
        phases=(Phase.generate,) if same else (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
    except Exception as error:  # noqa: BLE001 - whatever broke is told, with its steps
        return ["\n".join([repr(error), *getattr(error, "__notes__", [])])]
    return []


PROOF = Entry("ledger-machine", run, seconds=PATIENCE, weight=15)
