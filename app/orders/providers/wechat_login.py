"""Who pays in WeChat: 网页授权 with `snsapi_base`, which asks nobody anything and tells the openid alone.

https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from urllib.parse import urlencode

import httpx
import msgspec

from app.kit.crypto import Keyring
from app.kit.errors import Forbidden, Unavailable
from app.orders.providers.credentials import WechatPaySettings

AUTHORIZE = "https://open.weixin.qq.com/connect/oauth2/authorize"
MAX_AGE_SECONDS = 600
# WeChat hands back letters and digits only, 128 of them at most: eight for the time, then the signature.
_STATE = re.compile(r"[0-9a-f]{8}[0-9a-f]{64}")
_CODE = re.compile(r"[0-9A-Za-z_-]{1,512}")
_OPENID = re.compile(r"[0-9A-Za-z_-]{6,128}")


def address(settings: WechatPaySettings, *, back: str, state: str) -> str:
    """Where the browser goes; WeChat minds the order of the parameters."""
    query = {
        "appid": settings.app_id,
        "redirect_uri": back,
        "response_type": "code",
        "scope": "snsapi_base",
        "state": state,
    }
    return f"{AUTHORIZE}?{urlencode(query)}#wechat_redirect"


def new_state(keyring: Keyring, *, checkout_id: str, now: datetime) -> str:
    """`now` is the real time."""
    stamp = f"{int(now.timestamp()):08x}"
    return stamp + keyring.secret_hash("wechat login", f"{stamp}{checkout_id}").hex()


def require_state(keyring: Keyring, state: str, *, checkout_id: str, now: datetime) -> None:
    """Forbidden `wechat_login_expired` unless this page has sent the browser there, for this checkout, not long ago."""
    if _STATE.fullmatch(state):
        age = int(now.timestamp()) - int(state[:8], 16)
        expected = state[:8] + keyring.secret_hash("wechat login", f"{state[:8]}{checkout_id}").hex()
        if 0 <= age <= MAX_AGE_SECONDS and hmac.compare_digest(state, expected):
            return
    raise Forbidden("wechat_login_expired", "Nobody was sent to WeChat from this page, or long ago.")


async def openid_of(client: httpx.AsyncClient, api_url: str, *, settings: WechatPaySettings, code: str) -> str:
    """For a code, which WeChat takes once. Unavailable `wechat_login_failed` where there is no openid to be had."""
    if settings.app_secret is None or not _CODE.fullmatch(code):
        raise Unavailable("wechat_login_failed", "Without an AppSecret and a code nobody can be asked.")
    given = {"appid": settings.app_id, "secret": settings.app_secret, "code": code, "grant_type": "authorization_code"}
    try:
        answer = await client.get(f"{api_url}/sns/oauth2/access_token", params=given)
        told = msgspec.json.decode(answer.content, type=dict[str, object])
    except (httpx.HTTPError, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not as it is: its text may hold the address, and with it the secret.
        raise Unavailable("wechat_login_failed", f"WeChat does not answer: {type(error).__name__}") from None
    openid = told.get("openid")
    if not isinstance(openid, str) or not _OPENID.fullmatch(openid):
        raise Unavailable("wechat_login_failed", f"WeChat tells no openid: errcode {str(told.get('errcode'))[:16]}")
    return openid
