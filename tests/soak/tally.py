"""Reads the journals of a storm and judges them: nothing twice, nothing lost, all in order.

What may be missing is what a killed process had in its hands. A thread holds one message at
most that it has received and not noted, and one that it was about to send. So each message
that was sent and did not come must be one that a killed thread can have held: of a channel
that it read, taken after its last note and before its end; and each such thread stands for one.

With a process its own channels go, and what was in them; of what one writer sent to such a
channel, a beginning was read, without gaps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from tests.soak.arena import ALL, FAMILY, MEMBERS, NORMAL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak.arena import Arena


NEVER = 2**63


@dataclass
class Sent:
    to: str
    began: int
    done: int = 0  # 0: its process was killed meanwhile, or it was refused
    refused: str = ""


@dataclass
class Thread:
    """A journal. What it holds in its last moment is not known, but when, and of what."""

    last: int = 0
    ended: bool = False
    pid: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    received: list[tuple[str, str]] = field(default_factory=list)  # message, channel; in order
    sending: str = ""


@dataclass
class Report:
    figures: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class Journals:
    """All of them, put together."""

    sent: dict[str, Sent] = field(default_factory=dict)
    threads: list[Thread] = field(default_factory=list)
    received: dict[tuple[str, str], int] = field(default_factory=dict)  # when
    members: dict[tuple[str, str], list[list[int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    solo: set[str] = field(default_factory=set)
    twice: int = 0
    problems: list[str] = field(default_factory=list)

    def read(self, path: Path) -> None:
        thread = Thread()
        self.threads.append(thread)
        *lines, _ = path.read_text().split("\n")  # the last may be cut off
        for line in lines:
            time, kind, *words = line.split(" ", 3)
            if kind == "X":
                self.problems.append(f"{path.name}: {' '.join(words)}")
            else:
                self.note(thread, int(time), kind, words)

    def note(self, thread: Thread, time: int, kind: str, words: list[str]) -> None:
        thread.last = time
        match kind, words:
            case "P", [pid]:
                thread.pid = int(pid)
            case "E", []:
                thread.ended = True
            case "I" | "S" | "F" | "D", [message, *word]:
                self.note_sent(thread, time, kind, message, *word)
            case "B", [channel]:
                thread.reads[channel] += 1
            case "U", [channel]:
                thread.reads[channel] -= 1
            case "R", [message, channel]:
                self.note_received(thread, time, message, channel)
            case "J", [group, channel]:
                intervals = self.members[group, channel]
                if not intervals or intervals[-1][1] != NEVER:  # not joined a second time
                    intervals.append([time, NEVER])
            case "L", [group, channel]:
                self.members[group, channel][-1][1] = time
            case "O", [channel, "solo"]:
                self.solo.add(channel)

    def note_sent(
        self, thread: Thread, time: int, kind: str, message: str, word: str = ""
    ) -> None:
        if kind == "I":
            if thread.sending:
                self.problems.append(f"{message} is sent, and {thread.sending} is not yet")
            thread.sending = message
            self.sent[message] = Sent(word, time)
            return
        thread.sending = ""
        if kind == "S":
            self.sent[message].done = time
        elif kind == "F":
            self.sent[message].refused = word

    def note_received(self, thread: Thread, time: int, message: str, channel: str) -> None:
        if (message, channel) in self.received:
            self.twice += 1
            self.problems.append(f"{message} came twice on {channel}")
        self.received[message, channel] = time
        thread.received.append((message, channel))

    def is_member(self, group: str, channel: str, sent: Sent) -> bool:
        """Whether it surely was, for as long as the message was under way."""
        return any(
            joined < sent.began and sent.done < left
            for joined, left in self.members.get((group, channel), ())
        )


def judge(arena: Arena, ended: dict[int, int], group_drops: int) -> Report:
    """Put the journals together with what else is known.

    `ended` says which process was gone when, and `group_drops` how many messages the segment
    did not deliver to members of groups.
    """
    journals = Journals()
    for path in sorted(arena.directory.glob("*.journal")):
        journals.read(path)
    report = Report(problems=journals.problems)
    report.figures = {
        "sent": sum(sent.done > 0 for sent in journals.sent.values()),
        "refused": sum(sent.refused == "room" for sent in journals.sent.values()),
        "no memory": sum(sent.refused == "memory" for sent in journals.sent.values()),
        "received": len(journals.received),
        "twice": journals.twice,
        "killed threads": sum(not thread.ended for thread in journals.threads),
    }
    for message, channel in journals.received:
        sent = journals.sent.get(message)
        if sent is None or sent.refused:
            report.problems.append(f"{message} came on {channel} and was not sent")
    if not arena.flushes:
        judge_common(journals, ended, group_drops, report)
        judge_own(journals, group_drops, report)
    return report


# -- channels that outlive processes: all that was sent to them comes ---------------------


@dataclass
class Loss:
    """A message that did not come. Somebody took it, in this time."""

    message: str
    channel: str
    sent: int
    taken: int  # at the latest

    def may_be_of(self, thread: Thread, ended: dict[int, int]) -> bool:
        """Whether the thread can have taken it and been killed before it noted that."""
        channel = "family!" if self.channel in FAMILY else self.channel
        return (
            not thread.ended
            and thread.reads[channel] > 0
            and thread.last <= self.taken
            and self.sent <= ended.get(thread.pid, 0)
        )


def judge_common(
    journals: Journals, ended: dict[int, int], group_drops: int, report: Report
) -> None:
    direct: list[Loss] = []
    of_group: list[Loss] = []
    for channel in [*NORMAL, *FAMILY]:
        for loss in losses(journals, channel):
            (of_group if is_of_group(journals, loss) else direct).append(loss)
    held = assign([*direct, *of_group], journals.threads, ended)
    report.figures["lost as held"] = held.count
    lost = [loss.message for loss in direct if loss.message not in held.messages]
    if lost:
        report.problems.append(f"{len(lost)} lost, and nobody held them: {lost[:5]}")
    missed = [loss.message for loss in of_group if loss.message not in held.messages]
    if len(missed) > group_drops:
        report.problems.append(
            f"{len(missed)} missed by members, {group_drops} dropped: {missed[:5]}"
        )


def is_of_group(journals: Journals, loss: Loss) -> bool:
    return journals.sent[loss.message].to == f"group:{ALL}"


def losses(journals: Journals, channel: str) -> list[Loss]:
    """What was sent to a channel and did not come."""
    came = sorted(
        (journals.sent[message].began, time)
        for (message, name), time in journals.received.items()
        if name == channel and message in journals.sent
    )
    # Of those that were sent since a time: when the first was noted. Channels are queues, so
    # what was sent before is taken before.
    began = [time for time, _ in came]
    noted = list(accumulate((time for _, time in reversed(came)), min))[::-1]
    found = []
    for message, sent in journals.sent.items():
        if not sent.done or (message, channel) in journals.received:
            continue
        if sent.to == channel or (sent.to == f"group:{ALL}" and channel in MEMBERS):
            behind = bisect_right(began, sent.done)
            taken = noted[behind] if behind < len(noted) else NEVER
            found.append(Loss(message, channel, sent.began, taken))
    return found


@dataclass
class Held:
    """Which of the losses were in whose hands, as many as can be."""

    losses: list[Loss]
    holders: list[list[int]]  # of each loss, threads that may have held it
    by_thread: dict[int, int] = field(default_factory=dict)

    def find(self, loss: int, seen: set[int]) -> bool:
        """Give a loss its thread; those that have one may have to take another."""
        for thread in self.holders[loss]:
            if thread not in seen:
                seen.add(thread)
                if thread not in self.by_thread or self.find(self.by_thread[thread], seen):
                    self.by_thread[thread] = loss
                    return True
        return False

    @property
    def count(self) -> int:
        return len(self.by_thread)

    @property
    def messages(self) -> set[str]:
        return {self.losses[loss].message for loss in self.by_thread.values()}


def assign(found: list[Loss], threads: list[Thread], ended: dict[int, int]) -> Held:
    """Each loss to a thread of its own, those that stand first before the others."""
    holders = [
        [n for n, thread in enumerate(threads) if loss.may_be_of(thread, ended)]
        for loss in found
    ]
    held = Held(found, holders)
    for loss in range(len(found)):
        held.find(loss, set())
    return held


# -- channels with one reader: of each writer a beginning comes, without gaps, in order ---


def judge_own(journals: Journals, group_drops: int, report: Report) -> None:
    came: dict[tuple[str, str], list[int]] = defaultdict(list)  # channel, writer: serials
    for thread in journals.threads:
        for message, channel in thread.received:
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
