"""Normal forms and masks of what identifies people."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+")
_MAX_EMAIL = 254


def normalise_phone(text: str, region: str = "CN") -> str:
    """E.164 of a phone number; ValueError where it cannot be one."""
    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", text), region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number") from error
    # Not `is_possible_number`: it takes 12345, which only a local exchange could dial.
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or number.extension:
        raise ValueError("not a phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normalise_email(text: str) -> str:
    """One spelling of an e-mail address; ValueError where no one mailbox can have it."""
    address = unicodedata.normalize("NFKC", text).strip().casefold()
    if len(address) > _MAX_EMAIL or not _EMAIL.fullmatch(address) or not address.isprintable():
        raise ValueError("not an e-mail address")
    return address


def mask_phone(e164: str) -> str:
    """`+8613812345678` → `138****5678`."""
    digits = e164.removeprefix("+86")
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 8 else "****"


def mask_name(name: str) -> str:
    """`张小明` → `张**`."""
    return name[:1] + "*" * max(1, min(len(name) - 1, 4)) if name else ""


def mask_account(account: str) -> str:
    """`6222021234567890` → `****7890`; short ones wholly hidden."""
    return f"****{account[-4:]}" if len(account) > 6 else "****"
