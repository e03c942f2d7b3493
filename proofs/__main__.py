"""`python3 dev.py prove [NAME]… [--quick] [--json]`: exit 1 where a proof is not ok, 2 for an unknown name."""

from __future__ import annotations

import sys

from proofs.frame.command import finish, guarded, read_arguments, run_all
from proofs.frame.lanes import run_quickly
from proofs.frame.report import Finding, show_findings
from proofs.registry import PROOFS


def main() -> int:
    asked = read_arguments("dev.py prove", [proof.name for proof in PROOFS], sys.argv[1:])
    findings = run_quickly(PROOFS, asked.names, _failed) if asked.quick else run_all(PROOFS, asked, _failed)
    show_findings(findings, as_json=asked.as_json)
    return finish(ok=all(finding.ok for finding in findings.values()))


def _failed(_: str, why: str) -> Finding:
    return Finding({"done": True}, {"done": False}, 0, 0, faults=[why])


if __name__ == "__main__":
    sys.exit(guarded(main))
