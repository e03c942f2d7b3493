"""WeChat Pay's transfer bills (商家转账, v3): requests signed, every answer verified, names encrypted.

https://pay.weixin.qq.com/doc/v3/merchant/4012716434. An answer whose signature does not hold is no answer, and that
goes for "no such bill" most of all: what is sent again because of it moves money.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.kit import clock
from app.payouts.rails import credentials
from app.payouts.rails.credentials import WechatSettings
from app.payouts.rails.protocol import Answer, State, Transfer

API = "https://api.mch.weixin.qq.com"
BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
SCENE = "1005"
MIN_MINOR, NAME_FROM_MINOR, NAME_POSSIBLE_FROM_MINOR = 10, 200_000, 30
MAX_AGE_SECONDS = 300
NOT_FOUND = 404
_STATES: dict[str, State] = {
    "ACCEPTED": "processing",
    "PROCESSING": "processing",
    "WAIT_USER_CONFIRM": "awaiting_payee",
    "TRANSFERING": "processing",
    "SUCCESS": "paid",
    "FAIL": "failed",
    "CANCELING": "processing",
    "CANCELLED": "failed",
}
# Of the transfer itself. All other errors are the account's, or pass: they say nothing about this payee.
_REFUSED = frozenset({"PARAM_ERROR", "INVALID_REQUEST", "OPENID_ERROR", "APPID_MCHID_NOT_MATCH", "NAME_NOT_CORRECT"})


@dataclass(frozen=True, slots=True)
class WechatRail:
    settings: WechatSettings
    client: httpx.AsyncClient
    api: str = API

    async def send(self, transfer: Transfer) -> Answer:
        fault = _fault(transfer)
        if fault is not None:
            return Answer("refused", reason=fault)
        return _answer(*await self._call("POST", BILLS, msgspec.json.encode(self._bill(transfer))))

    async def query(self, key: str) -> Answer:
        return _answer(*await self._call("GET", f"{BILLS}/out-bill-no/{key}"))

    async def cancel(self, key: str) -> Answer:
        return _answer(*await self._call("POST", f"{BILLS}/out-bill-no/{key}/cancel"))

    def _bill(self, transfer: Transfer) -> dict[str, Any]:
        reported = (("岗位类型", self.settings.job_type), ("报酬说明", self.settings.pay_for))
        bill: dict[str, Any] = {
            "appid": self.settings.app_id,
            "out_bill_no": transfer.key,
            "transfer_scene_id": SCENE,
            "openid": transfer.account,
            "transfer_amount": transfer.amount_minor,
            "transfer_remark": transfer.remark[:32],
            "transfer_scene_report_infos": [{"info_type": type_, "info_content": text} for type_, text in reported],
        }
        if transfer.real_name and transfer.amount_minor >= NAME_POSSIBLE_FROM_MINOR:
            bill["user_name"] = self._encrypted(transfer.real_name)
        return bill

    def _encrypted(self, text: str) -> str:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as the provider opens it
        return base64.b64encode(credentials.public_key(self.settings.public_key).encrypt(text.encode(), oaep)).decode()

    async def _call(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Status and content of a verified answer; ValueError where it does not hold."""
        headers = {
            "Authorization": self._authorization(method, path, body),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Wechatpay-Serial": self.settings.public_key_id,
        }
        answer = await self.client.request(method, self.api + path, content=body or None, headers=headers)
        self._verify(answer)
        return answer.status_code, msgspec.json.decode(answer.content, type=dict[str, Any]) if answer.content else {}

    def _authorization(self, method: str, path: str, body: bytes) -> str:
        stamp, nonce = str(int(clock.utcnow().timestamp())), secrets.token_hex(16)
        message = b"\n".join((method.encode(), path.encode(), stamp.encode(), nonce.encode(), body, b""))
        key = credentials.private_key(self.settings.private_key)
        signature = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        fields = {
            "mchid": self.settings.mch_id,
            "nonce_str": nonce,
            "signature": signature,
            "timestamp": stamp,
            "serial_no": self.settings.serial_no,
        }
        return "WECHATPAY2-SHA256-RSA2048 " + ",".join(f'{name}="{value}"' for name, value in fields.items())

    def _verify(self, answer: httpx.Response) -> None:
        stamp, nonce = answer.headers.get("wechatpay-timestamp", ""), answer.headers.get("wechatpay-nonce", "")
        if answer.headers.get("wechatpay-serial") != self.settings.public_key_id:
            raise ValueError(f"an answer ({answer.status_code}) signed with another key than the one that is set")
        if not stamp.isdigit() or abs(clock.utcnow().timestamp() - int(stamp)) > MAX_AGE_SECONDS:
            raise ValueError("an answer of another time")
        message = b"\n".join((stamp.encode(), nonce.encode(), answer.content, b""))
        signature = base64.b64decode(answer.headers.get("wechatpay-signature", ""))
        key = credentials.public_key(self.settings.public_key)
        try:
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise ValueError("an answer whose signature does not hold") from None


def _fault(transfer: Transfer) -> str | None:
    """What the provider would refuse, told before it is asked."""
    if transfer.currency != "CNY" or transfer.amount_minor < MIN_MINOR:
        return "AMOUNT: WeChat transfers at least 0.10 yuan, and nothing but yuan"
    if transfer.amount_minor >= NAME_FROM_MINOR and not transfer.real_name:
        return "NAME: from 2,000 yuan the payee's real name is required"
    return None


def _answer(status: int, found: dict[str, Any]) -> Answer:
    if "state" in found:
        return Answer(
            _STATES.get(found["state"], "unknown"),
            external_id=found.get("transfer_bill_no"),
            reason=found.get("fail_reason") or (None if found["state"] == "SUCCESS" else found["state"]),
            amount_minor=found.get("transfer_amount"),
            paid_at=_instant(found.get("update_time")) if found["state"] == "SUCCESS" else None,
            package_info=found.get("package_info"),
        )
    code = str(found.get("code", status))
    reason = f"{code}: {found.get('message', '')}"
    if status == NOT_FOUND and code == "NOT_FOUND":
        return Answer("not_found", reason=reason)
    if status in {200, 500, 502, 503, 504} or code == "SYSTEM_ERROR":
        return Answer("unknown", reason=reason)
    return Answer("refused" if code in _REFUSED else "not_now", reason=reason)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
