"""Names of Redis' keys. All of one campaign carry the tag of its shard, so that a script finds them on one node."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from uuid import UUID


def shard_of(campaign_id: UUID, shards: int) -> int:
    return zlib.crc32(campaign_id.bytes) % shards


def event_key(campaign_id: UUID, client_event_id: str) -> bytes:
    """What is remembered of a client's event id: 16 bytes. It names one event of one campaign, whose shard tells."""
    return hashlib.blake2b(campaign_id.bytes + client_event_id.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Keys:
    shard: int

    def __call__(self, name: str) -> str:
        return f"trk:{{s{self.shard}}}:{name}"

    @property
    def epoch(self) -> str:
        """Random, made with the first batch: another one, or none, says that Redis was wiped."""
        return self("epoch")

    @property
    def ready(self) -> str:
        """The epoch whose counters are complete."""
        return self("ready")

    @property
    def sequence(self) -> str:
        return self("sequence")

    @property
    def stream(self) -> str:
        return self("stream")

    @property
    def rewritten(self) -> str:
        """While it is there the server's append-only file needs not be written anew."""
        return self("rewritten")

    def batch(self, batch_id: str) -> str:
        return self(f"batch:{batch_id}")

    def campaign(self, campaign_id: UUID) -> str:
        return self(f"c:{campaign_id.hex}")

    def hours(self, campaign_id: UUID) -> str:
        """A hash of `hour|channel|counter`."""
        return self(f"h:{campaign_id.hex}")

    def participant(self, participant_id: UUID) -> str:
        return self(f"p:{participant_id.hex}")

    def visitors(self, participant_id: UUID, day: int) -> str:
        return f"{self.visitors_of(participant_id)}{day}"

    def visitors_of(self, participant_id: UUID) -> str:
        """Before the day."""
        return self(f"v:{participant_id.hex}:")

    def staged(self, key: str) -> str:
        """Where what is to replace a key gathers, so that the change itself is short."""
        return f"{key}:new"

    def seen(self, campaign_id: UUID, client_event_id: str) -> str:
        return self(f"e:{event_key(campaign_id, client_event_id).hex()}")
