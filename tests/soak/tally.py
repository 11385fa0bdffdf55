"""Reads the journals of a soak and judges them: nothing twice, nothing lost, all in order.

What may be missing is what a killed process had in its hands: one message for each of its
threads that received, and one that it was about to send. With a process its own channels go,
and what was in them; of what one writer sent to such a channel, a beginning was read, without
gaps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.arena import FAMILY, NORMAL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak.arena import Arena


NEVER = 2**63


@dataclass
class Sent:
    to: str
    began: int
    done: int = 0  # 0: its process was killed meanwhile, or it was refused
    refused: bool = False


@dataclass
class Report:
    figures: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class Journals:
    """All of them, put together."""

    sent: dict[str, Sent] = field(default_factory=dict)
    # (message, channel) in the order in which each journal has them
    received: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    members: dict[tuple[str, str], list[list[int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    solo: set[str] = field(default_factory=set)
    killed: int = 0
    wrong: list[str] = field(default_factory=list)

    def read(self, path: Path) -> None:
        ended = False
        for line in path.read_text().splitlines():
            time, kind, *words = line.split(" ", 3)
            ended = kind == "E"
            if kind == "X":
                self.wrong.append(f"{path.name}: {' '.join(words)}")
            else:
                self.note(path.stem, int(time), kind, words)
        self.killed += not ended

    def note(self, journal: str, time: int, kind: str, words: list[str]) -> None:
        match kind, words:
            case "I", [message, to]:
                self.sent[message] = Sent(to, time)
            case "S", [message]:
                self.sent[message].done = time
            case "F", [message]:
                self.sent[message].refused = True
            case "R", [message, channel]:
                self.received.setdefault(journal, []).append((message, channel))
            case "J", [group, channel]:
                intervals = self.members[group, channel]
                if not intervals or intervals[-1][1] != NEVER:  # not joined a second time
                    intervals.append([time, NEVER])
            case "L", [group, channel]:
                self.members[group, channel][-1][1] = time
            case "O", [channel, "solo"]:
                self.solo.add(channel)

    def is_member(self, group: str, channel: str, sent: Sent) -> bool:
        """Whether it surely was, for as long as the message was under way."""
        return any(
            joined < sent.began and sent.done < left
            for joined, left in self.members.get((group, channel), ())
        )


def judge(arena: Arena, group_drops: int) -> Report:
    """`group_drops`: messages that the segment says it did not deliver to members of groups."""
    journals = Journals()
    for path in sorted(arena.directory.glob("*.journal")):
        journals.read(path)
    report = Report(problems=journals.wrong)
    times = Counter(pair for pairs in journals.received.values() for pair in pairs)
    report.figures = {
        "sent": sum(1 for sent in journals.sent.values() if sent.done),
        "refused": sum(1 for sent in journals.sent.values() if sent.refused),
        "received": times.total(),
        "killed threads": journals.killed,
    }
    report.problems += [f"{pair} came {n} times" for pair, n in times.items() if n > 1]
    for message, channel in times:
        sent = journals.sent.get(message)
        if sent is None or sent.refused:
            report.problems.append(f"{message} came on {channel} and was not sent")
    if not arena.flushes:
        judge_common(journals, times, report)
        judge_own(journals, group_drops, report)
    return report


def judge_common(journals: Journals, times: Counter[tuple[str, str]], report: Report) -> None:
    """Channels that outlive processes: all that was sent to them comes."""
    lost = [
        message
        for message, sent in journals.sent.items()
        if sent.done and sent.to in {*NORMAL, *FAMILY} and (message, sent.to) not in times
    ]
    report.figures["lost"] = len(lost)
    if len(lost) > journals.killed:
        report.problems.append(f"{len(lost)} lost by {journals.killed} kills: {lost[:5]}")


def judge_own(journals: Journals, group_drops: int, report: Report) -> None:
    """Channels with one reader: of each writer a beginning comes, without gaps, in order."""
    came: dict[tuple[str, str], list[int]] = defaultdict(list)  # channel, writer: serials
    for pairs in journals.received.values():
        for message, channel in pairs:
            if channel in journals.solo:
                writer, _, serial = message.partition(".")
                came[channel, writer].append(int(serial))
    gaps = []
    for (channel, writer), serials in came.items():
        if serials != sorted(serials):
            report.problems.append(f"{channel} has {writer}'s messages in disorder")
        present = set(serials)
        for serial in range(1, max(serials)):
            sent = journals.sent.get(f"{writer}.{serial}")
            if serial in present or sent is None or not sent.done:
                continue
            if sent.to == channel:
                report.problems.append(f"{channel} misses {writer}.{serial}")
            elif sent.to.startswith("group:") and journals.is_member(
                sent.to.removeprefix("group:"), channel, sent
            ):
                gaps.append(f"{writer}.{serial}")
    report.figures["group messages missed"] = len(gaps)
    report.figures["group messages dropped"] = group_drops
    if len(gaps) > group_drops:
        report.problems.append(
            f"{len(gaps)} missed by members, {group_drops} dropped: {gaps[:5]}"
        )
