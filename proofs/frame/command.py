"""`python -m proofs` and `python -m benchmarks`: names in, a report and an exit code out."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import uvloop

from app.cli.output import Exit, say
from app.embedded import EmbeddedError
from proofs.frame.stage import Stage, open_stage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """`run` gets a stage and whether it should be quick. Past `seconds` it is ended, and has failed.

    `durable`: on a stage that forces what is acknowledged to disk. `weight`: about the seconds that a quick run takes.
    """

    name: str
    run: Callable[[Stage, bool], Awaitable[T]]
    seconds: float
    durable: bool = False
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    names: Sequence[str]
    quick: bool
    as_json: bool


def read_arguments(program: str, known: Sequence[str], arguments: Sequence[str]) -> Asked:
    """Exits with 2 and the list of names where one is unknown."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}; all where none is given")
    parser.add_argument("--quick", action="store_true", help="a short run of the same")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one object a line")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"no such name: {', '.join(unknown)}; there are: {', '.join(known)}")
    return Asked(given.names or known, given.quick, given.as_json)


def run_all(entries: Sequence[Entry[T]], asked: Asked, failed: Callable[[str, str], T]) -> Mapping[str, T]:
    """Each on a stage shared with those of its kind, on the loop that servers and workers run on.

    `failed` makes a result of a name and a sentence.
    """
    return uvloop.run(_run_all([entry for entry in entries if entry.name in asked.names], asked.quick, failed))


async def _run_all(entries: Sequence[Entry[T]], quick: bool, failed: Callable[[str, str], T]) -> dict[str, T]:
    results: dict[str, T] = {}
    for durable in (False, True):
        chosen = [entry for entry in entries if entry.durable is durable]
        if chosen:
            async with open_stage(durable=durable) as stage:
                results |= await run_each(stage, chosen, quick, failed)
    return {entry.name: results[entry.name] for entry in entries}


async def run_each(
    stage: Stage, entries: Sequence[Entry[T]], quick: bool, failed: Callable[[str, str], T]
) -> dict[str, T]:
    """One after the other, by name."""
    results: dict[str, T] = {}
    for entry in entries:
        say(f"{entry.name} …")
        began = time.monotonic()
        try:
            async with asyncio.timeout(entry.seconds):
                results[entry.name] = await entry.run(stage, quick)
        except TimeoutError:
            results[entry.name] = failed(entry.name, f"not done after {entry.seconds:.0f} s")
        except Exception as error:  # noqa: BLE001 - one that breaks is no reason to leave out the others
            traceback.print_exc()
            results[entry.name] = failed(entry.name, repr(error))
        say(f"{entry.name}: {time.monotonic() - began:.1f} s")
    return results


def finish(*, ok: bool) -> int:
    return Exit.DONE if ok else Exit.FAILED


def guarded(main: Callable[[], int]) -> int:
    """The exit code; a stack that does not start is a sentence, not a traceback."""
    try:
        return main()
    except EmbeddedError as error:
        say(str(error))
        return Exit.FAILED
    except KeyboardInterrupt:
        return 130
    finally:
        sys.stdout.flush()
