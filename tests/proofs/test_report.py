"""What is said of proofs, and in which order: of a long log people see the end."""

from __future__ import annotations

import pytest

from proofs.frame.report import LONGEST_FAULT, MOST_FAULTS, Finding, show_findings


def finding(*faults: str, ok: bool = True) -> Finding:
    return Finding({"lost": 0}, {"lost": 0 if ok else 1}, load=1, injected=1, faults=faults)


def test_the_end_says_what_is_not_ok_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    findings = {
        "kill": finding("an event [dim]is missing[/dim]", ok=False),
        "fuzz": finding(),
        "payout": finding("8 claims were held"),
        "race": finding("two of one", ok=False),
    }
    show_findings(findings, as_json=False)
    printed, said = capsys.readouterr()
    assert "kill: NOT OK" in printed
    assert said.splitlines() == [
        "payout: 8 claims were held",
        "kill: an event [dim]is missing[/dim]",
        "race: two of one",
        "NOT OK: kill, race",
    ]


def test_what_is_long_is_cut_at_the_end_and_said_whole_before(capsys: pytest.CaptureFixture[str]) -> None:
    long = "seed 7 " + "x" * LONGEST_FAULT + " was lost"
    show_findings({"kill": finding(long, *["short"] * MOST_FAULTS, ok=False)}, as_json=True)
    printed, said = capsys.readouterr()
    whole, cut, *others = said.splitlines()
    assert whole == f"kill: {long}"
    assert cut.startswith("kill: seed 7 x")
    assert cut.endswith("x was lost")
    assert len(cut) < LONGEST_FAULT + 20
    assert others == [*["kill: short"] * (MOST_FAULTS - 1), "kill: … and 1 more", "NOT OK: kill"]
    assert '"ok":false' in printed


def test_that_all_is_ok_is_the_last_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings({"fuzz": finding(), "kill": finding()}, as_json=False)
    assert capsys.readouterr().err == "All ok: 2\n"
