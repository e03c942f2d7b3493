"""What pages answer to what no browser would send: a page that people can read, and nothing written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.forms import new_phone

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# A part's text in this charset is half of a surrogate pair.
HALF = "multipart/form-data; charset=unicode_escape; boundary=edge"


def is_page(answer: httpx.Response) -> bool:
    return answer.headers["content-type"].startswith("text/html") and 'lang="zh-CN"' in answer.text


async def test_a_nul_byte_in_a_form_is_refused(browser: httpx.AsyncClient) -> None:
    body = f"name=a%00b&phone={new_phone()}&agree=yes"
    answer = await browser.post("/h5/r", content=body, headers=FORM)
    assert answer.status_code == 422
    assert is_page(answer)


async def test_half_of_a_surrogate_pair_in_a_form_is_refused(browser: httpx.AsyncClient) -> None:
    fields = {"name": "\\ud800", "phone": new_phone(), "agree": "yes"}
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()
    ]
    answer = await browser.post("/h5/r", content="".join(parts) + "--edge--\r\n", headers={"Content-Type": HALF})
    assert answer.status_code == 422
    assert is_page(answer)


@pytest.mark.parametrize("path", ["/h5/r?code=%00", "/h5/c/%00", "/h5/c/", "/h5/nothing-here", "/i/%ff%fe"])
async def test_a_nonsense_address_is_a_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code in {400, 404}
    assert is_page(answer)


async def test_too_large_a_picture_is_a_page(browser: httpx.AsyncClient) -> None:
    picture = {"avatar": ("a.jpg", b"\xff" * 7_000_000, "image/jpeg")}
    answer = await browser.post("/h5/me/ptc_01h2xcejqtf2nbrexx3vqjhp41/avatar", files=picture)
    assert answer.status_code == 413
    assert is_page(answer)
    assert "图片太大" in answer.text


async def test_too_long_a_form_of_unknown_length_is_a_page(browser: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"name=" + b"a" * 100_000 + b"&"

    answer = await browser.post("/h5/r", content=endless(), headers=FORM)
    assert answer.status_code == 413
    assert is_page(answer)


@pytest.mark.parametrize("path", ["/h5/r", "/h5/c/cmp_01h2xcejqtf2nbrexx3vqjhp41/join"])
async def test_a_form_of_another_site_is_refused(browser: httpx.AsyncClient, path: str) -> None:
    """It could sign a visitor in as somebody else."""
    answer = await browser.post(path, data={"step": "verify"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert is_page(answer)
    assert "无法从这里提交" in answer.text


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
async def test_a_form_of_our_own_is_taken(browser: httpx.AsyncClient, site: str) -> None:
    answer = await browser.post("/h5/r", data={"name": "x"}, headers={"Sec-Fetch-Site": site})
    assert "请先阅读并同意" in answer.text


@pytest.mark.parametrize("place", ["", "/rules", "/join"])
async def test_a_mangled_link_still_leads_to_the_campaign(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, place: str
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
    mangled = {"code": '"><script>alert(1)</script>' * 4, "ch": "a-channel-with-a-name-that-is-far-too-long" * 3}
    page = await browser.get(f"/h5/c/{campaign.id}{place}", params=mangled)
    assert page.status_code == 200
    assert "<script" not in page.text
