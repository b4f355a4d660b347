"""What an independent listener heard of a node's neighbours on the vxlan device."""

import dataclasses
from typing import Any

from lab.kernel import KernelView
from lab.lab import Lab
from lab.topology import LabNode

NUD_NOARP = 0x40  # linux/neighbour.h


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

    def heard(self) -> Heard:
        answer = self._endpoint.start("neighbours", since=self._next).answer()
        self._next = answer["next"]
        events = [event for event in answer["events"] if event["ifindex"] == self._ifindex]
        overruns = answer["overruns"] - self._overruns
        self._overruns = answer["overruns"]
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
