"""What an independent listener heard of a node's neighbours on the vxlan device."""

import dataclasses
from collections.abc import Collection
from typing import Any

from lab.kernel import KernelView
from lab.lab import Lab
from lab.topology import LabNode
from lab.waiting import poll_until

NUD_NOARP = 0x40  # linux/neighbour.h
ANSWERS_S = 5.0


@dataclasses.dataclass(frozen=True)
class Heard:
    """The notifications of one node since the listener was last asked."""

    missed: list[str]  # addresses, in the order in which the kernel asked for them
    answered_us: dict[str, float]  # first miss to the NOARP neighbour, for those answered
    overruns: int


class MissListener:
    """Reads one node's endpoint, from now on."""

    def __init__(self, lab: Lab, node: LabNode) -> None:
        self._endpoint = lab.endpoints[node.name]
        self._ifindex = KernelView(node.host).ifindex()
        self._next = 0
        self._overruns = 0
        self.heard()

    def heard(self, answers: Collection[str] = ()) -> Heard:
        """Waits for the answers, some seconds at most: the kernel lets the packet go that waits
        for an answer before it tells of that one (__neigh_update)."""
        answer = poll_until(
            lambda: self._endpoint.start("neighbours", since=self._next).answer(),
            lambda answer: self._heard(answer).answered_us.keys() >= set(answers),
            ANSWERS_S,
        )
        heard = self._heard(answer)
        self._next = answer["next"]
        self._overruns = answer["overruns"]
        return heard

    def _heard(self, answer: dict[str, Any]) -> Heard:
        events = [event for event in answer["events"] if event["ifindex"] == self._ifindex]
        overruns = answer["overruns"] - self._overruns
        missed = [event["address"] for event in events if event["kind"] == "miss"]
        return Heard(missed, answer_times(events), overruns)


def answer_times(events: list[dict[str, Any]]) -> dict[str, float]:
    """Address -> microseconds from its first miss to the NOARP neighbour that answered it."""
    asked: dict[str, float] = {}
    answered: dict[str, float] = {}
    for event in events:
        address = event["address"]
        if event["kind"] == "miss":
            asked.setdefault(address, event["at"])
        elif event["kind"] == "new" and event["state"] & NUD_NOARP and address in asked:
            answered.setdefault(address, (event["at"] - asked[address]) * 1e6)
    return answered
