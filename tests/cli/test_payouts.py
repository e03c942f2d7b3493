from __future__ import annotations

import asyncio
import csv
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import select, text

from app.kit import clock
from app.models import AuditEntry, PayoutBatch
from app.orders import paying_back, selling
from app.orders.selling import Wish
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable, make_user, store_payee
from tests.factories.providers import wechat_settings
from tests.factories.shops import make_shop
from tests.factories.terminals import Shop, Terminal, furnish

HEAD = "payout_id,status,external_id,reason,paid_at\n"


def test_preview_shows_who_is_paid_and_who_is_not(terminal: Terminal) -> None:
    code, out, err = terminal.run("preview")
    assert code == 0
    assert "17.70" in out
    assert "less than the minimum" in out
    assert "2 payouts, 22.70 CNY in all." in err
    found = terminal.read("preview", "--as", terminal.shop.checker)
    assert (found["count"], found["total_minor"]) == (2, 2_270)
    assert [one["reason"] for one in found["skipped"]] == ["below_minimum"]
    assert all(payout["account"].startswith("****") for payout in found["payouts"])


def test_nothing_is_changed_without_execute(terminal: Terminal) -> None:
    code, out, err = terminal.run("build", "--as", terminal.shop.maker)
    assert code == 0
    assert "Dry run" in err
    assert "22.70" in out
    tried = terminal.read("build", "--as", terminal.shop.maker)
    assert (tried["executed"], tried["batch"]["payout_count"]) == (False, 2)
    built = terminal.read("build", "--as", terminal.shop.maker, "--execute")
    assert built["executed"]
    assert built["batch"]["number"] != tried["batch"]["number"]


def test_from_build_to_settled(terminal: Terminal, tmp_path: Path) -> None:
    batch = terminal.build()
    acts = ["--batch", batch, "--as", terminal.shop.checker]
    assert terminal.read("approve", *acts, "--execute")["batch"]["status"] == "approved"
    dry = terminal.run("export", *acts, "--out", str(tmp_path))
    assert (dry[0], list(tmp_path.iterdir())) == (0, [])
    file = Path(terminal.read("export", *acts, "--out", str(tmp_path), "--execute")["file"]["path"])
    assert (file.parent, stat.S_IMODE(file.stat().st_mode)) == (tmp_path, 0o600)
    terminal.read("export", *acts, "--out", str(tmp_path / "again.csv"), "--execute")
    assert (tmp_path / "again.csv").read_bytes() == file.read_bytes()
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert sorted(row["amount"] for row in rows) == ["17.70", "5.00"]
    results = tmp_path / "results.csv"
    lines = [f"{row['payout_id']},paid,B{number},,\n" for number, row in enumerate(rows)]
    results.write_text(HEAD + "".join(lines), "gb18030")
    tried = terminal.read("import", str(results), *acts)
    assert (tried["executed"], tried["paid"], tried["batch"]["status"]) == (False, 2, "settled")
    done = terminal.read("import", str(results), *acts, "--execute")
    assert (done["paid"], done["open"], done["batch"]["status"]) == (2, 0, "settled")
    assert terminal.read("import", str(results), *acts, "--execute")["unchanged"] == 2
    assert terminal.read("reconcile")["totals"]["paid_minor"] == 2_270
    assert terminal.run("doctor")[0] == 0


def test_xlsx_is_written_too(terminal: Terminal, tmp_path: Path) -> None:
    batch = terminal.exported(tmp_path / "a.csv")
    acts = ["--batch", batch, "--as", terminal.shop.checker, "--execute", "--format", "xlsx"]
    found = terminal.read("export", *acts, "--out", str(tmp_path))["file"]
    assert found["path"].endswith(".xlsx")
    assert Path(found["path"]).read_bytes().startswith(b"PK")


