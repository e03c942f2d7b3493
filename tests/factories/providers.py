"""WeChat Pay and Alipay as their merchants see them: verifying, signing, keeping their books."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.payouts.rails.credentials import AlipaySettings, WechatSettings
from tests.factories.rsa_keys import key_pair, private_pem, public_pem

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
PKCS, SHA = padding.PKCS1v15(), hashes.SHA256()
Books = dict[str, dict[str, Any]]


def wechat_settings(**values: str) -> WechatSettings:
    given = {
        "mch_id": "1900000109",
        "app_id": "wxf636efh567hg4356",
        "serial_no": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
        "private_key": private_pem(key_pair("merchant")),
        "public_key_id": "PUB_KEY_ID_0114232134912410000000000000",
        "public_key": public_pem(key_pair("provider")),
        "job_type": "推广员",
        "pay_for": "推广佣金",
    }
    return WechatSettings(**given | values)


def alipay_settings(**values: str) -> AlipaySettings:
    given = {
        "app_id": "2021000000000000",
        "private_key": private_pem(key_pair("merchant")),
        "alipay_public_key": public_pem(key_pair("provider")),
    }
    return AlipaySettings(**given | values)


@dataclass(slots=True)
class WechatFake:
    """`state` of new bills; `error` instead of making one, `look_error` of telling of one; `after` may spoil an answer
    on its way out."""

    settings: WechatSettings = field(default_factory=wechat_settings)
    bills: Books = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    state: str = "WAIT_USER_CONFIRM"
    error: tuple[int, str] | None = None
    look_error: tuple[int, str] | None = None
    after: Callable[[httpx.Response], httpx.Response] = lambda answer: answer

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.take))

    def take(self, request: httpx.Request) -> httpx.Response:
        if not self._is_signed(request):
            return self._signed(401, {"code": "SIGN_ERROR", "message": "签名错误"})
        key = request.url.path.removeprefix(f"{BILLS}/out-bill-no/")
        self.calls[request.method + (" cancel" if key.endswith("/cancel") else "")] += 1
        if request.url.path == BILLS:
            status, found = self._make(json.loads(request.content))
        elif key.endswith("/cancel"):
            status, found = self._cancel(key.removesuffix("/cancel"))
        else:
            status, found = self._look(key)
        return self.after(self._signed(status, found))

    def _make(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.error is not None:
            return self.error[0], {"code": self.error[1], "message": "出错了"}
        reported = {each["info_type"]: each["info_content"] for each in wanted["transfer_scene_report_infos"]}
        assert (wanted["transfer_scene_id"], reported) == ("1005", {"岗位类型": "推广员", "报酬说明": "推广佣金"})
        assert re.fullmatch(r"[0-9A-Za-z]{1,32}", wanted["out_bill_no"])
        if "user_name" in wanted:
            oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as in production
            sealed = base64.b64decode(wanted["user_name"])
            wanted["user_name"] = key_pair("provider").decrypt(sealed, oaep).decode()
        bill = wanted | {"transfer_bill_no": f"13300{len(self.bills)}", "state": self.state}
        self.bills.setdefault(wanted["out_bill_no"], bill)
        return 200, self._shown(wanted["out_bill_no"])

    def _cancel(self, key: str) -> tuple[int, dict[str, Any]]:
        self.bills[key]["state"] = "CANCELLED"
        return 200, self._shown(key)

    def _look(self, key: str) -> tuple[int, dict[str, Any]]:
        if self.look_error is not None:
            return self.look_error[0], {"code": self.look_error[1], "message": "出错了"}
        return (200, self._shown(key)) if key in self.bills else (404, {"code": "NOT_FOUND", "message": "记录不存在"})

    def _shown(self, key: str) -> dict[str, Any]:
        bill = self.bills[key]
        names = ("out_bill_no", "transfer_bill_no", "state", "transfer_amount", "fail_reason")
        package = {"package_info": "pkg"} if bill["state"] == "WAIT_USER_CONFIRM" else {}
        stamp = {"update_time": "2026-11-22T09:00:00+08:00"}
        return {name: bill[name] for name in names if name in bill} | package | stamp

    def _is_signed(self, request: httpx.Request) -> bool:
        scheme, _, rest = request.headers["authorization"].partition(" ")
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        message = "\n".join((request.method, request.url.raw_path.decode(), given["timestamp"], given["nonce_str"], ""))
        whole = message.encode() + request.content + b"\n"
        assert (scheme, given["mchid"]) == ("WECHATPAY2-SHA256-RSA2048", self.settings.mch_id)
        assert request.headers["wechatpay-serial"] == self.settings.public_key_id
        try:
            key_pair("merchant").public_key().verify(base64.b64decode(given["signature"]), whole, PKCS, SHA)
        except InvalidSignature:
            return False
        return True

    def _signed(self, status: int, found: dict[str, Any]) -> httpx.Response:
        body, stamp, nonce = json.dumps(found, ensure_ascii=False).encode(), str(int(time.time())), "n0nce"
        signature = key_pair("provider").sign(f"{stamp}\n{nonce}\n".encode() + body + b"\n", PKCS, SHA)
        headers = {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.settings.public_key_id,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
        }
        return httpx.Response(status, content=body, headers=headers)


@dataclass(slots=True)
class AlipayFake:
    """`error` is the sub_code of a call that is refused, `executes`: though it carried the transfer out; `look_error`
    that of a query."""

    settings: AlipaySettings = field(default_factory=alipay_settings)
    orders: Books = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    status: str = "SUCCESS"
    error: str | None = None
    look_error: str | None = None
    executes: bool = False
    forge: bool = False

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.take))

    def take(self, request: httpx.Request) -> httpx.Response:
        told = dict(parse_qsl(request.url.query.decode())).get("charset", "gbk")
        sent = dict(parse_qsl(request.content.decode(), encoding=told))
        assert sent["charset"] == told
        assert sent["biz_content"].isascii()
        message = "&".join(f"{name}={value}" for name, value in sorted(sent.items()) if name != "sign").encode()
        key_pair("merchant").public_key().verify(base64.b64decode(sent["sign"]), message, PKCS, SHA)
        content, method = json.loads(sent["biz_content"]), sent["method"]
        self.calls[method] += 1
        make = method == "alipay.fund.trans.uni.transfer"
        return self._signed(method, self._make(content) if make else self._look(content))

    def _make(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self.error is None or self.executes:
            order = wanted | {"order_id": f"2026{len(self.orders)}", "status": self.status}
            self.orders.setdefault(wanted["out_biz_no"], order)
        return self._shown(wanted["out_biz_no"]) if self.error is None else _failed(self.error)

    def _look(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self.look_error is not None:
            return _failed(self.look_error)
        known = wanted["out_biz_no"] in self.orders
        return self._shown(wanted["out_biz_no"]) if known else _failed("ORDER_NOT_EXIST")

    def _shown(self, key: str) -> dict[str, Any]:
        order = self.orders[key]
        stamp = {"trans_date": "2026-11-22 09:00:00", "pay_date": "2026-11-22 09:00:00"}
        names = ("out_biz_no", "order_id", "status", "trans_amount")
        return {"code": "10000", "msg": "Success"} | {name: order[name] for name in names} | stamp

    def _signed(self, method: str, found: dict[str, Any]) -> httpx.Response:
        inner = json.dumps(found, ensure_ascii=False)
        signer = key_pair("merchant" if self.forge else "provider")
        signature = base64.b64encode(signer.sign(inner.encode(), PKCS, SHA)).decode()
        name = method.replace(".", "_") + "_response"
        return httpx.Response(200, content=f'{{"{name}":{inner},"sign":"{signature}"}}'.encode())


def _failed(sub_code: str) -> dict[str, Any]:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "出错了"}
