"""Which addresses of endpoints are taken."""

from __future__ import annotations

import httpx

from app.kit import addresses
from app.kit.errors import FieldError, Unprocessable


def check_url(url: str, *, development: bool) -> None:
    """Refuse an address that no delivery could ever go to; names are resolved, and checked, with each delivery."""
    fault = _fault(url, development=development)
    if fault is not None:
        error = FieldError("/url", "webhook_url_invalid", fault)
        raise Unprocessable("webhook_url_invalid", fault, errors=[error])


def _fault(url: str, *, development: bool) -> str | None:
    try:
        # As each delivery reads it: other readers overlook what this one refuses.
        parts = httpx.URL(url)
        host = parts.host
    except (httpx.InvalidURL, ValueError):
        return "The url cannot be read."
    if parts.port is not None and not 0 < parts.port < 65_536:
        return "The url has a port that there is not."
    if not host or parts.userinfo or parts.fragment:
        return "The url needs a host, and no user, password or fragment."
    address = addresses.literal(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme != "https" and not (development and loopback and parts.scheme == "http"):
        return "The url must begin with https://."
    if (address is not None or loopback) and not addresses.may_call(address, development=development):
        return "The url points into a private network."
    return None
