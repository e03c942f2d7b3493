"""A participant withdraws: the account to be paid to, a request for all that is payable, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette import status

from app.api.deps import ResourcesDep
from app.db.pages import PageQuery
from app.h5.errors import form_text
from app.h5.me import Own, own_page
from app.h5.pages import redirect, render
from app.kit import clock, people
from app.kit.errors import InvitreeError
from app.models import Merchant, PayeeAccount
from app.payouts import accounts, payees, queries, rules, withdrawals
from app.referrals.queries import get_member
from app.resources import Resources

router = APIRouter()
SHOWN = 20
STATUS = {
    "requested": "已申请",
    "approved": "已审核",
    "rejected": "未通过",
    "in_payout": "打款中",
    "paid": "已到账",
    "failed": "打款失败",
    "cancelled": "已取消",
}
TEXT = {
    "payee_account_invalid": "请输入正确的支付宝账号（手机号或邮箱）",
    "real_name_missing": "请填写实名认证的姓名",
    "real_name_invalid": "姓名要以文字开头，请填写实名认证的姓名",
    "payee_account_of_invite": "这个账号已是您的邀请人或好友的收款账号，请填写本人的账号",
    "payee_account_in_use": "这个账号正在打款，到账后才能修改姓名",
    "payee_account_missing": "请先在下面填写收款账号",
    "withdrawal_open": "还有一笔提现没有完成，请等它到账或先取消",
    "nothing_payable": "现在没有可以提现的金额",
    "below_minimum": "还没有达到最低提现金额",
    "fee_changed": "手续费刚刚有调整，请看清后再提现",
    "withdrawal_overtaken": "余额刚刚有变动，请再试一次",
    "withdrawal_in_payout": "已经开始打款，不能取消了",
    "withdrawal_paid": "这笔提现已经到账",
    "ledger_disagrees": "账目正在核对，请稍后再来",
}
KIND = {"wechat": "微信零钱", "alipay": "支付宝", "bank": "银行卡"}
TYPED = {"wechat_name": "", "alipay_name": "", "alipay_account": ""}
OF_OBSTACLE = {"negative_balance": "nothing_payable"}


@router.get("/me/{participant_id}/withdraw")
async def show(participant_id: str, request: Request, resources: ResourcesDep) -> Response:
    async with own_page(request, resources, participant_id) as own:
        return await _page(own)


@router.post("/me/{participant_id}/withdraw/account")
async def save_account(
    participant_id: str,
    request: Request,
    resources: ResourcesDep,
    kind: Annotated[str, Form(max_length=16)] = "alipay",
    account: Annotated[str, Form(max_length=128)] = "",
    real_name: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Alipay's as it was typed, or the member's own WeChat, where its openid is known: a page cannot ask for one."""

    async def act(own: Own) -> None:
        given: dict[str, Any] = {"member_id": own.visitor.member_id, "real_name": real_name, "now": await _now(own)}
        if kind == "wechat":
            await accounts.save(own.session, **own.tenant, **given, kind="wechat", account=await _openid(own) or "")
        else:
            await accounts.save(own.session, **own.tenant, **given, kind="alipay", account=account)

    typed = {"wechat_name": real_name} if kind == "wechat" else {"alipay_name": real_name, "alipay_account": account}
    return await _done(request, resources, participant_id, act, typed)


@router.post("/me/{participant_id}/withdraw")
async def ask(
    participant_id: str,
    request: Request,
    resources: ResourcesDep,
    fee: Annotated[str, Form(max_length=16, pattern="^[0-9]*$")] = "",
) -> Response:
    """For all that is payable, less the fee that was shown; a second press finds the first request."""

    async def act(own: Own) -> None:
        mine, agreed = {"member_id": own.visitor.member_id}, int(fee) if fee else None
        await withdrawals.request(own.session, **own.tenant, **mine, fee_minor=agreed, now=await _now(own))

    return await _done(request, resources, participant_id, act)


@router.post("/me/{participant_id}/withdraw/cancel")
async def cancel(
    participant_id: str,
    request: Request,
    resources: ResourcesDep,
    withdrawal: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Until it is sent; somebody else's is as if it did not exist."""

    async def act(own: Own) -> None:
        mine = {"withdrawal_id": withdrawal, "member_id": own.visitor.member_id}
        await withdrawals.cancel(own.session, **own.tenant, **mine, now=await _now(own))

    return await _done(request, resources, participant_id, act)


async def _done(
    request: Request,
    resources: Resources,
    participant_id: str,
    act: Callable[[Own], Awaitable[None]],
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The page again; what is wrong stands above the form, with what was typed in it, and was rolled back."""
    try:
        async with own_page(request, resources, participant_id) as own:
            await act(own)
    except InvitreeError as error:
        async with own_page(request, resources, participant_id) as own:
            return await _page(own, error=error, typed=typed)
    return redirect(f"/h5/me/{participant_id}/withdraw")


async def _openid(own: Own) -> str | None:
    member = await get_member(own.session, **own.tenant, member_id=own.visitor.member_id)
    return member.openid


async def _now(own: Own) -> datetime:
    merchant = await own.session.get_one(Merchant, own.visitor.merchant_id)
    return clock.tenant_now(merchant.clock_offset_seconds)


async def _page(own: Own, *, error: InvitreeError | None = None, typed: Mapping[str, str] | None = None) -> Response:
    member_id = own.visitor.member_id
    latest = await queries.latest_payee_account(own.session, **own.tenant, member_id=member_id)
    mine = PageQuery(limit=SHOWN, equals={"member_id": member_id})
    quote = await withdrawals.quote(own.session, **own.tenant, member_id=member_id)
    page = await queries.withdrawals_page(own.session, **own.tenant, query=mine)
    return render(
        "withdraw.html",
        status=status.HTTP_200_OK if error is None else error.status,
        error="" if error is None else TEXT.get(error.code) or form_text(error),
        participant=own.participant,
        payable=quote.standing.payable_minor,
        quote=quote,
        why=TEXT.get(OF_OBSTACLE.get(quote.obstacle or "", quote.obstacle or ""), ""),
        account=_masked(latest),
        typed={**TYPED, **(typed or {})},
        by_wechat=await _openid(own) is not None,
        withdrawals=page.rows,
        words=STATUS,
        may_cancel=rules.WITHDRAWAL_MAY_BE_CANCELLED,
    )


def _masked(account: PayeeAccount | None) -> str:
    if account is None:
        return ""
    # Nobody knows an openid, not even their own.
    number = "" if account.kind == "wechat" else payees.mask(account.kind, account.account)
    return " ".join(filter(None, [KIND[account.kind], number, people.mask_name(account.real_name)]))
