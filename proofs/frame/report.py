"""What a proof and a benchmark hand in, for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.markup import escape

from app.cli.output import out, say, show_json, show_table

MOST_FAULTS = 40
LONGEST_FAULT = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """`load`: requests or cases that ran, `injected`: faults among them; too few of either prove nothing."""

    expected: Mapping[str, Any]
    found: Mapping[str, Any]
    load: int
    injected: int
    least_load: int = 1
    least_injected: int = 1
    faults: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        enough = self.load >= self.least_load and self.injected >= self.least_injected
        return enough and dict(self.expected) == dict(self.found)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a benchmark; `ceiling` was measured in the same run, `ratio` is the figure that is promised."""

    name: str
    value: float
    unit: str
    ceiling: float
    ratio: float
    promise: str
    ok: bool
    remarks: Sequence[str] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        shown = {name: value for name, value in asdict(self).items() if name != "remarks"}
        return {name: _rounded(value) for name, value in shown.items()}


def show_figures(figures: Sequence[Figure], *, as_json: bool) -> None:
    for figure in figures:
        for remark in figure.remarks:
            say(f"{figure.name}: {remark}")
    if as_json:
        for figure in figures:
            show_json(figure.as_dict())
        return
    columns = ("bench", "value", "ceiling", "unit", "ratio", "promise", "")
    rows = [
        (
            f.name,
            str(_rounded(f.value)),
            str(_rounded(f.ceiling)),
            f.unit,
            str(_rounded(f.ratio)),
            f.promise,
            word(f.ok),
        )
        for f in figures
    ]
    show_table("Promises about speed", columns, rows)


def show_findings(findings: Mapping[str, Finding], *, as_json: bool) -> None:
    """Remarks come after the tables and those of what is not ok last: the end of a log is what people are shown.

    There they are cut; what is longer comes whole before all else.
    """
    for name, finding in findings.items():
        for fault in finding.faults[:MOST_FAULTS]:
            if len(fault) > LONGEST_FAULT:
                _tell(f"{name}: {fault}")
    if as_json:
        for name, finding in findings.items():
            shown = {"expected": finding.expected, "found": finding.found}
            show_json({"name": name, **shown, "load": finding.load, "injected": finding.injected, "ok": finding.ok})
    else:
        _show_tables(findings)
    for name, finding in sorted(findings.items(), key=lambda named: not named[1].ok):
        for fault in finding.faults[:MOST_FAULTS]:
            _tell(f"{name}: {_cut(fault)}")
        if len(finding.faults) > MOST_FAULTS:
            _tell(f"{name}: … and {len(finding.faults) - MOST_FAULTS} more")
    failed = [name for name, finding in findings.items() if not finding.ok]
    _tell(f"NOT OK: {', '.join(failed)}" if failed else f"All ok: {len(findings)}")


def _show_tables(findings: Mapping[str, Finding]) -> None:
    for name, finding in findings.items():
        show_table(
            f"{name}: {word(finding.ok)}  (load {finding.load}, injected {finding.injected})",
            ("what", "expected", "found"),
            [(key, str(value), str(finding.found.get(key))) for key, value in finding.expected.items()],
        )
    # Both may go into one file, and only the other channel is written at once.
    out.file.flush()


def _cut(fault: str) -> str:
    """Its end says what was wrong where there is a way to it, its beginning everywhere else."""
    if len(fault) <= LONGEST_FAULT:
        return fault
    half = LONGEST_FAULT // 2
    return f"{fault[:half]} […] {fault[-half:]}"


def _tell(line: str) -> None:
    # Faults quote what was found: brackets are no markup.
    say(escape(line))


def word(ok: bool) -> str:
    return "ok" if ok else "NOT OK"


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
