"""The viewer of the API's description: everything from here, nothing inline, packed as it is stored."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest

from app.api.docs import FOLDER


async def page(http: httpx.AsyncClient) -> httpx.Response:
    answer = await http.get("/docs")
    assert answer.status_code == 200
    return answer


async def test_the_page_may_load_from_its_own_server_only(http: httpx.AsyncClient) -> None:
    answer = await page(http)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|<script>|<style|style=|\son\w+=", answer.text)
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_every_asset_is_here_and_kept_for_ever(http: httpx.AsyncClient) -> None:
    paths = re.findall(r'(?:src|href)="(docs/[^"]+)"', (await page(http)).text)
    assert len(paths) == 3
    for path in paths:
        answer = await http.get(f"/{path}", headers={"Accept-Encoding": "br, gzip"})
        assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Type"].startswith("text/css" if path.endswith(".css") else "text/javascript")


@pytest.mark.parametrize("accepted", ["identity", "", "gzip;q=0", "gzip;q=0.0, br"])
async def test_who_takes_no_gzip_gets_it_plain(http: httpx.AsyncClient, accepted: str) -> None:
    path = re.search(r'href="(docs/[^"]+\.css)"', (await page(http)).text)
    assert path is not None
    answer = await http.get(f"/{path[1]}", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.content == gzip.decompress((FOLDER / "swagger-ui.css.gz").read_bytes())


async def test_no_other_file_is_served(http: httpx.AsyncClient) -> None:
    base = re.search(r'src="(docs/[^/]+)/', (await page(http)).text)
    assert base is not None
    for name in ("README.md", "index.html", "..%2Fdocs.py", "swagger-ui.css.gz"):
        assert (await http.get(f"/{base[1]}/{name}")).status_code == 404
    assert (await http.get("/docs/000000000000/swagger-ui.css")).status_code == 404
