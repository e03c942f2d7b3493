"""Limits by the caller's address, for what is public. Told in the headers of the IETF draft (`RateLimit-Policy`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Depends, Request
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.api.deps import ResourcesDep
from app.kit import logging
from app.kit.errors import TooManyRequests
from app.resources import Resources
from app.settings import get_keyring

log = logging.get(__name__)
# A merchant sends at most ten to one phone; without a bound over all of them, a stranger could have each of them do so.
PHONE_CODES_A_DAY = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """`quota` requests in a window of `seconds`, which begins with its first request."""

    name: str
    quota: int
    seconds: int


async def spend(request: Request, resources: Resources, policy: Policy, *, of: str | None = None) -> None:
    """Count one request of this address, or of whom `of` names. With Redis away nothing is counted and all may pass."""
    try:
        used, rest = await _count(resources.redis, _key(policy, of or _caller(request, resources)), policy.seconds)
    except (RedisError, OSError) as error:
        log.warning("ratelimit_skipped", policy=policy.name, error=repr(error))
        return
    left = max(0, policy.quota - used)
    # On the state and not on an answer: a refusal carries them, too.
    request.state.answer_headers = [
        (b"ratelimit-policy", f'"{policy.name}";q={policy.quota};w={policy.seconds}'.encode()),
        (b"ratelimit", f'"{policy.name}";r={left};t={rest}'.encode()),
    ]
    if used > policy.quota:
        behind_a_proxy = resources.settings.trusted_proxies == 0 and "x-forwarded-for" in request.headers
        log.warning("rate_limited", policy=policy.name, is_everybody=behind_a_proxy and of is None)
        raise TooManyRequests(
            "rate_limited", f"At most {policy.quota} of these requests in {policy.seconds} s.", retry_after=rest
        )


async def limit_registrations(request: Request, resources: ResourcesDep) -> None:
    policy = Policy("registration", resources.settings.registrations_per_hour, 3_600)
    await spend(request, resources, policy)


RegistrationLimit = Depends(limit_registrations)


async def limit_codes(request: Request, resources: Resources, phone: str) -> None:
    """Codes that one address asks for, and those that come to one phone, over all merchants; TooManyRequests."""
    await spend(request, resources, Policy("phone", PHONE_CODES_A_DAY, 86_400), of=phone)
    await spend(request, resources, Policy("code", resources.settings.codes_per_hour, 3_600))


async def _count(redis: Redis, key: str, seconds: int) -> tuple[int, int]:
    """Requests so far with this one, and seconds until the window ends."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set(key, 0, ex=seconds, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, used, rest = await pipe.execute()
    return int(used), max(1, int(rest))


def _key(policy: Policy, whose: str) -> str:
    return f"limit:{policy.name}:{get_keyring().blind_index('limit', whose).hex()}"


def _caller(request: Request, resources: Resources) -> str:
    scope = request.scope
    return _network(client_address(scope["client"], scope["headers"], resources.settings.trusted_proxies))


def client_address(client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]], trusted_proxies: int) -> str:
    """Who calls: the last hop that our own proxies did not write. Anything left of it is the caller's invention."""
    if trusted_proxies:
        said = b",".join([value for name, value in headers if name == b"x-forwarded-for"])
        hops = [hop for each in said.decode("latin-1").split(",") if (hop := each.strip())]
        if hops:
            return hops[-min(trusted_proxies, len(hops))]
    return client[0] if client else ""


def _network(address: str) -> str:
    """An IPv6 customer has a whole /64 to call from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
