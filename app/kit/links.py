"""The link that a poster's QR code holds."""

from __future__ import annotations

# Characters; a longer link makes a denser symbol, which phones no longer read off a picture that was forwarded.
LONGEST = 60


def scan_link(public_url: str, invite_code: str) -> str:
    return f"{public_url}/i/{invite_code}?s=qr"
