"""How quick proofs are shared out between two lanes."""

from __future__ import annotations

from proofs.frame.command import Entry
from proofs.frame.lanes import split
from proofs.frame.report import Finding
from proofs.frame.stage import Stage


async def prove(_stage: Stage, _quick: bool) -> Finding:
    return Finding({}, {}, 1, 1)


def entry(name: str, weight: float, *, durable: bool = False) -> Entry[Finding]:
    return Entry(name, prove, seconds=1, durable=durable, weight=weight)


def names(lanes: list[list[Entry[Finding]]]) -> list[list[str]]:
    return [[one.name for one in lane] for lane in lanes]


def test_what_kills_its_servers_comes_last_in_one_lane() -> None:
    entries = [entry("kill", 5, durable=True), entry("fuzz", 12), entry("payout", 5, durable=True), entry("race", 1)]
    assert names(split(entries, 2)) == [["race", "kill", "payout"], ["fuzz"]]


def test_lanes_take_about_the_same_time() -> None:
    lanes = split([entry(str(number), number) for number in range(1, 8)], 2)
    assert [sum(one.weight for one in lane) for lane in lanes] == [14, 14]


def test_one_core_has_one_lane_and_one_proof_too() -> None:
    entries = [entry("fuzz", 2), entry("kill", 1, durable=True)]
    assert names(split(entries, 1)) == [["fuzz", "kill"]]
    assert names(split(entries[:1], 2)) == [["fuzz"]]
