"""What README and CONTRIBUTING say is so: the session prints what is printed, paths and commands exist."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from app.cli import app as command_line

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/operations.md", "docs/architecture.md")
OWN_COMMANDS = {"demo", "serve", "test", "check", "bench", "prove", "env", "openapi"}


def fenced(after: str) -> str:
    found = re.search(rf"<!-- {after} -->\n```\w*\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


async def test_the_session_prints_what_the_readme_says(site: str, tmp_path: Path) -> None:
    session = fenced("session").replace("http://127.0.0.1:8000", site)
    # The numbers of the README are taken once a test run; a merchant registers once.
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", session, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert printed.decode() == fenced("session output")
    assert (tmp_path / "poster.jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_is_there(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    links = set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", text))
    named = set(re.findall(r"`((?:app|docs|tests|deploy|migrations)/[\w./-]+)`", text))
    for path in {one or other for one, other in links}:
        assert ((ROOT / document).parent / path).exists(), path
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_there(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    groups = {group.name for group in command_line.registered_groups}
    known = OWN_COMMANDS | groups | {command.name for command in command_line.registered_commands}
    named = set(re.findall(r"(?:dev\.py|invitree) ([a-z]+)\b", text))
    assert named <= known, named - known
