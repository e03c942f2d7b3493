"""What is watched of tracking: events by outcome, batches, bypasses, lag, losses."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("invitree_tracking_events_total", "Events by what became of them", ["outcome"])
LOST = Counter("invitree_tracking_lost_total", "Events that neither Redis nor Postgres took")
BATCH = Histogram("invitree_tracking_batch_events", "Events in a batch", buckets=(1, 3, 10, 30, 100, 300, 1000))
ACK_SECONDS = Histogram(
    "invitree_tracking_ack_seconds",
    "Time until a store had a batch",
    ["store"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3),
)
BREAKER_OPEN = Gauge("invitree_tracking_breaker_open", "1 while events bypass Redis", ["shard"])
BYPASSES = Counter("invitree_tracking_bypasses_total", "Times that events began to bypass Redis", ["shard"])
LAG_SECONDS = Gauge("invitree_tracking_lag_seconds", "Age of the oldest entry that is not in Postgres", ["shard"])
WAITING = Gauge("invitree_tracking_waiting_entries", "Batches in the stream that are not in Postgres", ["shard"])
DRAINED = Counter("invitree_tracking_drained_total", "Events that the worker took over into Postgres")
REPEATED = Counter("invitree_tracking_repeated_total", "Drained events that Postgres had already")
SET_ASIDE = Counter("invitree_tracking_set_aside_total", "Entries of the stream that could not be drained")
HISTORY_LOST = Counter("invitree_tracking_history_lost_total", "Times that Redis came back without some of its past")
LISTENING = Gauge("invitree_tracking_announcements_heard", "1 while changes of campaigns are heard at once")
REPAIRS = Counter("invitree_tracking_repairs_total", "Campaigns whose live counters were set from Postgres")
