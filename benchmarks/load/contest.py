"""Servers asked in turn, a few seconds each, so that whatever else the machine does meets them all alike."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.cli.output import say
from app.kit import ids
from app.tracking.keys import Keys, shard_of
from benchmarks.load.crowd import Crowd
from benchmarks.load.fire import fire
from benchmarks.load.plan import Plan, Report, Shot
from benchmarks.load.servers import Served
from proofs.frame.report import Figure
from proofs.frame.stage import Stage
from tests.factories.tracking import settle

WARM_SECONDS = 0.4
MOST_REQUESTS = 500_000
SHOWN = "shown"
# What requests of one kind add to the counters: `(participant's place, counter)`.
Tally = Counter[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Setting:
    processes: int
    connections: int
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ammunition:
    """`tallies`: of each shot, what its right answer says is counted."""

    shots: Sequence[Shot]
    needle: bytes
    tallies: Sequence[Tally]


@dataclass(slots=True)
class Results:
    """Reports by server, one of each in every round; `first`: those of the round that does not count."""

    reports: dict[str, list[Report]]
    first: list[Report] = field(default_factory=list)

    @property
    def everybody(self) -> list[Report]:
        return [*self.first, *(report for reports in self.reports.values() for report in reports)]

    def ratio(self, name: str, to: str, of: Callable[[Report], float] = lambda report: report.rate) -> float:
        """The median over the rounds: what disturbs a round, disturbs both."""
        pairs = zip(self.reports[name], self.reports[to], strict=True)
        return statistics.median(of(own) / of(other) if of(other) else 0.0 for own, other in pairs)

    def middle(self, name: str, of: Callable[[Report], float] = lambda report: report.rate) -> float:
        return statistics.median(of(report) for report in self.reports[name])

    @property
    def is_right(self) -> bool:
        return all(report.is_right for report in self.everybody)


def say_how(results: Results) -> None:
    """Round by round, with what went wrong."""
    for name, reports in results.reports.items():
        say(f"  {name}: {_row(reports)}")
    say(f"  others took {statistics.median(report.elsewhere for report in results.everybody):.0%} of the machine")
    for report in results.everybody:
        for fault in report.faults:
            say(f"  {fault}")


def _row(reports: Sequence[Report]) -> str:
    rates = " ".join(f"{report.rate:,.0f}" for report in reports)
    median = statistics.median(report.median_ms for report in reports)
    late = statistics.median(report.late_ms for report in reports)
    return f"{rates} requests/s by round, {median:.1f} ms, 99 of 100 within {late:.1f} ms"


@dataclass(slots=True)
class Contest:
    """`own`: those whose counters are read afterwards."""

    stage: Stage
    servers: Mapping[str, Served]
    ammunition: Mapping[str, Ammunition]
    own: Sequence[str]
    acknowledged: Tally = field(default_factory=Counter)
    fired: int = 0

    async def run(self, setting: Setting, names: Sequence[str]) -> Results:
        """After a round that does not count, in which codes are looked up for the first time."""
        results = Results({name: [] for name in names})
        order = list(names)
        for number in range(setting.rounds + 1):
            for name in order:
                report = await self._fire(name, setting)
                (results.reports[name] if number else results.first).append(report)
            order = order[1:] + order[:1]
        return results

    async def _fire(self, name: str, setting: Setting) -> Report:
        served, ammunition = self.servers[name].first(setting.processes), self.ammunition[name]
        plan = Plan(
            addresses=served.addresses,
            shots=ammunition.shots,
            needle=ammunition.needle,
            connections=setting.connections,
            warm_seconds=WARM_SECONDS,
            seconds=setting.seconds,
            most_requests=MOST_REQUESTS,
            first_number=self.fired * MOST_REQUESTS,
            processes={"server": served.pids, "redis": [self.stage.stack.pids["valkey"]]},
        )
        self.fired += 1
        report = await fire(plan)
        if name in self.own:
            for times, tally in zip(report.by_shot, ammunition.tallies, strict=True):
                for counter, number in tally.items():
                    self.acknowledged[counter] += times * number
        return report

    async def counted(self, name: str, crowd: Crowd) -> Figure:
        """Every acknowledged event, found with its participant and in its counter; and no other."""
        expected, remarks = +self.acknowledged, []
        found = await read_counters(self.stage, crowd)
        if found != expected:
            # Batches that Redis was too slow for are in Postgres; the worker puts its counters right.
            remarks.append(f"{abs(expected.total() - found.total())} events went by Postgres")
            await settle(self.stage.resources)
            found = await read_counters(self.stage, crowd)
        differ = [key for key in found.keys() | expected.keys() if found[key] != expected[key]]
        total, wanted = found.total(), expected.total()
        remarks += [f"{crowd.codes[place]} {counter}: {found[place, counter]}" for place, counter in differ[:5]]
        is_same = not differ and wanted > 0
        return Figure(
            f"{name}.counted", total, "events", wanted, _share(total, wanted), "= acknowledged", is_same, remarks
        )


async def read_counters(stage: Stage, crowd: Crowd) -> Tally:
    """What Redis has for each participant, visitors left out; the campaign's sums must say the same."""
    campaign_id = ids.decode("cmp", crowd.campaign_id)
    keys = Keys(shard_of(campaign_id, stage.resources.settings.track_shards))
    async with stage.resources.redis.pipeline(transaction=False) as pipe:
        for participant_id in crowd.participant_ids:
            pipe.hgetall(keys.participant(ids.decode("ptc", participant_id)))
        pipe.hgetall(keys.campaign(campaign_id))
        *each, campaign = [_numbers(answer) for answer in await pipe.execute()]
    found = Counter({(place, counter): n for place, counters in enumerate(each) for counter, n in counters.items()})
    sums: Counter[str] = Counter()
    for (_, counter), number in found.items():
        sums[counter] += number
    assert +sums == +Counter(campaign), f"campaign {campaign}, its participants {dict(sums)}"
    return +found


