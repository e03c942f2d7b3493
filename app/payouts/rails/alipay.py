"""Alipay's single transfers (alipay.fund.trans.uni.transfer): RSA2 on every request, verified on every answer.

https://opendocs.alipay.com/open/02byuo. SYSTEM_ERROR and code 20000 mean *unknown*: what became of it is asked by
`out_biz_no`, and an answer whose signature does not hold is no answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.kit import clock
from app.payouts.payout_file import decimal_amount
from app.payouts.rails import credentials
from app.payouts.rails.credentials import AlipaySettings
from app.payouts.rails.protocol import Answer, State, Transfer

GATEWAY = "https://openapi.alipay.com/gateway.do"
# Also in the address: the gateway reads a body in GBK unless it was told before.
CHARSET = "utf-8"
PRODUCT, SCENE = "TRANS_ACCOUNT_NO_PWD", "DIRECT_TRANSFER"
MIN_MINOR = 10
SUCCESS, BUSINESS_FAILED = "10000", "40004"
_STATES: dict[str, State] = {
    "SUCCESS": "paid",
    "FAIL": "failed",
    "REFUND": "failed",
    "CLOSED": "failed",
    "DEALING": "processing",
    "INIT": "processing",
    "WAIT_PAY": "processing",
}
# Of the payer, not of this payee: these pass, or somebody has to see to them.
_NOT_NOW = frozenset(
    {
        "PAYER_BALANCE_NOT_ENOUGH",
        "BALANCE_IS_NOT_ENOUGH",
        "PAYER_STATUS_ERROR",
        "PAYER_CERT_EXPIRED",
        "PERMIT_CHECK_PERM_LIMITED",
        "PERMIT_CHECK_PERM_IDENTITY_THEFT",
        "EXCEED_LIMIT_DM_MAX_AMOUNT",
        "EXCEED_LIMIT_MM_MAX_AMOUNT",
        "EXCEED_LIMIT_DC_RECEIVED",
        "REQUEST_PROCESSING",
        "PRODUCT_NOT_SIGN",
    }
)


@dataclass(frozen=True, slots=True)
class AlipayRail:
    settings: AlipaySettings
    client: httpx.AsyncClient
    gateway: str = GATEWAY

    async def send(self, transfer: Transfer) -> Answer:
        if transfer.currency != "CNY" or transfer.amount_minor < MIN_MINOR:
            return Answer("refused", reason="AMOUNT: Alipay transfers at least 0.10 yuan, and nothing but yuan")
        found = await self._call("alipay.fund.trans.uni.transfer", _content(transfer))
        return _answer(found, "trans_date")

    async def query(self, key: str) -> Answer:
        content = {"product_code": PRODUCT, "biz_scene": SCENE, "out_biz_no": key}
        return _answer(await self._call("alipay.fund.trans.common.query", content), "pay_date")

    async def cancel(self, key: str) -> Answer:
        """There is no confirmation to wait for, and so nothing to give up."""
        return await self.query(key)

    async def _call(self, method: str, content: Mapping[str, Any]) -> dict[str, Any]:
        url = httpx.URL(self.gateway, params={"charset": CHARSET})
        answer = await self.client.post(url, data=self._signed(method, content))
        answer.raise_for_status()
        return self._verified(answer.content.decode(), method.replace(".", "_") + "_response")

    def _signed(self, method: str, content: Mapping[str, Any]) -> dict[str, str]:
        sent = {
            "app_id": self.settings.app_id,
            "method": method,
            "format": "JSON",
            "charset": CHARSET,
            "sign_type": "RSA2",
            "timestamp": f"{clock.shanghai(clock.utcnow()):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
            "biz_content": json.dumps(content, separators=(",", ":")),  # in ASCII, whatever it is read as
        }
        certificates = {"app_cert_sn": self.settings.app_cert_sn, "alipay_root_cert_sn": self.settings.root_cert_sn}
        sent |= {name: value for name, value in certificates.items() if value}
        message = "&".join(f"{name}={value}" for name, value in sorted(sent.items())).encode()
        key = credentials.private_key(self.settings.private_key)
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return sent | {"sign": base64.b64encode(signature).decode()}

    def _verified(self, text: str, name: str) -> dict[str, Any]:
        """The signature is of the very characters of the inner object."""
        found = msgspec.json.decode(text.encode(), type=dict[str, Any])
        name = name if name in found else "error_response"
        start = text.index(f'"{name}"') + len(name) + 2
        start = text.index("{", text.index(":", start))
        inner, end = json.JSONDecoder().raw_decode(text, start)
        key = credentials.public_key(self.settings.alipay_public_key)
        try:
            key.verify(
                base64.b64decode(found.get("sign", "")), text[start:end].encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise ValueError("an answer whose signature does not hold") from None
        return dict(inner)


def _content(transfer: Transfer) -> dict[str, Any]:
    by_id = transfer.account.startswith("2088") and len(transfer.account) == 16
    return {
        "out_biz_no": transfer.key,
        "trans_amount": str(decimal_amount(transfer.amount_minor)),
        "product_code": PRODUCT,
        "biz_scene": SCENE,
        "order_title": transfer.remark,
        "payee_info": {
            "identity": transfer.account,
            "identity_type": "ALIPAY_USER_ID" if by_id else "ALIPAY_LOGON_ID",
            "name": transfer.real_name,
        },
        "remark": transfer.remark,
    }


def _answer(found: Mapping[str, Any], date: str) -> Answer:
    code, sub_code = str(found.get("code")), str(found.get("sub_code", ""))
    if code == SUCCESS:
        return _known(found, date)
    reason = f"{sub_code or code}: {found.get('sub_msg') or found.get('msg', '')}"
    if sub_code == "ORDER_NOT_EXIST":
        return Answer("not_found", reason=reason)
    return Answer(_state_of_error(code, sub_code), reason=reason)


def _state_of_error(code: str, sub_code: str) -> State:
    """Codes of four and five digits beginning with 4 were refused before anything was done, but for the one."""
    if sub_code == "SYSTEM_ERROR" or not code.startswith("4"):
        return "unknown"
    return "refused" if code == BUSINESS_FAILED and sub_code not in _NOT_NOW else "not_now"


def _known(found: Mapping[str, Any], date: str) -> Answer:
    state = _STATES.get(str(found.get("status")), "unknown")
    amount = found.get("trans_amount")
    return Answer(
        state,
        external_id=found.get("order_id"),
        reason=found.get("fail_reason") or found.get("error_code"),
        amount_minor=None if amount is None else int(Decimal(amount).scaleb(2)),
        paid_at=_instant(found.get(date)) if state == "paid" else None,
    )


def _instant(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text).replace(tzinfo=clock.SHANGHAI)
