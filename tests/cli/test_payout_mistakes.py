"""What is wrong with a command: an exit code that says whose mistake it is, and nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories.terminals import Shop, Terminal

NOBODY = "usr_01h2xcejqtf2nbrexx3vqjhp41"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["build"], 2),
        (["build", "--as", "key_x"], 2),
        (["build", "--as", NOBODY], 1),
        (["approve", "--batch", "bat_x", "--as", NOBODY], 1),
        (["import", "/nowhere.csv", "--batch", "bat_x", "--as", NOBODY], 2),
        (["import", "/", "--batch", "bat_x", "--as", NOBODY], 2),
        (["export", "--batch", "bat_x", "--as", NOBODY, "--encoding", "gbk"], 2),
        (["reconcile", "--list", "/"], 2),
        (["reconcile", "--ask", "--credentials", "/"], 2),
        (["rails", "set", "wechat", "/", "--as", NOBODY], 2),
        (["settings", "--fee", "99999999999999999999", "--as", NOBODY], 2),
        (["settings", "--fee-bps", "1001", "--as", NOBODY], 2),
        (["preview", "--until", "0001-01-01"], 2),
        (["preview", "--until", "9999-12-31T23:59-12:00"], 2),
        (["preview", "--currency", "cny"], 2),
        (["preview", "--campaign", "cmp_x"], 1),
        (["nonsense"], 2),
    ],
)
def test_mistakes_have_their_exit_codes(terminal: Terminal, words: list[str], code: int) -> None:
    assert terminal.run(*words)[0] == code


def test_a_folder_that_is_not_there_changes_nothing(terminal: Terminal, tmp_path: Path) -> None:
    batch = terminal.build()
    acts = ["--batch", batch, "--as", terminal.shop.checker, "--execute"]
    terminal.read("approve", *acts)
    assert terminal.run("export", *acts, "--out", str(tmp_path / "no" / "a.csv"))[0] == 2
    assert terminal.read("approve", *acts)["batch"]["status"] == "approved"


def test_no_merchant_is_found_under_another_id(terminal: Terminal) -> None:
    terminal.shop = Shop("cmp_1", "", "")
    assert terminal.run("preview")[0] == 2
    terminal.shop = Shop("mch_01h2xcejqtf2nbrexx3vqjhp41", "", "")
    code, _, err = terminal.run("preview")
    assert (code, "merchant_not_found" in err) == (1, True)


@pytest.mark.parametrize(
    ("encode", "code"),
    [
        (lambda text: text.encode("gbk"), 0),
        (lambda text: text.encode("utf-8-sig"), 0),
        (lambda text: text.encode("utf-16"), 3),
        (lambda text: text.encode()[:-2], 3),
        (lambda text: text[: text.rindex(",")].encode(), 4),
        (lambda text: text.encode() + b'\n"pay', 3),
    ],
    ids=["GBK", "with a mark", "UTF-16", "cut within a character", "cut within a row", "cut within a cell"],
)
def test_a_result_file_is_read_whole_or_not_at_all(terminal: Terminal, tmp_path: Path, encode: Any, code: int) -> None:
    batch = terminal.exported(tmp_path / "a.csv")
    acts = ["--batch", batch, "--as", terminal.shop.checker, "--execute"]
    ids = [line.partition(",")[0] for line in (tmp_path / "a.csv").read_text("utf-8").splitlines()[1:]]
    rows = f"payout_id,status,external_id,reason\n{ids[0]},paid,B1,\n{ids[1]},failed,B2,户名不符"
    file = tmp_path / "results.csv"
    file.write_bytes(encode(rows))
    assert terminal.run("import", str(file), *acts)[0] == code
    paid = terminal.read("reconcile")["totals"]["paid_minor"]
    assert (paid > 0) == (code in (0, 4))
    file.write_bytes(rows.encode())
    done = terminal.read("import", str(file), *acts)
    assert (done["open"], done["batch"]["status"]) == (0, "settled"), "the next run goes on"


@pytest.mark.parametrize("content", [b"{}", b"nonsense"], ids=["empty", "no JSON"])
def test_credentials_that_are_none_are_a_mistake_of_usage(terminal: Terminal, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(content)
    assert terminal.run("reconcile", "--ask", "--credentials", str(file))[0] == 2
