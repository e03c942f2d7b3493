"""Encryption of people's data, blind indexes for looking it up, and hashes of secrets.

A sealed value is `key id length (1) | key id | nonce (12) | AES-256-GCM ciphertext and tag`; the context (for example
`member.phone`) is authenticated with it, so that a value moved to another column does not open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE = 12
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class DecryptionError(Exception):
    """A sealed value that no key of the ring opens."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """`keys`: id → 32 bytes, the first seals and all open; `index_key`, `secret_key`: 32 bytes and more."""

    keys: dict[str, bytes] = field(repr=False)
    index_key: bytes = field(repr=False)
    secret_key: bytes = field(repr=False)

    def seal(self, context: str, text: str) -> bytes:
        key_id = next(iter(self.keys))
        nonce = secrets.token_bytes(_NONCE)
        body = AESGCM(self.keys[key_id]).encrypt(nonce, text.encode(), context.encode())
        return bytes([len(key_id)]) + key_id.encode() + nonce + body

    def open(self, context: str, sealed: bytes) -> str:
        length = sealed[0]
        key_id, rest = sealed[1 : 1 + length].decode(), sealed[1 + length :]
        key = self.keys.get(key_id)
        if key is None:
            raise DecryptionError(f"no key {key_id!r} in the ring")
        try:
            return AESGCM(key).decrypt(rest[:_NONCE], rest[_NONCE:], context.encode()).decode()
        except InvalidTag as error:
            raise DecryptionError(f"a value of {context} was altered or moved") from error

    def blind_index(self, context: str, normal_form: str) -> bytes:
        """16 bytes, equal for equal normal forms of one context; look-ups and unique keys use them."""
        message = f"{context}\0{normal_form}".encode()
        return hmac.digest(self.index_key, message, "sha256")[:16]

    def secret_hash(self, purpose: str, secret: str) -> bytes:
        """Keyed hash of a high-entropy secret or a short-lived code."""
        return hmac.digest(self.secret_key, f"{purpose}\0{secret}".encode(), "sha256")


def parse_keys(text: str) -> dict[str, bytes]:
    """`k2:base64,k1:base64` → ring, first one current; ValueError with the fault named."""
    keys: dict[str, bytes] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key_id, _, encoded = part.partition(":")
        key = decode_key(encoded)
        if not key_id or len(key_id) > 32 or len(key) != KEY_BYTES:
            raise ValueError("each key is id:base64 of 32 bytes")
        keys[key_id] = key
    if not keys:
        raise ValueError("at least one key is needed")
    return keys


def decode_key(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("=")


def new_api_key(*, livemode: bool) -> str:
    """`ivt_live_` or `ivt_test_`, 37 random characters and a checksum of 6, which secret scanners can verify."""
    body = "".join(secrets.choice(_BASE62) for _ in range(37))
    head = f"ivt_{'live' if livemode else 'test'}_{body}"
    return head + _checksum(head)


def is_api_key(text: str) -> bool:
    head, tail = text[:-6], text[-6:]
    return len(text) == 52 and text.startswith(("ivt_live_", "ivt_test_")) and _checksum(head) == tail


def _checksum(text: str) -> str:
    value, characters = zlib.crc32(text.encode()), []
    for _ in range(6):
        value, digit = divmod(value, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))


def new_numeric_code(digits: int = 6) -> str:
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def fingerprint(*parts: bytes | str) -> bytes:
    """SHA-256 over length-prefixed parts; for content equality, not for secrets."""
    data = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join([piece for each in data for piece in (len(each).to_bytes(8, "big"), each)])).digest()
