"""What the house asks of every file, so that nobody has to remember it."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = sorted((ROOT / "app").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EDGES = ("app/api/", "app/h5/", "app/worker/", "app/cli/", "app/db/", "app/embedded/")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", APP, ids=name)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_test_files_stay_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 500


def test_the_median_file_and_function_are_small() -> None:
    files = [len(path.read_text("utf-8").splitlines()) for path in APP]
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in APP
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(files) <= 100
    assert statistics.median(functions) <= 10


@pytest.mark.parametrize("path", [path for path in APP if not name(path).startswith(EDGES)], ids=name)
def test_nothing_below_an_edge_commits(path: Path) -> None:
    assert not re.search(r"\.(commit|rollback|begin)\(", path.read_text("utf-8"))


@pytest.mark.parametrize("path", [path for path in APP if name(path).startswith("app/api/v1/")], ids=name)
def test_endpoints_hold_no_queries_and_end_no_transaction(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not re.search(r"^from sqlalchemy|\.(commit|rollback|begin)\(|HTTPException", source, re.MULTILINE)


@pytest.mark.parametrize("path", APP, ids=name)
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [n.lineno for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert not inside


@pytest.mark.parametrize("path", [path for path in APP if path.name == "queries.py"], ids=name)
def test_every_read_names_its_tenant(path: Path) -> None:
    """Or says in its name or first line that it crosses tenants, as *system*."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
            arguments = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
            assert "merchant_id" in arguments or "*system*" in (ast.get_docstring(node) or ""), node.name


def test_only_settings_read_the_environment() -> None:
    readers = {name(path) for path in APP if re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))}
    allowed = {path for path in readers if path.startswith(("app/cli/", "app/embedded/"))}
    assert readers == allowed


def test_every_variable_of_the_example_environment_is_read() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    named = set(re.findall(r"^#?\s?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    known = set(re.findall(r'validation_alias="([A-Z_]+)"', (ROOT / "app/settings.py").read_text("utf-8")))
    assert known <= named
    assert named - known <= {"INVITREE_OWNER_PASSWORD", "INVITREE_APP_PASSWORD", "INVITREE_SYSTEM_PASSWORD"}
