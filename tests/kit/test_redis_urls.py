from __future__ import annotations

import pytest

from app.kit import redis_urls
from app.kit.redis_urls import ClusterUrl


@pytest.mark.parametrize(
    "url",
    ["redis://localhost:6379/0", "rediss://user:word@redis.example.cn/1?socket_timeout=1", "unix:///tmp/redis.sock"],
)
def test_one_server_is_left_to_the_client(url: str) -> None:
    assert redis_urls.parse(url) is None


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis+cluster://a:1", ClusterUrl((("a", 1),), None, None, tls=False)),
        ("redis+cluster://a:1,b.cn:6379/", ClusterUrl((("a", 1), ("b.cn", 6379)), None, None, tls=False)),
        ("rediss+cluster://me:p%40ss%2Fword@a:1", ClusterUrl((("a", 1),), "me", "p@ss/word", tls=True)),
        (
            "redis+cluster://:word@[::1]:7000,[fe80::1]:7001",
            ClusterUrl((("::1", 7000), ("fe80::1", 7001)), None, "word", tls=False),
        ),
    ],
)
def test_a_cluster_is_some_of_its_nodes(url: str, found: ClusterUrl) -> None:
    assert redis_urls.parse(url) == found


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "valkey://localhost", "http://localhost", "redis://", "redis-cluster://a:1"]
)
def test_what_is_no_redis_is_told_what_one_is(url: str) -> None:
    with pytest.raises(ValueError, match=r"REDIS_URL begins with redis://.*redis\+cluster://"):
        redis_urls.parse(url)


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "a",
        "a:1,b",
        "a:1,",
        "a:0",
        "a:65536",
        "a:1/3",
        "a:1/0",
        "a:1?timeout=1",
        "a:1#x",
        "::1:7000",
        "a b:1",
        "a:x",
        "me@a:1",
    ],
)
def test_a_cluster_that_cannot_be_read_is_told_how_one_is_written_and_keeps_its_password(rest: str) -> None:
    with pytest.raises(ValueError, match=r"host:port\[,host:port…\]: each node with its port, no database") as refused:
        redis_urls.parse(f"redis+cluster://me:geheim@{rest}")
    assert "geheim" not in str(refused.value)
