"""Who is no human: crawlers, link previews, prefetches. Pages opened inside chat apps are people."""

from __future__ import annotations

from collections.abc import Mapping

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

PREFETCH_HEADERS = ("purpose", "sec-purpose", "x-purpose", "x-moz")


def is_bot(user_agent: str) -> bool:
    """Also where nothing is said: every browser and every app names itself."""
    agent = user_agent.strip().lower()
    for word in NO_SIGNS:
        agent = agent.replace(word, "")
    return not agent or any(sign in agent for sign in SIGNS)


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """A browser that fetches ahead, or for a preview: nobody has seen the page."""
    said = (headers.get(name, "").lower() for name in PREFETCH_HEADERS)
    return any("prefetch" in value or "preview" in value for value in said)
