from __future__ import annotations

import pytest

from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.terminals import Shop, Terminal, furnish


@pytest.fixture
async def shop(merchant: MerchantFixture, resources: Resources) -> Shop:
    return await furnish(resources, merchant.test_id)


@pytest.fixture
def terminal(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(shop, monkeypatch, capsys)
