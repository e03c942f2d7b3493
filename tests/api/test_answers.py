"""What every answer has, whatever was asked."""

from __future__ import annotations

import httpx
import pytest

ANYTHING = ["/v1/merchant/users", "/v1/nothing-here", "/healthz", "/v1/campaigns/%00", "/"]


@pytest.mark.parametrize("path", ANYTHING)
async def test_every_answer_has_a_request_id_and_the_security_headers(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_request_id_is_taken_over_and_given_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/merchant/users", headers={"Request-Id": "trace-4711-abc"})
    assert answer.headers["request-id"] == answer.json()["request_id"] == "trace-4711-abc"


@pytest.mark.parametrize("wild", ["short", "x" * 65, "a b c d e f g h", 'quote"quote"quote', "línea-larga-1"])
async def test_a_wild_request_id_is_replaced(http: httpx.AsyncClient, wild: str) -> None:
    answer = await http.get("/healthz", headers=[(b"Request-Id", wild.encode("latin-1"))])
    assert answer.headers["request-id"].startswith("req_")


async def test_an_error_is_a_problem_document(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/merchant/users?limit=5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://invitree.dev/problems/api_key_missing",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Send `Authorization: Bearer ivt_live_…` or `ivt_test_…`.",
        "instance": "/v1/merchant/users",
        "code": "api_key_missing",
        "request_id": answer.headers["request-id"],
    }


async def test_an_unknown_route_is_404_and_a_wrong_method_405(api: httpx.AsyncClient) -> None:
    unknown = await api.get("/v1/nothing-here")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "route_not_found")
    wrong = await api.put("/v1/merchant/users", json={})
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/v1/merchant/users", "/healthz", "/h5/r", "/docs"])
async def test_head_is_get_without_the_body(api: httpx.AsyncClient, path: str) -> None:
    whole, head = await api.get(path), await api.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["content-length"] == whole.headers["content-length"]


async def test_an_address_has_one_spelling(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/merchant/users/")
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


@pytest.mark.parametrize("path", ["/v1/api-keys/%00", "/v1/api-keys?cursor=%00"])
async def test_a_nul_byte_in_the_address_is_unreadable(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul_byte")


@pytest.mark.parametrize("part", ["%ff%fe", "..%2f..%2fetc", "x" * 3_000, "key_81h2xcejqtf2nbrexx3vqjhp41", "键"])
async def test_an_address_that_is_nonsense_is_just_not_found(api: httpx.AsyncClient, part: str) -> None:
    answer = await api.delete(f"/v1/api-keys/{part}")
    assert answer.status_code in (404, 405), answer.text


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer ivt_live_", "Bearer ivt_test_" + "a" * 43, "Bearer \xff"],
)
async def test_what_is_no_key_opens_nothing(http: httpx.AsyncClient, value: str) -> None:
    answer = await http.get("/v1/merchant/users", headers=[(b"Authorization", value.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.json()["code"] in {"api_key_missing", "api_key_invalid"}
    assert answer.headers["www-authenticate"].startswith("Bearer")
