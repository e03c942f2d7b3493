"""WeChat Pay as its merchants see it: verifies what is signed, signs what it says, keeps its books."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kit import clock
from app.models import Checkout, Member
from app.orders import selling
from app.orders.providers.credentials import WechatPaySettings
from app.orders.providers.protocol import payment_key
from app.orders.selling import Wish
from app.resources import Resources
from tests.factories.merchants import MerchantFixture
from tests.factories.rsa_keys import key_pair, private_pem, public_pem
from tests.factories.shops import make_shop

PKCS, SHA = padding.PKCS1v15(), hashes.SHA256()
TRADE = re.compile(r"/v3/pay/transactions/out-trade-no/([0-9A-Za-z]{6,32})(/close)?")


def wechat_pay_settings(**values: str) -> WechatPaySettings:
    given = {
        "mch_id": "1900000109",
        "app_id": "wxf636efh567hg4356",
        "serial_no": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
        "private_key": private_pem(key_pair("merchant")),
        "api_v3_key": "0123456789abcdef0123456789abcdef",
        "public_key_id": "PUB_KEY_ID_0114232134912410000000000000",
        "public_key": public_pem(key_pair("provider")),
    }
    return WechatPaySettings(**given | values)


@dataclass(slots=True)
class WechatPayFake:
    """`forge`: answers are signed with a key of somebody else. `error` in place of what was asked for.

    `codes`: who has just opened the page in WeChat, each told once.
    """

    settings: WechatPaySettings = field(default_factory=wechat_pay_settings)
    trades: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    codes: dict[str, str] = field(default_factory=dict)
    forge: bool = False
    error: tuple[int, str] | None = None

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.take))

    def take(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.weixin.qq.com":
            return self._login(request)
        assert request.url.host == "api.mch.weixin.qq.com"
        if not self._is_signed(request):
            return httpx.Response(401, json={"code": "SIGN_ERROR", "message": "签名错误"})
        if self.error is not None:
            return httpx.Response(self.error[0], json={"code": self.error[1], "message": "出错了"})
        path, body = request.url.path, json.loads(request.content) if request.content else {}
        self.calls[f"{request.method} {path.rsplit('/', 1)[1] if request.method == 'POST' else 'query'}"] += 1
        if path in {"/v3/pay/transactions/jsapi", "/v3/pay/transactions/h5"}:
            return self._answer(200, self._begin(path, body))
        if path == "/v3/refund/domestic/refunds":
            return self._answer(200, self._refund(body))
        found = TRADE.fullmatch(path)
        assert found, path
        return self._close(found[1], body) if found[2] else self._look(found[1], request)

    def _login(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/sns/oauth2/access_token")
        asked = dict(request.url.params)
        self.calls["login"] += 1
        own = {"appid": self.settings.app_id, "secret": self.settings.app_secret, "grant_type": "authorization_code"}
        code = asked.pop("code")
        if asked != own or code not in self.codes:
            return httpx.Response(200, text='{"errcode":40029,"errmsg":"invalid code"}')
        told = {"access_token": "A", "expires_in": 7200, "openid": self.codes.pop(code), "scope": "snsapi_base"}
        return httpx.Response(200, text=json.dumps(told), headers={"content-type": "text/plain"})

    def _begin(self, path: str, wanted: dict[str, Any]) -> dict[str, Any]:
        own = (wanted["mchid"], wanted["appid"])
        assert own == (self.settings.mch_id, self.settings.app_id)
        assert re.fullmatch(r"[0-9A-Za-z_\-|*]{6,32}", wanted["out_trade_no"])
        assert urlsplit(wanted["notify_url"]).query == ""
        assert 1 <= len(wanted["description"].encode()) <= 127
        assert wanted["time_expire"].endswith("+08:00")
        self.trades.setdefault(wanted["out_trade_no"], wanted | {"trade_state": "NOTPAY"})
        if path.endswith("jsapi"):
            assert wanted["payer"]["openid"]
            return {"prepay_id": "wx201410272009395522657a690389285100"}
        assert wanted["scene_info"]["h5_info"]["type"] == "Wap"
        return {"h5_url": "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx2016&package=1"}

    def begun(self, checkout: Checkout) -> str:
        """As if its page had asked for it; the key."""
        key, amount = payment_key(checkout.id), {"total": checkout.amount_minor, "currency": checkout.currency}
        own = {"mchid": self.settings.mch_id, "appid": self.settings.app_id}
        self.trades[key] = {"out_trade_no": key, "amount": amount, "trade_state": "NOTPAY", **own}
        return key

    def pay(self, key: str) -> None:
        trade = self.trades[key]
        trade |= {"trade_state": "SUCCESS", "success_time": "2026-11-22T09:00:00+08:00"}
        trade["transaction_id"] = f"42000{key[-10:]}"

    def _close(self, key: str, body: dict[str, Any]) -> httpx.Response:
        assert body == {"mchid": self.settings.mch_id}
        if self.trades[key]["trade_state"] != "NOTPAY":
            return httpx.Response(400, json={"code": "ORDERPAID", "message": "订单已支付"})
        self.trades[key]["trade_state"] = "CLOSED"
        return self._answer(204, None)

    def _look(self, key: str, request: httpx.Request) -> httpx.Response:
        assert request.url.params["mchid"] == self.settings.mch_id
        if key not in self.trades:
            return httpx.Response(404, json={"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
        return self._answer(200, self.shown(key))

    def _refund(self, wanted: dict[str, Any]) -> dict[str, Any]:
        trade = self.trades[wanted["out_trade_no"]]
        assert wanted["amount"] == trade["amount"] | {"refund": wanted["amount"]["refund"]}
        before = trade.setdefault("refunds", {})
        status = "SUCCESS" if before.get(wanted["out_refund_no"]) == wanted["amount"] else "PROCESSING"
        before[wanted["out_refund_no"]] = wanted["amount"]
        trade["trade_state"] = "REFUND"
        return {"out_refund_no": wanted["out_refund_no"], "status": status}

    def shown(self, key: str) -> dict[str, Any]:
        names = ("out_trade_no", "mchid", "appid", "trade_state", "transaction_id", "success_time")
        shown = {name: self.trades[key][name] for name in names if name in self.trades[key]}
        amount = self.trades[key]["amount"]
        if "success_time" not in shown:
            # As it really answers: of what nobody has paid yet it tells no currency.
            amount = {"payer_currency": "CNY", "total": amount["total"]}
            return shown | {"amount": amount, "promotion_detail": [], "scene_info": {"device_id": ""}}
        return shown | {"amount": amount | {"payer_total": amount["total"] - 1, "payer_currency": "CNY"}}

    def notification(self, key: str, **changes: Any) -> tuple[dict[str, str], bytes]:
        """Headers and body, encrypted and signed; `changes` to what is encrypted."""
        return self.telling(self.shown(key) | changes)

    def telling(self, content: Any) -> tuple[dict[str, str], bytes]:
        nonce, secret = secrets.token_hex(6), self.settings.api_v3_key.encode()
        plain = json.dumps(content).encode()
        resource = {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(AESGCM(secret).encrypt(nonce.encode(), plain, b"transaction")).decode(),
            "associated_data": "transaction",
            "nonce": nonce,
        }
        event = {"id": "e1", "event_type": "TRANSACTION.SUCCESS", "resource_type": "encrypt-resource"}
        body = json.dumps(event | {"resource": resource}).encode()
        return self._signature(body) | {"Content-Type": "application/json"}, body

    def _is_signed(self, request: httpx.Request) -> bool:
        scheme, _, rest = request.headers["authorization"].partition(" ")
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        message = "\n".join((request.method, request.url.raw_path.decode(), given["timestamp"], given["nonce_str"], ""))
        assert (scheme, given["mchid"]) == ("WECHATPAY2-SHA256-RSA2048", self.settings.mch_id)
        assert given["serial_no"] == self.settings.serial_no
        signature = base64.b64decode(given["signature"])
        try:
            key_pair("merchant").public_key().verify(signature, message.encode() + request.content + b"\n", PKCS, SHA)
        except InvalidSignature:
            return False
        return True

    def _answer(self, status: int, found: dict[str, Any] | None) -> httpx.Response:
        body = b"" if found is None else json.dumps(found, ensure_ascii=False).encode()
        headers = self._signature(body) | {"Content-Type": "application/json; charset=utf-8"}
        return httpx.Response(status, content=body, headers=headers)

    def _signature(self, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(time.time())), secrets.token_hex(8)
        signer = key_pair("merchant" if self.forge else "provider")
        signature = signer.sign(f"{stamp}\n{nonce}\n".encode() + body + b"\n", PKCS, SHA)
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.settings.public_key_id,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }


async def save_wechat_pay(live_api: httpx.AsyncClient, fake: WechatPayFake) -> None:
    answer = await live_api.put("/v1/payment-providers/wechat", json=asdict(fake.settings))
    assert answer.status_code == 200, answer.text


async def by_wechat(resources: Resources, merchant: MerchantFixture, *, openid: str | None = None) -> Checkout:
    """Of 59.00 yuan, to a buyer who is known to WeChat by `openid`."""
    async with resources.db.tenant(merchant.live_id) as session:
        shop = await make_shop(session, merchant.live_id)
        (await session.get_one(Member, (merchant.live_id, shop.buyer.member_id))).openid = openid
        wish = Wish(shop.campaign.id, participant_id=shop.buyer.id)
        return await selling.sell(
            session, merchant_id=merchant.live_id, wish=wish, provider="wechat", now=clock.utcnow()
        )
