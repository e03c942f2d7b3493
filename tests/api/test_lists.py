from __future__ import annotations

from typing import Any

import httpx
import pytest

PATH = "/v1/merchant/users"


async def fill(api: httpx.AsyncClient, count: int) -> list[str]:
    made = [await api.post(PATH, json={"name": f"用户{n}", "role": "viewer"}) for n in range(count)]
    return [answer.json()["id"] for answer in made]


async def test_pages_follow_each_other_newest_first_without_gap_or_repeat(api: httpx.AsyncClient) -> None:
    expected = list(reversed(await fill(api, 7)))
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 3}
    page: dict[str, Any] = {}
    for size, more in ((3, True), (3, True), (1, False)):
        page = (await api.get(PATH, params=query)).json()
        assert (page["object"], len(page["data"]), page["has_more"]) == ("list", size, more)
        seen += [user["id"] for user in page["data"]]
        query["cursor"] = page["next_cursor"] or ""
    assert seen == expected
    assert page["next_cursor"] is None


async def test_a_page_is_not_disturbed_by_what_comes_after_it(api: httpx.AsyncClient) -> None:
    ids = await fill(api, 3)
    first = (await api.get(PATH, params={"limit": 2})).json()
    await fill(api, 2)
    rest = (await api.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [user["id"] for user in rest["data"]] == ids[:1]


async def test_an_exactly_full_page_is_the_last(api: httpx.AsyncClient) -> None:
    await fill(api, 2)
    page = (await api.get(PATH, params={"limit": 2})).json()
    assert (page["has_more"], page["next_cursor"]) == (False, None)


async def test_the_time_range_is_half_open(api: httpx.AsyncClient) -> None:
    await fill(api, 3)
    newest, middle, oldest = (await api.get(PATH)).json()["data"]
    query = {"created_at[gte]": middle["created_at"], "created_at[lt]": newest["created_at"]}
    assert (await api.get(PATH, params=query)).json()["data"] == [middle]
    before = (await api.get(PATH, params={"created_at[lt]": middle["created_at"]})).json()["data"]
    assert before == [oldest]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": "0"}, 422, "validation_failed"),
        ({"limit": "101"}, 422, "validation_failed"),
        ({"limit": "many"}, 422, "validation_failed"),
        ({"cursor": "nonsense"}, 400, "cursor_invalid"),
        ({"cursor": "key_01h2xcejqtf2nbrexx3vqjhp41"}, 400, "cursor_invalid"),
        ({"cursor": "x" * 65}, 422, "validation_failed"),
        ({"created_at[gte]": "yesterday"}, 422, "validation_failed"),
        ({"created_at[gte]": "2026-11-21T08:00:00"}, 422, "validation_failed"),
        ({"created_at[gte]": "1795000000"}, 422, "validation_failed"),
        ({"created_at[lt]": "0.5"}, 422, "validation_failed"),
    ],
)
async def test_a_query_that_does_not_fit_is_refused(
    api: httpx.AsyncClient, query: dict[str, str], status: int, code: str
) -> None:
    answer = await api.get(PATH, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_the_ends_of_time_are_refused(api: httpx.AsyncClient, instant: str) -> None:
    answer = await api.get(PATH, params={"created_at[gte]": instant})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
