"""Scripts on connections of their own: many at once, and whatever breaks one off spoils no other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from app.db.direct import LANES, DirectRedis
from app.db.redis import connect_redis
from app.resources import Resources

ECHO, BOUNCE = "return ARGV[1]", "return redis.error_reply('NOGO of ours')"
LARGE = "漢" * 700_000


@pytest.fixture
async def redis(resources: Resources) -> AsyncIterator[Any]:
    found = connect_redis(resources.settings.redis_url)
    yield found
    await found.aclose()


async def ask(redis: Any, sha: str, word: str) -> str:
    answer: bytes = await redis.execute_command("EVALSHA", sha, 0, word)
    return answer.decode()


async def test_many_scripts_at_once_have_each_their_own_answer(redis: Any) -> None:
    sha = await redis.script_load(ECHO)
    words = [f"{number}" for number in range(10 * LANES)] + [LARGE]
    for _ in range(3):
        assert await asyncio.gather(*(ask(redis, sha, word) for word in words)) == words


async def test_an_error_is_the_servers_own_and_the_connection_serves_on(redis: Any) -> None:
    sha = await redis.script_load(BOUNCE)
    for _ in range(3):
        with pytest.raises(NoScriptError):
            await ask(redis, "0" * 40, "")
        with pytest.raises(ResponseError, match="NOGO of ours"):
            await ask(redis, sha, "")
    assert await ask(redis, await redis.script_load(ECHO), "on") == "on"


async def test_after_the_server_hung_up_the_next_script_has_a_new_connection(resources: Resources) -> None:
    redis: Any = DirectRedis.from_url(resources.settings.redis_url, client_name="hung-up", socket_timeout=5)
    sha = await redis.script_load(ECHO)
    assert await ask(redis, sha, "before") == "before"
    for client in await resources.redis.client_list():
        if client["name"] == "hung-up":
            await resources.redis.client_kill_filter(_id=client["id"])
    with contextlib.suppress(RedisConnectionError):  # who has not noticed yet is told so, and nothing else
        assert await ask(redis, sha, "after") == "after"
    assert await ask(redis, sha, "at last") == "at last"
    await redis.aclose()


async def test_who_is_cancelled_leaves_no_answer_to_the_next(redis: Any) -> None:
    sha = await redis.script_load(ECHO)
    assert await ask(redis, sha, "open") == "open"
    for number in range(20):
        gone = asyncio.create_task(ask(redis, sha, "gone"))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert await ask(redis, sha, f"{number}") == f"{number}"


async def test_a_connection_that_says_what_nobody_asked_for_is_left() -> None:
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        while data := await reader.read(65_536):
            if b"HELLO" in data:
                writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            elif b"CLIENT" in data:
                writer.write(b"+OK\r\n" * data.count(b"SETINFO"))
            else:
                writer.write(b"+mine\r\n+stray\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        client: Any = connect_redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(3):
            assert await client.execute_command("EVALSHA", "0" * 40, 0) == b"mine"
        await client.aclose()
    assert opened == 3


async def test_scripts_go_over_tls_too(resources: Resources, tmp_path: Path) -> None:
    """By a proxy of the test's own, since not every Redis speaks it."""
    context = server_context(tmp_path)
    target: Any = resources.redis

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = target.connection_pool.connection_kwargs.get("path")
        there = await (asyncio.open_unix_connection(path) if path else asyncio.open_connection(*address(target)))
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client: Any = DirectRedis(
            host="127.0.0.1",
            port=port,
            password=target.connection_pool.connection_kwargs.get("password"),
            ssl=True,
            ssl_ca_certs=str(tmp_path / "certificate.pem"),
            ssl_check_hostname=False,
        )
        sha = await client.script_load(ECHO)
        words = [f"{number}" for number in range(LANES)] + [LARGE]
        assert await asyncio.gather(*(ask(client, sha, word) for word in words)) == words
        await client.aclose()


def address(redis: Any) -> tuple[str, int]:
    kwargs = redis.connection_pool.connection_kwargs
    return kwargs["host"], kwargs["port"]


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def server_context(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
