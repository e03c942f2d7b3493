"""Schemathesis over the whole description, with a key and without, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.frame.server import Server
from proofs.frame.stage import Stage

# What it generates is well formed, but most ids in it are nobody's: being refused is no fault.
LEFT_OUT = ("positive_data_acceptance",)
STRANGER = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
SECONDS = {"examples": 120, "fuzzing": 300, "coverage": 900}

CONFIGURATION = """
[[operations]]
include-path = "/v1/events"
# Each event is judged by itself: a bad one is told in its own place of a 200.
checks.negative_data_rejection.enabled = false

[[operations]]
include-path = "/v1/poster-templates/builtin"
# The address also fits `/{template_id}`, which takes more methods.
checks.allow_header_conformance.enabled = false
"""


@dataclass(frozen=True, slots=True)
class Tame:
    """What one or more runs did: `requests` sent, `operations` asked, a line a fault."""

    operations: int
    requests: int
    faults: Sequence[str]


def run(stage: Stage, server: Server, key: str, *, quick: bool) -> Tame:
    """A quick run leaves out the phase that enumerates what the description can say, and the stranger.

    Without a key each operation is asked by our own nasties there.
    """
    phases, examples = (("examples", "fuzzing"), 2) if quick else (("examples", "coverage", "fuzzing"), 20)
    keyed = _run(stage, server, "keyed", key, ["--exclude-checks", ",".join(LEFT_OUT)], phases, examples)
    if quick:
        return keyed
    stranger = _run(stage, server, "stranger", None, ["--checks", ",".join(STRANGER)], ("examples", "fuzzing"), 1)
    return Tame(keyed.operations, keyed.requests + stranger.requests, [*keyed.faults, *stranger.faults])


def _run(
    stage: Stage,
    server: Server,
    name: str,
    key: str | None,
    checks: Sequence[str],
    phases: Sequence[str],
    examples: int,
) -> Tame:
    configuration, report = stage.folder / f"{name}.toml", stage.folder / f"{name}.json"
    headers = f'headers = {{ Authorization = "Bearer {key}" }}\n' if key else ""
    configuration.write_text(headers + CONFIGURATION, "utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"]
    command += [f"{server.base_url}/openapi.json", "--no-color", "--no-shrink", "--continue-on-failure"]
    command += ["--phases", ",".join(phases), "--max-examples", str(examples), "--generation-database", "none"]
    command += [*checks, "--report", "json", "--report-json-path", str(report), "--warnings", "off"]
    output = stage.folder / f"{name}.txt"
    with output.open("wb") as log:
        # No proxy may stand between, and its own settings are the file's alone.
        variables = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        try:
            subprocess.run(
                command, env=variables, cwd=stage.folder, stdout=log, stderr=log, timeout=_patience(phases), check=False
            )
        except subprocess.TimeoutExpired:
            return Tame(0, 0, [f"{name}: Schemathesis was not done after {_patience(phases)} s"])
    if not report.exists():
        return Tame(0, 0, [f"{name}: Schemathesis left no report: {output.read_text('utf-8', 'replace')[-2_000:]}"])
    return _read(json.loads(report.read_text("utf-8")), name, output)


def _patience(phases: Sequence[str]) -> float:
    return sum(SECONDS[phase] for phase in phases)


def _read(report: dict[str, Any], name: str, output: Path) -> Tame:
    faults = [
        f"{name}: {each['title']} ({each['type']}): {operation}"
        for each in [*report["failures"], *report["errors"]]
        for operation in each.get("operations", ["?"])
    ]
    if faults:
        faults.append(_details(output))
    return Tame(report["operations"]["tested"], report["test_cases"]["generated"], faults)


def _details(output: Path) -> str:
    """Its own words, with the requests to send again; the folder is gone afterwards."""
    return output.read_text("utf-8", "replace").partition("= FAILURES =")[2][:8_000]
