"""`REDIS_URL`: one server's, as redis-py reads it, or a cluster's: `redis+cluster://host:port[,host:port…]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

CLUSTER = re.compile(r"(?P<scheme>rediss?)\+cluster://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<nodes>[^/?#]+)/?")
NODE = re.compile(r"(?:\[(?P<literal>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\],@\s]+)):(?P<port>[0-9]{1,5})")
SINGLE = re.compile(r"(?:redis|rediss|unix)://.+")


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """Some of the cluster's nodes: they name the others."""

    nodes: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    tls: bool


def parse(url: str) -> ClusterUrl | None:
    """None: the URL of one server. ValueError where it is neither; its text never holds the password."""
    if SINGLE.fullmatch(url):
        return None
    if not re.match(r"rediss?\+cluster://", url):
        raise ValueError(
            "REDIS_URL begins with redis://, rediss:// or unix://, or for a Redis Cluster with redis+cluster:// or "
            "rediss+cluster://"
        )
    found = CLUSTER.fullmatch(url)
    nodes = [NODE.fullmatch(node) for node in found["nodes"].split(",")] if found else []
    addresses = tuple((node["literal"] or node["host"], int(node["port"])) for node in nodes if node)
    if found is None or len(addresses) != len(nodes) or not all(0 < port < 65_536 for _, port in addresses):
        raise ValueError(
            "REDIS_URL of a Redis Cluster is redis+cluster://[user:password@]host:port[,host:port…]: each node with "
            "its port, no database number, no options"
        )
    user, password = (unquote(found[name]) if found[name] else None for name in ("user", "password"))
    return ClusterUrl(addresses, user, password, found["scheme"] == "rediss")
