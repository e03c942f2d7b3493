"""Normal forms and masks of payee accounts."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from app.kit import people, spreadsheets
from app.kit.errors import FieldError, Unprocessable
from app.payouts import alipay_file

Kind = Literal["wechat", "alipay", "bank"]

_OPENID = re.compile(r"[A-Za-z0-9_-]{6,64}")
_ALIPAY_ID = re.compile(r"2088\d{12}")
# A quote in front comes from a cell of a spreadsheet.
_EMAIL = re.compile(r"(?!['\"])[^@\s]+@[^@\s]+\.[^@\s]+")
_BANK = re.compile(r"\d{6,32}")
_EXPECTED = {
    "wechat": "the openid of the person in this merchant's official account",
    "alipay": "an e-mail address, a phone number or an Alipay user id",
    "bank": "a card or account number of 6 to 32 digits",
}


def normalise_account(kind: Kind, typed: str) -> str:
    """The account as it is paid; Unprocessable where it cannot be one of its kind."""
    text = spreadsheets.clean(unicodedata.normalize("NFKC", typed))
    account = {"wechat": _wechat, "alipay": _alipay, "bank": _bank}[kind](text)
    if account is None or len(account) > 128:
        detail = f"should be {_EXPECTED[kind]}"
        raise Unprocessable(
            "payee_account_invalid", f"account: {detail}", errors=[FieldError("/account", "account_invalid", detail)]
        )
    return account


def normalise_name(typed: str) -> str:
    name = re.sub(r"\s+", " ", spreadsheets.clean(unicodedata.normalize("NFC", typed)))
    if not name:
        raise Unprocessable("real_name_missing", "real_name: should be the name the account is held in")
    if not alipay_file.is_plain(name):
        # One such name would keep everybody else of its batch out of a payment file.
        detail = "should begin with a letter of the name"
        raise Unprocessable(
            "real_name_invalid", f"real_name: {detail}", errors=[FieldError("/real_name", "real_name_invalid", detail)]
        )
    return name


def mask(kind: str, account: str) -> str:
    name, at, domain = account.partition("@")
    return f"{name[:1]}***@{domain}" if kind == "alipay" and at else people.mask_account(account)


def _wechat(text: str) -> str | None:
    return text if _OPENID.fullmatch(text) else None


def _bank(text: str) -> str | None:
    digits = re.sub(r"[\s-]", "", text)
    return digits if _BANK.fullmatch(digits) else None


def _alipay(text: str) -> str | None:
    if _ALIPAY_ID.fullmatch(text):
        return text
    if "@" in text:
        return text.lower() if _EMAIL.fullmatch(text) and alipay_file.is_plain(text) else None
    try:
        return people.normalise_phone(text).removeprefix("+86")
    except ValueError:
        return None