def _numbers(answer: dict[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in answer.items() if name != b"unique_visitors"}


def at_least(name: str, results: Results, *, own: str, ceiling: str, least: float, words: str) -> Figure:
    ratio = results.ratio(own, ceiling)
    is_kept = ratio >= least and results.is_right
    value, most = results.middle(own), results.middle(ceiling)
    return Figure(name, value, "requests/s", most, ratio, f"≥ {least:g} {words}", is_kept)


def beside(name: str, results: Results, *, own: str, ceiling: str) -> Figure:
    """A figure without a promise; wrong answers spoil it all the same."""
    value, most = results.middle(own), results.middle(ceiling)
    ratio = results.ratio(own, ceiling)
    return Figure(name, value, "requests/s", most, ratio, SHOWN, results.is_right)


def processor_times(name: str, results: Results, *, own: str, ceiling: str) -> list[Figure]:
    """Microseconds a request, against what a bare answer costs its server."""
    bare = results.middle(ceiling, _taken_by("server"))
    middles = {process: results.middle(own, _taken_by(process)) for process in ("server", "redis", "generator")}
    return [
        Figure(f"{name}.cpu-{process}", value, "µs/request", bare, _share(value, bare), SHOWN, ok=True)
        for process, value in middles.items()
    ]


def generator_is_cheap(name: str, results: Results, *, ceiling: str, most: float) -> Figure:
    """Else it would be the generator that is measured."""
    value, bare = (results.middle(ceiling, _taken_by(process)) for process in ("generator", "server"))
    ratio = _share(value, bare)
    words = f"≤ {most:g} of a bare answer"
    return Figure(f"{name}.generator", value, "µs/request", bare, ratio, words, ok=0 < ratio <= most)


def _taken_by(process: str) -> Callable[[Report], float]:
    return lambda report: report.microseconds(process)


def _share(value: float, whole: float) -> float:
    return value / whole if whole else 0.0
