"""The whole way through HTTP: accounts, withdrawal, batch, file, results."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.api.middleware import MAX_BODY
from app.kit import ids
from app.models import AuditEntry, Participant
from app.resources import Resources
from tests.factories import MerchantFixture, make_merchant
from tests.factories.payables import make_payable, make_user

BANK = {"kind": "bank", "account": "6222021234567890123", "real_name": "张小明", "bank_name": "工商银行"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture
async def people(merchant: MerchantFixture, resources: Resources) -> dict[str, str]:
    async with resources.db.tenant(merchant.test_id) as session:
        return {role: await make_user(session, merchant.test_id, role) for role in ("owner", "finance", "operator")}


@pytest.fixture
async def promoter(merchant: MerchantFixture, resources: Resources) -> Participant:
    """17.70 yuan are payable; no account yet."""
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_payable(session, merchant.test_id, 1_770, payee=False)


async def post(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = await api.post(path, json=body or {}, headers={"Idempotency-Key": ids.new("idk")})
    assert answer.is_success, answer.text
    return answer.json()


async def code_of(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> tuple[int, str]:
    answer = await api.post(path, json=body, headers={"Idempotency-Key": ids.new("idk")})
    return answer.status_code, answer.json()["code"]


async def test_from_the_account_to_the_settled_batch(
    api: httpx.AsyncClient, promoter: Participant, people: dict[str, str]
) -> None:
    member = promoter.member_id
    account = await post(api, f"/v1/members/{member}/payee-accounts", BANK)
    assert (account["account"], account["real_name"], account["livemode"]) == ("****0123", "张**", False)
    asked = await post(api, "/v1/withdrawals", {"member_id": member})
    assert (asked["amount_minor"], asked["status"], asked["payee_account_id"]) == (1_770, "requested", account["id"])
    batch = await post(api, "/v1/payout-batches", {"user_id": people["operator"]})
    assert (batch["status"], batch["payout_count"], batch["total_minor"], batch["skipped"]) == ("built", 1, 1_770, [])
    path = f"/v1/payout-batches/{batch['id']}"
    assert (await post(api, f"{path}/approve", {"user_id": people["finance"]}))["status"] == "approved"
    exported = [await api.post(f"{path}/export", json={"user_id": people["finance"]}) for _ in range(2)]
    assert exported[0].content == exported[1].content == (await api.post(f"{path}/export")).content
    assert exported[0].headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(exported[0].text, newline=""))
    assert (row["amount"], row["account"], row["real_name"]) == ("17.70", "'6222021234567890123", "张小明")
    file = f"payout_id,status,external_id,reason,paid_at\n{row['payout_id']},paid,BANK1,,\npay_x,paid,,,\n"
    form: dict[str, Any] = {"files": {"file": ("r.csv", file)}, "data": {"user_id": people["finance"]}}
    done = await api.post(f"{path}/results", **form, headers={"Idempotency-Key": "results-1"})
    assert done.json()["batch"]["status"] == "settled"
    assert [(fault["line"], fault["code"]) for fault in done.json()["refused"]] == [(3, "payout_id_invalid")]
    again = await api.post(f"{path}/results", content=file, headers={**CSV, "Idempotency-Key": "results-2"})
    assert (again.json()["paid"], again.json()["unchanged"]) == (0, 1)
    await check_the_end(api, member, batch["id"], asked["id"])


async def check_the_end(api: httpx.AsyncClient, member: str, batch: str, withdrawal: str) -> None:
    assert (await api.get(f"/v1/payout-batches/{batch}")).json()["payouts"] == {"paid": 1}
    (payout,) = (await api.get("/v1/payouts", params={"batch_id": batch, "status": "paid"})).json()["data"]
    assert (payout["external_id"], payout["withdrawal_id"], len(payout["commission_ids"])) == ("BANK1", withdrawal, 1)
    assert (await api.get(f"/v1/payouts/{payout['id']}")).json() == payout
    number = (await api.get(f"/v1/payout-batches/{batch}")).json()["number"]
    named = [(await api.get("/v1/payout-batches", params={"number": each})).json()["data"] for each in (number, "PB0")]
    assert [[each["id"] for each in found] for found in named] == [[batch], []]
    (found,) = (await api.get("/v1/withdrawals", params={"member_id": member})).json()["data"]
    assert (found["id"], found["status"]) == (withdrawal, "paid")
    assert (await api.get("/v1/payouts", params={"status": "failed"})).json()["data"] == []


async def test_the_same_account_again_is_200_and_the_same_row(api: httpx.AsyncClient, promoter: Participant) -> None:
    path = f"/v1/members/{promoter.member_id}/payee-accounts"
    answers = [await api.post(path, json=BANK) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    wechat = await post(api, path, {"kind": "wechat", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "real_name": "张"})
    listed = (await api.get(path)).json()["data"]
    assert [account["id"] for account in listed] == [wechat["id"], answers[0].json()["id"]]
    assert "6222021234567890123" not in answers[0].text


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"account": "12ab"}, "payee_account_invalid"),
        ({"account": None}, "validation_failed"),
        ({"openid": "oUpF8uMuAJO"}, "validation_failed"),
        ({"kind": "cheque"}, "validation_failed"),
        ({"real_name": "\t"}, "validation_failed"),
        ({"real_name": "\u200b"}, "real_name_missing"),
    ],
)
async def test_an_account_that_cannot_be_is_refused(
    api: httpx.AsyncClient, promoter: Participant, change: dict[str, str], code: str
) -> None:
    found = await code_of(api, f"/v1/members/{promoter.member_id}/payee-accounts", {**BANK, **change})
    assert found == (422, code)


async def test_withdrawals_say_why_not(api: httpx.AsyncClient, promoter: Participant) -> None:
    body = {"member_id": promoter.member_id}
    assert (await api.post("/v1/withdrawals", json=body)).json()["code"] == "idempotency_key_missing"
    assert await code_of(api, "/v1/withdrawals", body) == (409, "payee_account_missing")
    await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    asked = await post(api, "/v1/withdrawals", body)
    assert await code_of(api, "/v1/withdrawals", body) == (409, "withdrawal_open")
    assert (await post(api, f"/v1/withdrawals/{asked['id']}/cancel"))["status"] == "cancelled"
    assert (await api.get(f"/v1/withdrawals/{asked['id']}")).json()["status"] == "cancelled"
    assert (await post(api, "/v1/withdrawals", body))["amount_minor"] == 1_770


async def test_a_batch_says_why_not(api: httpx.AsyncClient, promoter: Participant, people: dict[str, str]) -> None:
    build = {"user_id": people["finance"]}
    assert await code_of(api, "/v1/payout-batches", build) == (409, "nothing_to_pay")
    await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    path = f"/v1/payout-batches/{(await post(api, '/v1/payout-batches', build))['id']}"
    assert await code_of(api, f"{path}/approve", build) == (403, "maker_is_checker")
    assert await code_of(api, f"{path}/approve", {"user_id": people["operator"]}) == (403, "role_not_allowed")
    assert await code_of(api, f"{path}/approve", {"user_id": ids.new("usr")}) == (404, "merchant_user_not_found")
    assert await code_of(api, f"{path}/export", {}) == (409, "batch_not_approved")
    assert (await post(api, f"{path}/cancel", {"reason": "金额有误"}))["status"] == "cancelled"
    assert await code_of(api, f"{path}/approve", {"user_id": people["owner"]}) == (409, "batch_cancelled")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"\xff\xff\xff", "headers": CSV}, 422, "result_file_unreadable"),
        ({"json": {}}, 422, "content_type_unexpected"),
        ({"files": {"other": ("r.csv", b"x")}}, 422, "validation_failed"),
        ({"files": {"file": ("r.csv", b"x")}, "data": {"user_id": "key_x"}}, 422, "validation_failed"),
        ({"content": b"", "headers": CSV}, 422, "result_file_columns"),
    ],
)
async def test_what_is_no_result_file_is_refused(
    api: httpx.AsyncClient, request_: dict[str, Any], status: int, code: str
) -> None:
    headers = {"Idempotency-Key": "results", **request_.get("headers", {})}
    answer = await api.post(f"/v1/payout-batches/{ids.new('bat')}/results", **{**request_, "headers": headers})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_result_file_that_is_too_large_is_told_where_to_go(api: httpx.AsyncClient) -> None:
    path, headers = f"/v1/payout-batches/{ids.new('bat')}/results", {**CSV, "Idempotency-Key": "results"}
    refused = await api.post(path, content=b"x" * (MAX_BODY + 1), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert str(MAX_BODY) in refused.json()["detail"]
    assert "invitree payouts import" in refused.json()["detail"]


async def test_another_merchants_key_finds_nothing(
    api: httpx.AsyncClient, app: FastAPI, resources: Resources, promoter: Participant, people: dict[str, str]
) -> None:
    account = await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    withdrawal = await post(api, "/v1/withdrawals", {"member_id": promoter.member_id})
    batch = await post(api, "/v1/payout-batches", {"user_id": people["finance"]})
    stranger = await make_merchant(resources)
    async with stranger.client(app) as other:
        tries = {
            f"/v1/members/{promoter.member_id}/payee-accounts": (BANK, "member_not_found"),
            "/v1/withdrawals": (
                {"member_id": promoter.member_id, "payee_account_id": account["id"]},
                "member_not_found",
            ),
            f"/v1/withdrawals/{withdrawal['id']}/cancel": ({}, "withdrawal_not_found"),
            "/v1/payout-batches": ({"user_id": people["finance"]}, "merchant_user_not_found"),
            f"/v1/payout-batches/{batch['id']}/cancel": ({}, "payout_batch_not_found"),
            f"/v1/payout-batches/{batch['id']}/export": ({}, "payout_batch_not_found"),
        }
        for path, (body, code) in tries.items():
            assert await code_of(other, path, body) == (404, code), path
        assert (await other.get("/v1/payouts")).json()["data"] == []
        assert (await other.get(f"/v1/payout-batches/{batch['id']}")).status_code == 404


async def test_what_moves_money_wants_a_key_and_a_file_read_again_does_not(
    api: httpx.AsyncClient, promoter: Participant, people: dict[str, str]
) -> None:
    await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    batch = await post(api, "/v1/payout-batches", {"user_id": people["operator"]})
    path, payout = f"/v1/payout-batches/{batch['id']}", (await api.get("/v1/payouts")).json()["data"][0]
    (commission,) = payout["commission_ids"]
    tries = {
        f"{path}/approve": {"user_id": people["owner"]},
        f"{path}/send": {},
        f"{path}/results": {},
        f"{path}/cancel": {},
        f"/v1/withdrawals/{payout['withdrawal_id']}/cancel": {},
        f"/v1/payouts/{payout['id']}/cancel": {},
        f"/v1/commissions/{commission}/reject": {"reason": "own account"},
    }
    for each, body in tries.items():
        answer = await api.post(each, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing"), each
    assert (await api.get(path)).json()["status"] == "built"
    await post(api, f"{path}/approve", {"user_id": people["owner"]})
    assert (await api.post(f"{path}/export")).status_code == 200


async def test_the_audit_log_names_the_users_and_the_key_that_spoke_for_them(
    api: httpx.AsyncClient, resources: Resources, promoter: Participant, people: dict[str, str]
) -> None:
    await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    batch = await post(api, "/v1/payout-batches", {"user_id": people["operator"]})
    await post(api, f"/v1/payout-batches/{batch['id']}/approve", {"user_id": people["owner"]})
    async with resources.db.tenant(promoter.merchant_id) as session:
        found = await session.scalars(select(AuditEntry).where(AuditEntry.subject_id == batch["id"]))
        named = {entry.action: (entry.actor, entry.detail["key"][:4]) for entry in found}
    assert named == {
        "payout_batch.built": (people["operator"], "key_"),
        "payout_batch.approved": (people["owner"], "key_"),
    }


async def test_an_export_with_a_key_is_not_remembered_in_the_open(
    api: httpx.AsyncClient, promoter: Participant, people: dict[str, str]
) -> None:
    await post(api, f"/v1/members/{promoter.member_id}/payee-accounts", BANK)
    path = f"/v1/payout-batches/{(await post(api, '/v1/payout-batches', {'user_id': people['operator']}))['id']}"
    await post(api, f"{path}/approve", {"user_id": people["owner"]})
    key = {"Idempotency-Key": "export-1"}
    first, again = [await api.post(f"{path}/export", json={"format": "xlsx"}, headers=key) for _ in range(2)]
    assert first.content == again.content
    assert first.headers["content-disposition"].endswith('.xlsx"')
    assert "idempotency-replayed" not in again.headers