def test_the_maker_is_refused_with_three(terminal: Terminal) -> None:
    batch = terminal.build()
    code, out, err = terminal.run("approve", "--batch", batch, "--as", terminal.shop.maker, "--execute")
    assert (code, out) == (3, "")
    assert "maker_is_checker" in err
    code, _, err = terminal.run("export", "--batch", batch, "--as", terminal.shop.checker, "--execute")
    assert code == 3
    assert "batch_not_approved" in err


def test_rows_that_were_not_followed_exit_with_four_or_three(terminal: Terminal, tmp_path: Path) -> None:
    batch = terminal.exported(tmp_path / "a.csv")
    acts = ["--batch", batch, "--as", terminal.shop.checker, "--execute"]
    first = (tmp_path / "a.csv").read_text("utf-8").splitlines()[1].partition(",")[0]
    results = tmp_path / "results.csv"
    results.write_text(f"{HEAD}{first},paid,B1,,\npay_1,paid,,[bold]x,\n")
    code, out, _ = terminal.run("import", str(results), *acts)
    assert code == 4
    assert "payout_id_invalid" in out
    results.write_text(f"{HEAD}{first},failed,,,\n")
    code, out, _ = terminal.run("import", str(results), *acts)
    assert code == 3
    assert "result_changed" in out
    results.write_bytes(b"\xff\xff")
    assert terminal.run("import", str(results), *acts)[0] == 3


def test_cancel_frees_the_money_for_the_next_batch(terminal: Terminal) -> None:
    batch = terminal.build()
    acts = ["--batch", batch, "--as", terminal.shop.maker, "--reason", "金额有误"]
    assert terminal.read("cancel", *acts, "--execute")["batch"]["status"] == "cancelled"
    assert terminal.read("preview")["total_minor"] == 2_270


async def test_what_was_done_is_in_the_audit_log(shop: Shop, resources: Resources) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "app.cli",
        "payouts",
        "build",
        "--merchant",
        shop.merchant_id,
        "--as",
        shop.maker,
    ]
    for more in ([], ["--execute"]):
        done = subprocess.run([*command, *more], capture_output=True, check=False, env=os.environ)  # noqa: ASYNC221
        assert done.returncode == 0, done.stderr.decode()
    async with resources.db.tenant(shop.merchant_id) as session:
        (entry,) = (await session.scalars(select(AuditEntry))).all()
        (batch,) = (await session.scalars(select(PayoutBatch))).all()
    assert (entry.action, entry.actor, entry.subject_id) == ("payout_batch.built", shop.maker, batch.id)


async def test_live_merchants_are_paid_the_same_way(merchant: MerchantFixture, resources: Resources) -> None:
    shop = await furnish(resources, merchant.live_id)
    command = [sys.executable, "-P", "-m", "app.cli", "payouts", "preview", "--json", "--merchant", shop.merchant_id]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ)  # noqa: ASYNC221
    assert msgspec.json.decode(done.stdout)["total_minor"] == 2_270


def test_a_batch_is_sent_once_somebody_says_so(terminal: Terminal) -> None:
    batch = terminal.build()
    acts = ["--batch", batch, "--as", terminal.shop.checker]
    assert terminal.run("send", *acts, "--execute")[0] == 3, "not approved yet"
    terminal.read("approve", *acts, "--execute")
    assert terminal.read("send", *acts)["batch"]["status"] == "sent"
    assert terminal.read("send", *acts, "--execute")["batch"]["sent_at"] is not None
    assert terminal.read("send", *acts, "--execute")["batch"]["channel"] == "bank"
    assert terminal.run("export", *acts)[0] == 3
    report = terminal.read("reconcile", "--ask")
    assert (report["ok"], report["totals"]["asked"], report["totals"]["unanswered"]) == (True, 0, 0)


