"""The checks of the proofs about money see what is wrong."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from app.commissions import budgets, rules
from proofs.money import split_cases
from proofs.money.split_cases import Case, Score
from proofs.money.statements import attempts

CASES = 300


def cases() -> list[Case]:
    dice = random.Random(1)
    return [split_cases.case(dice) for _ in range(CASES)]


def faults() -> list[str]:
    score = Score()
    for case in cases():
        split_cases.check(case, score)
    assert score.cases == CASES
    return [fault.partition(":")[0] for fault in score.faults]


def test_honest_rules_have_no_fault() -> None:
    assert faults() == []


def test_a_reversal_that_forgets_what_was_taken_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.reversal
    monkeypatch.setattr(rules, "reversal", lambda rows, **given: honest(rows[:1], **given))
    assert "more was taken back than was earned" in faults()


def test_a_budget_that_is_not_held_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = budgets.within
    monkeypatch.setattr(budgets, "within", lambda lines, **_: honest(lines, campaign=None, promoters=None))
    assert {"above the campaign's budget", "above the promoter's budget"} <= set(faults())


def test_a_cap_that_is_not_held_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.split
    monkeypatch.setattr(
        rules,
        "split",
        lambda base, rule, who, **given: [
            replace(part, amount_minor=part.amount_minor + 1) for part in honest(base, rule, who, **given)
        ],
    )
    assert "parts above the cap" in faults()


def test_a_thousand_statements_mean_harm_and_none_is_said_twice() -> None:
    said = [(one.statements, one.tenant) for one in attempts()]
    assert 2 * len(said) >= 1_000
    assert len(set(said)) == len(said)
