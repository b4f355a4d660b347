"""Named checks, each with what was there and what was wanted."""

import dataclasses
import sys
from typing import Any, Callable, TextIO

from lab.waiting import poll_until

GREEN, RED, BOLD, PLAIN = "\033[32m", "\033[31m", "\033[1m", "\033[0m"


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    was: Any
    wanted: Any
    note: str


def _readable(value: Any) -> str:
    """Lists with one item a line, all else as Python writes it."""
    if isinstance(value, list) and len(value) > 1:
        return "".join(f"\n         {item}" for item in value)
    return str(value)


class Report:
    """Collects checks and prints each as it is decided. A failed one does not end the run."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self.output = output
        self.checks: list[Check] = []
        self.figures: dict[str, Any] = {}
        self._colours = output.isatty()

    def equal(self, name: str, was: Any, wanted: Any, note: str = "") -> bool:
        """Passes if `was` equals `wanted`."""
        return self.require(name, was == wanted, was, wanted, note)

    def eventually(
        self, name: str, view: Callable[[], Any], wanted: Any, within: float = 10, note: str = ""
    ) -> bool:
        """Passes as soon as `view()` equals `wanted`; fails after `within` seconds."""
        return self.equal(name, poll_until(view, lambda was: was == wanted, within), wanted, note)

    def require(self, name: str, passed: bool, was: Any, wanted: Any, note: str = "") -> bool:
        """Passes if `passed` is true; `was` and `wanted` explain it."""
        self.checks.append(Check(name, passed, was, wanted, note))
        mark = self._coloured("ok  ", GREEN) if passed else self._coloured("FAIL", RED + BOLD)
        self.line(f"{mark} {name}{': ' + note if note else ''}")
        if not passed:
            self.line(f"       was there: {_readable(was)}")
            self.line(f"       wanted:    {_readable(wanted)}")
        return passed

    def heading(self, text: str) -> None:
        self.line(self._coloured(text, BOLD))

    def line(self, text: str = "") -> None:
        print(text, file=self.output, flush=True)

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colours else text

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    def verdict(self, program: str) -> str:
        """The last line: `demo: N checks passed, 0 failed`."""
        passed = len(self.checks) - len(self.failed)
        return f"{program}: {passed} checks passed, {len(self.failed)} failed"