def test_credentials_are_set_and_not_printed(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "wechat.json"
    file.write_bytes(msgspec.json.encode(asdict(wechat_settings())))
    words = ["rails", "set", "wechat", str(file), "--as", terminal.shop.checker, "--execute"]
    code, out, err = terminal.run(*words)
    assert (code, "PRIVATE" in out + err, msgspec.json.decode(out)["settings"]["private_key"] == "set") == (
        0,
        False,
        True,
    ), err
    file.write_text("{}")
    assert terminal.run(*words)[0] == 2


def test_a_cut_off_is_a_day_in_china_or_an_instant(terminal: Terminal) -> None:
    for moment in ("2030-01-01", "2030-01-01T00:00:00+08:00", "2030-01-01 00:00"):
        found = terminal.read("preview", "--until", moment)
        assert (found["count"], found["requested_before"]) == (0, "2029-12-31T16:00:00Z")
    assert terminal.run("preview", "--until", "soon")[0] == 2
    code, _, err = terminal.run("build", "--as", terminal.shop.maker, "--until", "2030-01-01", "--execute")
    assert (code, "nothing_to_pay" in err) == (3, True)


def test_settings_are_shown_and_changed(terminal: Terminal) -> None:
    assert terminal.read("settings")["minimum_minor"] == 100
    words = ["settings", "--minimum", "600", "--fee", "20", "--fee-bearer", "payee", "--as", terminal.shop.checker]
    assert terminal.read(*words)["executed"] is False
    assert terminal.read("settings")["fee_minor"] == 0
    assert terminal.read(*words, "--execute")["fee_minor"] == 20
    found = terminal.read("preview")
    assert (found["total_minor"], found["fees_minor"], found["count"]) == (1_750, 20, 1)
    _, out, err = terminal.run("preview")
    assert ("0.20 (payee)" in out, "fees of 0.20" in err) == (True, True)
    assert terminal.run("settings", "--fee", "1")[0] == 2, "nobody is named"
    assert terminal.run("settings", "--fee", "700", "--as", terminal.shop.checker, "--execute")[0] == 3


def test_differences_exit_with_four_and_are_named(terminal: Terminal, tmp_path: Path) -> None:
    batch = terminal.exported(tmp_path / "a.csv")
    acts = ["--batch", batch, "--as", terminal.shop.checker, "--execute"]
    ids = [line.partition(",")[0] for line in (tmp_path / "a.csv").read_text("utf-8").splitlines()[1:]]
    results, listed, out = (tmp_path / name for name in ("results.csv", "list.csv", "differences.csv"))
    results.write_text(HEAD + "".join(f"{each},paid,B{n},,\n" for n, each in enumerate(ids)))
    terminal.read("import", str(results), *acts)
    listed.write_text(f"payout_id,amount,external_id\n{ids[0]},99.99,B0\n2026,1.00,X\n")
    words = ["reconcile", "--list", str(listed), "--batch", batch, "--out", str(out)]
    code, printed, _ = terminal.run(*words, "--json")
    found = msgspec.json.decode(printed)
    assert (code, found["ok"]) == (4, False)
    assert sorted(each["code"] for each in found["differences"]) == [
        "amount_differs",
        "missing_at_provider",
        "unknown_here",
    ]
    with out.open(encoding="utf-8", newline="") as opened:
        assert sorted(row["subject_id"] for row in csv.DictReader(opened)) == sorted(["'2026", *ids])
    code, printed, _ = terminal.run(*words)
    assert (code, "missing_at_provider" in printed) == (4, True)


def test_what_is_not_stuck_is_not_settled_by_people(terminal: Terminal, tmp_path: Path) -> None:
    terminal.exported(tmp_path / "a.csv")
    payout = (tmp_path / "a.csv").read_text("utf-8").splitlines()[1].partition(",")[0]
    words = ["settle-unknown", "--payout", payout, "--paid", "--as", terminal.shop.checker]
    assert terminal.run(*words)[0] == 2, "no evidence"
    code, _, err = terminal.run(*words, "--reason", "x", "--evidence", "y", "--execute")
    assert (code, "payout_submitting" in err) == (3, True)
    code, _, err = terminal.run(*words, "--confirm", "--execute")
    assert (code, "payout_decision_missing" in err) == (3, True)


async def test_a_refund_that_nobody_carries_out_is_settled_by_two(terminal: Terminal, resources: Resources) -> None:
    own = terminal.shop.merchant_id
    async with resources.db.tenant(own) as session:
        other = await make_user(session, own)
        made = await make_shop(session, own)
        wish = Wish(made.campaign.id, participant_id=made.buyer.id)
        sold = await selling.sell(session, merchant_id=own, wish=wish, provider="sandbox", now=clock.utcnow())
        refund = await paying_back.owe(session, checkout=sold, amount_minor=sold.amount_minor, now=clock.utcnow())
        refund.payback = "refused"
    words = ["settle-refund", "--refund", refund.id, "--paid-otherwise", "--as"]

    def settle() -> list[Any]:
        why = ["--reason", "银行转账", "--evidence", "回单 7"]
        return [
            terminal.run(*words, other)[0],
            terminal.run(*words, other, *why)[0],
            terminal.run(*words, terminal.shop.checker, "--confirm", "--execute")[0],
            terminal.read(*words, other, *why, "--execute")["refund_id"],
            terminal.run(*words, other, "--confirm", "--execute")[0],
            terminal.read(*words, terminal.shop.checker, "--confirm")["executed"],
            terminal.read(*words, terminal.shop.checker, "--confirm", "--execute")["confirmed_by"],
        ]

    done = await asyncio.to_thread(settle)
    assert done == [2, 0, 3, refund.id, 3, False, terminal.shop.checker]
    async with resources.db.tenant(own) as session:
        assert (await paying_back.hold(session, merchant_id=own, refund_id=refund.id)).payback == "paid_otherwise"


async def test_what_is_stuck_is_told_with_its_age(terminal: Terminal, resources: Resources) -> None:
    batch = await asyncio.to_thread(terminal.build)
    async with resources.db.tenant(terminal.shop.merchant_id) as session:
        await session.execute(text("UPDATE payout_batches SET created_at = now() - interval '26 hours'"))
    code, out, _ = await asyncio.to_thread(terminal.run, "doctor")
    assert (code, batch in out, "1 d 2 h" in out, "another user: approve" in out) == (1, True, True, True)


async def test_who_is_left_out_of_a_file_is_named_and_exits_with_four(
    terminal: Terminal, resources: Resources, tmp_path: Path, api: httpx.AsyncClient
) -> None:
    async with resources.db.tenant(terminal.shop.merchant_id) as session:
        merchant_id = terminal.shop.merchant_id
        await make_payable(session, merchant_id, 700, kind="alipay", account="zhang@example.com")
        promoter = await make_payable(session, merchant_id, 700, kind="alipay", account="li@example.com")

    def approve() -> str:
        built = terminal.read("build", "--channel", "alipay", "--as", terminal.shop.maker, "--execute")
        batch = str(built["batch"]["id"])
        terminal.read("approve", "--batch", batch, "--as", terminal.shop.checker, "--execute")
        return batch

    batch = await asyncio.to_thread(approve)
    async with resources.db.tenant(terminal.shop.merchant_id) as session:
        await store_payee(session, promoter, real_name="=李四")
    payer = ["--format", "alipay", "--payer", "a@example.com", "--payer-name", "公司"]
    acts = ["export", "--batch", batch, "--as", terminal.shop.checker, *payer, "--out", str(tmp_path)]
    for words in (acts, [*acts, "--execute"], [*acts, "--execute"]):
        code, _, err = await asyncio.to_thread(terminal.run, *words)
        assert (code, "Left out of the file" in err) == (4, True)
    told = await api.post(
        f"/v1/payout-batches/{batch}/export",
        json={"format": "alipay", "payer_account": "a@example.com", "payer_name": "公司"},
    )
    (failed,) = (await api.get("/v1/payouts", params={"status": "failed"})).json()["data"]
    assert (told.headers["Left-Out"], failed["reason"]) == (failed["id"], "alipay_cell_refused")
    written = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
    assert written == [told.content]
