from __future__ import annotations

import httpx
import pytest

from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.shops import Shop, Till, open_shop


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await open_shop(resources, merchant)


@pytest.fixture
def till(api: httpx.AsyncClient, resources: Resources, shop: Shop) -> Till:
    return Till(api, resources, shop)
