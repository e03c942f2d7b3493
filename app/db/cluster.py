"""Redis Cluster behind the interface of one Redis: a command goes to the master that has its first key.

Not redis-py's own asynchronous cluster client: each command of a transaction would start a thread and an event loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.db.direct import DirectRedis
from app.kit.redis_urls import ClusterUrl

T = TypeVar("T")
Address = tuple[str, int]
SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
KEYLESS = frozenset({"CONFIG", "DBSIZE", "FLUSHALL", "FLUSHDB", "INFO", "KEYS", "SCAN", "SCRIPT", "TIME"})
# Each says that nothing was done, and who is the one to ask.
MOST_MOVES = 3
# After one of these another master may have the slot by now. Cancelled: the caller's own time-out was the shorter one.
UNANSWERED = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError, asyncio.CancelledError)


class Cluster(Redis):
    """Keeps a client for each master. Repeats what was refused by the wrong master, nothing else.

    A slot that is being moved answers errors (ASK, TRYAGAIN), which are the caller's, as is a master's absence.
    """

    def __init__(self, url: ClusterUrl, **options: Any) -> None:
        super().__init__(**options)  # its own connections are never used
        self._options = {**options, "username": url.username, "password": url.password, "ssl": url.tls}
        self._seeds = url.nodes
        self._nodes: dict[Address, Redis] = {}
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._suspects: set[Address] = set()
        self._reading: asyncio.Task[None] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async def execute_on(node: Any) -> Any:
            return await node.execute_command(*args, **options)

        return await self.on_owner(slot_of(args), execute_on)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: ARG002
        """Always a transaction, on keys of one slot: only there a refusal of one command is a refusal of all."""
        return SlotPipeline(self)

    async def ping(self, **_: Any) -> bool:
        """Whether all masters answer; raises what the first of them that does not raised."""
        await asyncio.gather(*(node.ping() for node in (await self.masters()).values()))
        return True

    async def masters(self) -> dict[str, Redis]:
        if self._suspects or not any(self._owners):
            await self._read_owners()
        return {name_of(address): self._node(address) for address in sorted(set(filter(None, self._owners)))}

    async def master_of(self, key: str) -> str:
        """Its address."""
        return name_of(await self._owner(slot_of(("GET", key))))

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._reading is not None:
            self._reading.cancel()
        for node in self._nodes.values():
            await node.aclose()
        await super().aclose(close_connection_pool)

    async def on_owner(self, slot: int, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do this with the client of the slot's master; again only where the master says that it is not."""
        for _ in range(MOST_MOVES):
            address = await self._owner(slot)
            try:
                return await work(self._node(address))
            except MovedError as moved:
                self._suspects.add(address)
                self._owners[slot] = (moved.host or address[0], moved.port)
            except UNANSWERED:
                self._suspects.add(address)
                raise
        raise ClusterDownError(f"slot {slot} is sent from one master to another")

    async def _owner(self, slot: int) -> Address:
        address = self._owners[slot]
        if address is None or address in self._suspects:
            await self._read_owners()
            address = self._owners[slot]
        if address is None:
            raise ClusterDownError(f"no master has slot {slot}")
        return address

    def _node(self, address: Address) -> Redis:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = DirectRedis(host=address[0], port=address[1], **self._options)
        return node

    async def _read_owners(self) -> None:
        """Once for all who wait for it."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._ask_nodes())
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._reading)

    async def _ask_nodes(self) -> None:
        """First those that answered last."""
        known = list({*self._nodes, *self._seeds})
        random.shuffle(known)
        fault: Exception | None = None
        for address in sorted(known, key=self._suspects.__contains__):
            node: Any = self._node(address)
            try:
                self._take(await node.execute_command("CLUSTER", "SLOTS"), address)
            except (RedisError, OSError) as error:
                fault = error
            else:
                await self._forget_the_gone()
                return
        raise RedisConnectionError(f"No node of the Redis Cluster says which master has what: {fault}") from fault

    async def _forget_the_gone(self) -> None:
        for address in set(self._nodes) - set(self._owners) - set(self._seeds):
            await self._nodes.pop(address).connection_pool.disconnect(inuse_connections=False)

    def _take(self, ranges: Sequence[Any], asked: Address) -> None:
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            # Without a name of its own it is where it was asked.
            address = (host.decode() if host else asked[0], int(port))
            owners[first : last + 1] = [address] * (last + 1 - first)
        self._owners, self._suspects = owners, set()


class SlotPipeline(Pipeline):
    """A transaction on the master that has its first command's key."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction=True, shard_hint=None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands = self.command_stack
        if not commands:
            return []

        async def execute_on(node: Redis) -> list[Any]:
            self.connection_pool, self.command_stack = node.connection_pool, commands
            return await super(SlotPipeline, self).execute(raise_on_error)

        return await self._cluster.on_owner(slot_of(commands[0][0]), execute_on)


def slot_of(command: Sequence[Any]) -> int:
    """Of a command's first key. RedisError where it names none."""
    name, place = str(command[0]).upper(), 1
    if name in SCRIPTS:
        place = 3 if int(command[2]) else len(command)
    if name.partition(" ")[0] in KEYLESS or len(command) <= place:
        raise RedisError(f"{name} names no key: in a cluster each of its masters is asked for itself")
    key = command[place]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def name_of(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
