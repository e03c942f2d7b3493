"""The wire of WeChat Pay and Alipay, against fakes that verify every signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from app.payouts.rails import calls
from app.payouts.rails.alipay import AlipayRail
from app.payouts.rails.protocol import Answer, Rail, Transfer
from app.payouts.rails.rules import next_move
from app.payouts.rails.wechat import WechatRail
from tests.factories.providers import AlipayFake, WechatFake, wechat_settings
from tests.factories.rsa_keys import key_pair, private_pem

KEY = "ivt01h2xcejqtf2nbrexx3vqjhp41"
TRANSFER = Transfer(KEY, 236_000, "CNY", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "张小明", "佣金")
TO_ALIPAY = replace(TRANSFER, account="zhang@example.com")


def wechat(fake: WechatFake) -> WechatRail:
    return WechatRail(fake.settings, fake.client())


def alipay(fake: AlipayFake) -> AlipayRail:
    return AlipayRail(fake.settings, fake.client())


async def turn(rail: Rail, transfer: Transfer = TRANSFER, *, is_new: bool = True, cancelling: bool = False) -> Answer:
    return await calls.turn(rail, transfer, is_new=is_new, cancelling=cancelling)


async def test_wechat_makes_a_bill_that_its_payee_confirms() -> None:
    fake = WechatFake()
    made = await turn(wechat(fake))
    assert (made.state, made.external_id, made.package_info) == ("awaiting_payee", "133000", "pkg")
    bill = fake.bills[KEY]
    assert (bill["openid"], bill["transfer_amount"], bill["user_name"]) == (TRANSFER.account, 236_000, "张小明")
    bill["state"] = "SUCCESS"
    paid = await turn(wechat(fake), is_new=False)
    assert (paid.state, paid.amount_minor, paid.paid_at and paid.paid_at.isoformat()) == (
        "paid",
        236_000,
        "2026-11-22T09:00:00+08:00",
    )
    assert fake.calls == {"POST": 1, "GET": 1}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("ACCEPTED", "processing"),
        ("TRANSFERING", "processing"),
        ("CANCELING", "processing"),
        ("FAIL", "failed"),
        ("CANCELLED", "failed"),
        ("SOMETHING_NEW", "unknown"),
    ],
)
async def test_wechat_states(state: str, expected: str) -> None:
    assert (await turn(wechat(WechatFake(state=state)))).state == expected


async def test_wechat_is_asked_before_anything_is_sent_again() -> None:
    fake = WechatFake(state="SUCCESS")
    await turn(wechat(fake))
    assert (await turn(wechat(fake), is_new=False)).state == "paid"
    assert fake.calls == {"POST": 1, "GET": 1}
    lost = WechatFake(state="SUCCESS")
    assert (await turn(wechat(lost), is_new=False)).state == "paid"
    assert (lost.calls, list(lost.bills)) == ({"GET": 1, "POST": 1}, [KEY])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ((400, "PARAM_ERROR"), "refused"),
        ((403, "NOT_ENOUGH"), "not_now"),
        ((429, "FREQUENCY_LIMITED"), "not_now"),
        ((500, "SYSTEM_ERROR"), "unknown"),
    ],
)
async def test_wechat_errors(error: tuple[int, str], expected: str) -> None:
    answer = await turn(wechat(WechatFake(error=error)))
    assert (answer.state, error[1] in (answer.reason or "")) == (expected, True)


async def test_a_refusal_of_a_bill_that_is_there_is_no_refusal() -> None:
    fake = WechatFake(state="SUCCESS")
    await wechat(fake).send(TRANSFER)
    fake.error = (400, "INVALID_REQUEST")
    assert (await turn(wechat(fake))).state == "paid"


async def test_wechat_closes_what_is_given_up() -> None:
    fake = WechatFake()
    await turn(wechat(fake))
    assert (await turn(wechat(fake), is_new=False, cancelling=True)).state == "failed"
    assert fake.calls["POST cancel"] == 1


def without_signature(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(answer.status_code, content=answer.content)


def changed(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(answer.status_code, content=answer.content + b" ", headers=dict(answer.headers))


def of_yesterday(answer: httpx.Response) -> httpx.Response:
    headers = {**answer.headers, "wechatpay-timestamp": "1700000000"}
    return httpx.Response(answer.status_code, content=answer.content, headers=headers)


@pytest.mark.parametrize("spoil", [without_signature, changed, of_yesterday])
@pytest.mark.parametrize("known", [True, False])
async def test_an_answer_that_anybody_could_have_given_is_none(
    spoil: Callable[[httpx.Response], httpx.Response], known: bool
) -> None:
    """That there is no such bill least of all: it would be sent again."""
    fake = WechatFake(state="SUCCESS")
    if known:
        await wechat(fake).send(TRANSFER)
    fake.after, fake.calls = spoil, type(fake.calls)()
    assert (await turn(wechat(fake), is_new=False)).state == "unknown"
    assert fake.calls == {"GET": 1}


async def test_wechat_refuses_what_another_key_signed() -> None:
    fake = WechatFake(settings=wechat_settings(private_key=private_pem(key_pair("stranger"))))
    answer = await wechat(fake).send(TRANSFER)
    assert (answer.state, fake.bills) == ("not_now", {})


@pytest.mark.parametrize("amount", [9, 0])
async def test_below_ten_fen_nothing_is_called(amount: int) -> None:
    fake, other = WechatFake(), AlipayFake()
    small = replace(TRANSFER, amount_minor=amount)
    assert (await wechat(fake).send(small)).state == (await alipay(other).send(small)).state == "refused"
    assert not fake.calls
    assert not other.calls


async def test_from_two_thousand_yuan_wechat_wants_a_name() -> None:
    fake = WechatFake()
    nameless = replace(TRANSFER, real_name="")
    assert (await wechat(fake).send(nameless)).state == "refused"
    assert (await wechat(fake).send(replace(nameless, amount_minor=199_999))).state == "awaiting_payee"


async def test_alipay_transfers_and_tells() -> None:
    fake = AlipayFake()
    paid = await turn(alipay(fake), TO_ALIPAY)
    assert (paid.state, paid.external_id, paid.amount_minor) == ("paid", "20260", 236_000)
    assert paid.paid_at is not None
    assert paid.paid_at.isoformat() == "2026-11-22T09:00:00+08:00"
    order = fake.orders[KEY]
    assert (order["trans_amount"], order["payee_info"]) == (
        "2360.00",
        {"identity": "zhang@example.com", "identity_type": "ALIPAY_LOGON_ID", "name": "张小明"},
    )


async def test_alipays_system_error_is_asked_after_and_not_sent_again() -> None:
    fake = AlipayFake(error="SYSTEM_ERROR", executes=True)
    assert (await turn(alipay(fake), TO_ALIPAY)).state == "unknown"
    assert (await turn(alipay(fake), TO_ALIPAY, is_new=False)).state == "paid"
    assert fake.calls == {"alipay.fund.trans.uni.transfer": 1, "alipay.fund.trans.common.query": 1}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("PAYEE_NOT_EXIST", "refused"),
        ("NO_ACCOUNT_RECEIVE_PERMISSION", "refused"),
        ("PAYER_BALANCE_NOT_ENOUGH", "not_now"),
        ("SYSTEM_ERROR", "unknown"),
    ],
)
async def test_alipay_errors(error: str, expected: str) -> None:
    assert (await turn(alipay(AlipayFake(error=error)), TO_ALIPAY)).state == expected


@pytest.mark.parametrize(("status", "expected"), [("DEALING", "processing"), ("FAIL", "failed"), ("NEW", "unknown")])
async def test_alipay_states(status: str, expected: str) -> None:
    assert (await turn(alipay(AlipayFake(status=status)), TO_ALIPAY)).state == expected


@pytest.mark.parametrize("attempts", [1, 2, 4, 9])
@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("code", ["PARAM_ERROR", "NO_AUTH", "SYSTEM_ERROR"])
async def test_a_question_that_is_refused_settles_nothing_and_sends_nothing(
    code: str, cancelling: bool, attempts: int
) -> None:
    of_wechat, of_alipay = WechatFake(look_error=(400, code)), AlipayFake(look_error=code)
    for rail, transfer in ((wechat(of_wechat), TRANSFER), (alipay(of_alipay), TO_ALIPAY)):
        answer = await turn(rail, transfer, is_new=False, cancelling=cancelling)
        assert (answer.state, code in (answer.reason or "")) == ("unknown", True)
        assert next_move(answer, attempts=attempts, cancelling=cancelling).status == "unknown"
        assert (await calls.look(rail, KEY)).state == "unknown"
    assert of_wechat.calls == {"GET": 2}
    assert of_alipay.calls == {"alipay.fund.trans.common.query": 2}


@pytest.mark.parametrize("cancelling", [False, True])
async def test_not_found_of_a_transfer_that_may_have_been_made_sends_nothing(cancelling: bool) -> None:
    fake = WechatFake()
    answer = await calls.turn(wechat(fake), TRANSFER, is_new=False, cancelling=cancelling, trusts_not_found=False)
    assert (answer.state, fake.calls) == ("unknown", {"GET": 1})


@pytest.mark.parametrize("is_new", [False, True])
async def test_what_is_given_up_is_never_sent(is_new: bool) -> None:
    fake = WechatFake()
    assert (await turn(wechat(fake), is_new=is_new, cancelling=True)).state == "not_found"
    assert fake.calls == {"GET": 1}


async def test_a_refusal_that_cannot_be_confirmed_is_unknown() -> None:
    fake = WechatFake(error=(400, "PARAM_ERROR"), look_error=(400, "PARAM_ERROR"))
    assert (await turn(wechat(fake))).state == "unknown"


async def test_what_alipay_did_not_sign_is_no_answer() -> None:
    fake = AlipayFake(forge=True)
    assert (await turn(alipay(fake), TO_ALIPAY, is_new=False)).state == "unknown"
    assert fake.calls == {"alipay.fund.trans.common.query": 1}


async def test_a_provider_that_is_down_leaves_it_unknown() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    for rail_type, settings in ((WechatRail, WechatFake().settings), (AlipayRail, AlipayFake().settings)):
        rail = rail_type(settings, httpx.AsyncClient(transport=httpx.MockTransport(down)))  # type: ignore[arg-type]
        assert (await turn(rail)).state == "unknown"
