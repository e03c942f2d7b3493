"""`python3 dev.py prove [NAME]… [--quick] [--json]`: exit 1 where a proof is not ok, 2 for an unknown name."""

from __future__ import annotations

import sys

from proofs.frame.command import finish, guarded, read_arguments, run_all
from proofs.frame.report import Finding, show_findings
from proofs.registry import PROOFS


def main() -> int:
    asked = read_arguments("dev.py prove", [proof.name for proof in PROOFS], sys.argv[1:])
    findings = run_all(PROOFS, asked, lambda _, why: Finding({"done": True}, {"done": False}, 0, 0, faults=[why]))
    show_findings(findings, as_json=asked.as_json)
    return finish(ok=all(finding.ok for finding in findings.values()))


if __name__ == "__main__":
    sys.exit(guarded(main))
