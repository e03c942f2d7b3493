"""RSA keys as providers' consoles give them: PEM, or the bare base64 of one."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

MIN_BITS = 2_048
_NO_KEY = f"not an RSA key of at least {MIN_BITS} bits"


def private_key(pem: str) -> RSAPrivateKey:
    """ValueError where it is none of RSA with at least 2,048 bits."""
    key = serialization.load_pem_private_key(_pem(pem, "PRIVATE KEY"), None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_BITS:
        raise ValueError(_NO_KEY)
    return key


def public_key(pem: str) -> RSAPublicKey:
    key = serialization.load_pem_public_key(_pem(pem, "PUBLIC KEY"))
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise ValueError(_NO_KEY)
    return key


def private_pem(key: RSAPrivateKey) -> str:
    """PKCS #8, whatever it came in."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_pem(key: RSAPublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _pem(text: str, label: str) -> bytes:
    text = text.strip()
    wrapped = text if text.startswith("-----") else f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"
    return wrapped.encode()
