"""What the documents say is so: the session prints what is printed; what is named and linked is there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app.cli import app as command_line

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "README.zh-CN.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
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
def test_every_heading_that_is_linked_is_there(document: str) -> None:
    own = ROOT / document
    for path, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", own.read_text("utf-8")):
        target = (own.parent / path).read_text("utf-8") if path else own.read_text("utf-8")
        headings = re.findall(r"^#+ (.+)$", target, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_route_is_there(document: str) -> None:
    paths = json.loads((ROOT / "openapi.json").read_text("utf-8"))["paths"]
    known = {(method.upper(), unnamed(path)) for path, methods in paths.items() for method in methods}
    named = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[\w/{}-]+)", (ROOT / document).read_text("utf-8"))
    assert {(method, unnamed(path)) for method, path in named} <= known


def unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_index_of_decisions_has_each_once_by_its_title() -> None:
    folder = ROOT / "docs/adr"
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    decisions = [path for path in folder.glob("*.md") if path.name != "README.md"]
    titles = [(path.read_text("utf-8").splitlines()[0].removeprefix("# "), path.name) for path in decisions]
    assert sorted(listed) == sorted(titles)
    assert sorted(int(name[:4]) for _, name in titles) == list(range(1, len(titles) + 1))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_there(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    groups = {group.name for group in command_line.registered_groups}
    known = OWN_COMMANDS | groups | {command.name for command in command_line.registered_commands}
    named = set(re.findall(r"(?:dev\.py|invitree) ([a-z]+)\b", text))
    assert named <= known, named - known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_step_and_option_of_a_command_is_there(document: str) -> None:
    for line in re.findall(r"(?:dev\.py|invitree) ([a-z]+ [^`|;#\n]+)", (ROOT / document).read_text("utf-8")):
        words = re.sub(r"[\[\],.…]", " ", line).split()
        command: Any = get_command(command_line)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if command.name not in {None, "invitree"} and not hasattr(command, "commands"):
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= options | {"--help"}, line
