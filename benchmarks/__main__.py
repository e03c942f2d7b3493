"""`python3 dev.py bench [NAME]… [--quick] [--json]`: exit 1 where a promise is not kept, 2 for an unknown name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from app.cli.output import say
from benchmarks.registry import BENCHES
from proofs.frame.command import finish, guarded, read_arguments, run_all
from proofs.frame.report import Figure, show_figures


def main() -> int:
    asked = read_arguments("dev.py bench", [bench.name for bench in BENCHES], sys.argv[1:])
    results = run_all(BENCHES, asked, _failed)
    figures = [figure for result in results.values() for figure in result]
    show_figures(figures, as_json=asked.as_json)
    return finish(ok=bool(figures) and all(figure.ok for figure in figures))


def _failed(name: str, why: str) -> Sequence[Figure]:
    say(f"{name}: {why}")
    return [Figure(name, 0.0, "", 0.0, 0.0, why, ok=False)]


if __name__ == "__main__":
    sys.exit(guarded(main))
