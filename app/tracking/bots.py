"""Who is no human: crawlers, link previews, prefetches. Pages opened inside chat apps are people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

# Lower case. A plain search takes microseconds; the lists of thousands of patterns take milliseconds.
SIGNS = (
    "bot",
    "crawl",
    "spider",
    "slurp",
    "preview",
    "scrap",
    "archiver",
    "facebookexternalhit",
    "facebookcatalog",
    "whatsapp/",
    "vkshare",
    "embedly",
    "iframely",
    "mediapartners",
    "feedfetcher",
    "google-read-aloud",
    "google-inspectiontool",
    "googleother",
    "apis-google",
    "lighthouse",
    "pagespeed",
    "headlesschrome",
    "phantomjs",
    "curl/",
    "wget/",
    "python-",
    "python/",
    "aiohttp",
    "httpx/",
    "go-http-client",
    "java/",
    "apache-httpclient",
    "libwww",
    "node-fetch",
    "axios/",
    "guzzle",
    "postmanruntime",
    "insomnia/",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "zgrab",
    "masscan",
    "nutch",
    "yeti/",
    "urlgrabber",
)
# A maker of telephones.
NO_SIGNS = ("cubot",)

PREFETCH_HEADERS = (b"purpose", b"sec-purpose", b"x-purpose", b"x-moz")
# Nearly all visits come with one of some thousand agents. Long ones are not kept: anybody may make them up.
MOST_AGENTS = 8_192
MOST_KEPT = 512


class Agent(NamedTuple):
    """What a request calls its sender; as much of it as is kept."""

    text: str
    is_bot: bool


def agent_of(header: bytes) -> Agent:
    return _known_agent(header) if len(header) <= MOST_KEPT else _read(header)


def is_bot(user_agent: str) -> bool:
    """Also where nothing is said: every browser and every app names itself."""
    return _is_known_bot(user_agent) if len(user_agent) <= MOST_KEPT else _judge(user_agent)


def is_prefetch(headers: Mapping[bytes, bytes]) -> bool:
    """A browser that fetches ahead, or for a preview: nobody has seen the page. Names are in lower case."""
    for name in PREFETCH_HEADERS:
        if name in headers:
            said = headers[name].lower()
            if b"prefetch" in said or b"preview" in said:
                return True
    return False


def _judge(user_agent: str) -> bool:
    agent = user_agent.strip().lower()
    for word in NO_SIGNS:
        agent = agent.replace(word, "")
    return not agent or any(sign in agent for sign in SIGNS)


def _read(header: bytes) -> Agent:
    text = header.decode("latin-1")
    return Agent(text[:MOST_KEPT], _judge(text))


_is_known_bot = lru_cache(MOST_AGENTS)(_judge)
_known_agent = lru_cache(MOST_AGENTS)(_read)
