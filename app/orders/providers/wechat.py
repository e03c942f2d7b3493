"""WeChat Pay v3, JSAPI and H5, by the library `wechatpayv3`.

It signs what is sent and verifies what comes. Left to us: that an answer of nobody's key is looked at no further (it
would fetch certificates for it), the age of notifications, and that errors, which it does not verify, decide nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from wechatpayv3.async_ import AsyncWeChatPay, WeChatPayType  # type: ignore[import-untyped]  # it has no types

from app.kit import clock, rsa_keys
from app.kit.errors import Unavailable
from app.orders.providers import trades
from app.orders.providers.credentials import WechatPaySettings
from app.orders.providers.protocol import Notice, Payback, Payment, RefundState, Start, State, Way
from app.orders.providers.signatures import is_fresh, refused

OK, NOT_FOUND = 200, 404
LONGEST_TITLE = 127  # bytes of UTF-8, as it counts all texts
_STATES: dict[str, State] = {
    "SUCCESS": "paid",
    "REFUND": "closed",
    "NOTPAY": "waiting",
    "USERPAYING": "waiting",
    "CLOSED": "closed",
    "REVOKED": "closed",
    "PAYERROR": "failed",
}
# ABNORMAL is not the end: the payer's card takes nothing, and somebody goes on with it in WeChat Pay's own console.
_REFUNDS: dict[str, RefundState] = {"SUCCESS": "refunded", "PROCESSING": "processing", "CLOSED": "refused"}


@dataclass(frozen=True, slots=True)
class WechatPay:
    merchant_id: str
    settings: WechatPaySettings
    client: httpx.AsyncClient

    async def start(self, payment: Payment, way: Way) -> Start:
        """Unavailable `payment_provider_refused` where WeChat Pay does not take it."""
        given: dict[str, Any] = {
            "description": _cut(payment.title, LONGEST_TITLE),
            "out_trade_no": payment.key,
            "amount": {"total": payment.amount_minor, "currency": payment.currency},
            "time_expire": clock.shanghai(payment.expires_at).isoformat(timespec="seconds"),
            "notify_url": payment.notify_url,
        }
        if way == "jsapi":
            found = await self._begin(**given, payer={"openid": payment.openid}, pay_type=WeChatPayType.JSAPI)
            return Start(way, call=self._call(str(found["prepay_id"])))
        scene = {"payer_client_ip": payment.payer_address or "127.0.0.1", "h5_info": {"type": "Wap"}}
        found = await self._begin(**given, scene_info=scene, pay_type=WeChatPayType.H5)
        return Start(way, url=f"{found['h5_url']}&{urlencode({'redirect_url': payment.return_url})}")

    async def query(self, key: str) -> Notice:
        status, text = await self._library().query(out_trade_no=key)
        if status == OK:
            return self._notice(msgspec.json.decode(text))
        state: State = "not_found" if status == NOT_FOUND else "unknown"
        return Notice("wechat", self.merchant_id, key, state)

    async def close(self, key: str) -> None:
        await self._library().close(out_trade_no=key)

    async def refund(self, payback: Payback) -> RefundState:
        amount = {"refund": payback.amount_minor, "total": payback.total_minor, "currency": payback.currency}
        status, text = await self._library().refund(
            out_refund_no=payback.refund_key, out_trade_no=payback.key, amount=amount, reason=payback.reason
        )
        if status != OK:
            return "unknown"
        return _REFUNDS.get(msgspec.json.decode(text, type=dict[str, Any])["status"], "unknown")

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        if headers.get("wechatpay-serial") != self.settings.public_key_id:
            raise refused()
        if not is_fresh(headers.get("wechatpay-timestamp", "")):
            raise refused()
        library = self._library()
        try:
            told = library.callback(dict(headers), body)
        except Exception:  # noqa: BLE001  # the library raises `Exception` itself for what it cannot read
            raise refused() from None
        if not told:
            raise refused()
        notice = self._notice(told["resource"])
        if notice.state == "unknown":
            raise trades.unreadable("No such state of a payment.")
        return notice

    def _notice(self, trade: Any) -> Notice:
        if not isinstance(trade, dict):
            raise trades.unreadable("It holds no payment.")
        is_ours = (trade.get("mchid"), trade.get("appid")) == (self.settings.mch_id, self.settings.app_id)
        return trades.read(trade, _STATES, provider="wechat", merchant_id=self.merchant_id, is_ours=is_ours)

    async def _begin(self, **given: Any) -> dict[str, Any]:
        status, text = await self._library().pay(**given)
        if status != OK:
            raise Unavailable("payment_provider_refused", f"WeChat Pay did not take the payment: {text[:200]}")
        return msgspec.json.decode(text, type=dict[str, Any])

    def _call(self, prepay_id: str) -> dict[str, str]:
        """What the page hands to WeChat's own script, signed."""
        stamp, nonce = str(int(clock.utcnow().timestamp())), secrets.token_hex(16)
        package = f"prepay_id={prepay_id}"
        signature = self._library().sign([self.settings.app_id, stamp, nonce, package])
        return {
            "appId": self.settings.app_id,
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": signature,
        }

    def _library(self) -> Any:
        found = AsyncWeChatPay(
            wechatpay_type=WeChatPayType.JSAPI,
            mchid=self.settings.mch_id,
            private_key=rsa_keys.private_pem(rsa_keys.private_key(self.settings.private_key)),
            cert_serial_no=self.settings.serial_no,
            appid=self.settings.app_id,
            apiv3_key=self.settings.api_v3_key,
            public_key=rsa_keys.public_pem(rsa_keys.public_key(self.settings.public_key)),
            public_key_id=self.settings.public_key_id,
        )
        # It would open a client of its own for each call, which reads proxies from the environment.
        found._core._client = self.client
        return found


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
