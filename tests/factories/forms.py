"""What a person does on the pages."""

from __future__ import annotations

import random
import re

import httpx


def new_phone() -> str:
    return f"139{random.randrange(10**8):08d}"


def shown_code(page: httpx.Response) -> str:
    """The code that the sandbox provider shows instead of sending it."""
    found = re.search(r"验证码是 <b>(\d{6})</b>", page.text)
    assert found, page.text
    return found[1]
