"""The benchmarks by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import chain, drain, h5, order, poster, settle, track_get, track_post
from proofs.frame.command import Entry
from proofs.frame.report import Figure

BENCHES: tuple[Entry[Sequence[Figure]], ...] = (
    chain.BENCH,
    drain.BENCH,
    h5.BENCH,
    track_get.BENCH,
    track_post.BENCH,
    order.BENCH,
    settle.BENCH,
    poster.JPEG,
    poster.PNG,
    poster.QR,
)
