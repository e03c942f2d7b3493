"""Processes are known by what they run, whatever it was called by."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from app.embedded import processes


def test_a_program_started_by_a_link_is_found(tmp_path: Path) -> None:
    link = tmp_path / "server"
    link.symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([str(link), "60"], cwd=tmp_path) as process:
        found = processes.working_in(tmp_path, link)
        process.terminate()
    assert found == [process.pid]
