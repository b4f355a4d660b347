#!/usr/bin/python3
"""Plants known defects and shows that they are found.

mutants.py SET [--mechanical SEED] [--only NAME | --commit] [--list] [--fresh] [--seed S]

A mutant is a patch in sim/mutants/SET: a few sentences that say what is wrong, then the diff. Each
is applied to a copy of the tree under build/mutants, built there, and hunted; the copy keeps its
build, so that a mutant costs the files that it touches. First the copy without a mutant must pass
the same hunt. What was found already is not hunted again while neither the patch nor what is
built has changed, so that a run that was stopped goes on where it was; --fresh forgets it.

Of the set sim each patch names the oracle that must find it ("Oracle: safety"), in a run of the
simulator that nothing else has ended before, and that passes without the mutant. What a run has
found says the first violation in it; other runs may end with others. That run is then shrunk: half
of the mutants must come down to 10 events. One that crashes, or differs each time, cannot be.

With --mechanical SEED 60 small changes are drawn instead, 20 each of core/decide, core/agent and
sim/kernel, from lines that tests execute; at least 85 % must be killed, and survivors are listed
(mechanical.py; the kinds of change: mutations.py).
"""

import argparse
import contextlib
import dataclasses
import pathlib
import re
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import mechanical
from mutant_tree import (ROOT, SIMULATED_S, WORK, Failure, Memory, build, copy_tree, held, run,
                         run_json, shrink, simulate, told)

MUTANTS = ROOT / "sim/mutants"
PROGRAMS = 2000  # within which the differential fuzzer must find a defect
UNSHRUNK = ("crash", "nondeterminism")  # runs that do not end as they did, or not at all
MAX_EVENTS = 10  # of a run that the simulator has shrunk, in the median
MAX_OPERATIONS = 6  # of the program that it is shrunk to
EXAMPLES = """
examples:
  ci/mutants sim
  ci/mutants fidelity --only fdb-not-moved
  ci/mutants sim --mechanical 7 --list
  ci/mutants sim --mechanical 7
  ci/mutants sim --mechanical 7 --only 'decide/node_cache.cpp:123 negate'
"""
ORACLE = re.compile(r"^Oracle: (\S+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    patch: pathlib.Path

    @property
    def about(self) -> str:
        """The first sentence of what stands before the diff."""
        return " ".join(self._text.split()).split(". ")[0].rstrip(".") + "."

    @property
    def oracle(self) -> str:
        """What must find it, if the text says so."""
        named = ORACLE.search(self._text)
        return named.group(1) if named else ""

    @property
    def _text(self) -> str:
        """What stands before the diff."""
        return self.patch.read_text().split("\n---", 1)[0].split("\ndiff ", 1)[0]


@dataclasses.dataclass
class Verdict:
    found: bool
    detail: str
    seconds: float = 0
    oracles: list[str] = dataclasses.field(default_factory=list)  # that ended runs, in order
    seed: int | None = None  # of the run of the simulator that found it
    events: int | None = None  # that the run was shrunk to; nothing: it was not
    shrunk_s: float = 0


def mutants_of(name: str) -> list[Mutant]:
    return [Mutant(patch.stem, patch) for patch in sorted((MUTANTS / name).glob("*.patch"))]


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mutant is in the copied tree while this lasts."""
    tree = WORK / "tree"
    applied = run(["git", "apply", "--unsafe-paths", f"--directory={tree}", mutant.patch],
                  cwd=pathlib.Path("/"))
    if applied.returncode != 0:
        raise Failure(f"does not apply:\n{applied.stderr}")
    try:
        yield
    finally:
        copy_tree(tree)


# --- Hunts ---


def hunt_by_fidelity(_mutant: Mutant | None, seed: int, _within_s: float) -> Verdict:
    """Found if the fuzzer has found a gap; says which, or what its last line was."""
    report = run_json([WORK / "build/bin/vxmesh-fidelity", "run", "--programs", str(PROGRAMS),
                       "--seed", str(seed), "--most-gaps", "1", "--save", WORK / "cases", "--json"])
    if not report["found"]:
        return Verdict(False, f"{report['programs']} programs, no gap")
    gap = report["found"][0]
    small = gap["operations"] <= MAX_OPERATIONS
    return Verdict(small, f"program {gap['program']}, {gap['operations']} operations: "
                          f"{gap['signature']}"
                          + ("" if small else f"; not shrunk to {MAX_OPERATIONS}"))


def hunt_by_simulation(mutant: Mutant | None, seed: int, within_s: float) -> Verdict:
    """Found if a run that passes without the mutant fails first by the oracle that it names.

    Without a mutant: if any run fails.
    """
    program, clean = WORK / "build/bin/vxmesh-sim", WORK / "vxmesh-sim-clean"
    if mutant is None:
        shutil.copy2(program, clean)
        runs, failures = simulate(program, None, seed, lambda failure: True, within_s)
        return Verdict(bool(failures), told(failures[0], runs) if failures else f"{runs} runs")
    if not mutant.oracle:
        raise Failure(f"{mutant.patch.name} names no oracle")
    runs, failures = simulate(program, clean, seed,
                              lambda failure: failure["kind"] == mutant.oracle, within_s)
    oracles = [failure["kind"] for failure in failures]
    if mutant.oracle in oracles:
        return Verdict(True, told(failures[-1], runs), oracles=oracles,
                       seed=failures[-1]["seed"])
    others = f", but {', '.join(sorted(set(oracles)))}" if oracles else ""
    return Verdict(False, f"{runs} runs, nothing of {mutant.oracle}{others}", oracles=oracles)


@dataclasses.dataclass(frozen=True)
class Hunt:
    target: str  # that is built
    judge: Callable[[Mutant | None, int, float], Verdict]


HUNTS = {"fidelity": Hunt("vxmesh-fidelity", hunt_by_fidelity),
         "sim": Hunt("vxmesh-sim", hunt_by_simulation)}


def timed(hunt: Hunt, mutant: Mutant | None, seed: int, within_s: float) -> Verdict:
    began = time.monotonic()
    verdict = hunt.judge(mutant, seed, within_s)
    return dataclasses.replace(verdict, seconds=time.monotonic() - began)


def with_shrunk_run(verdict: Verdict) -> Verdict:
    """With how small the run becomes that has found a mutant of the simulator's."""
    if verdict.seed is None or verdict.oracles[-1] in UNSHRUNK:
        return verdict
    small = shrink(WORK / "build/bin/vxmesh-sim", verdict.seed)
    return dataclasses.replace(verdict, events=small.events, shrunk_s=small.seconds)


def known_verdict(memory: Memory, mutant: Mutant | None) -> Verdict | None:
    known = memory.get(*identity(mutant))
    return Verdict(**known) if known else None


def remember(memory: Memory, mutant: Mutant | None, verdict: Verdict) -> None:
    memory.put(*identity(mutant), dataclasses.asdict(verdict))


def identity(mutant: Mutant | None) -> tuple[str, bytes]:
    return (mutant.name, mutant.patch.read_bytes()) if mutant else ("", b"")


def without_others(mutants: list[Mutant], verdicts: list[Verdict]) -> tuple[set[str], set[str]]:
    """Of the oracles that the mutants name: those that alone found at least one, and the rest."""
    named = {mutant.oracle for mutant in mutants if mutant.oracle}
    alone = {mutant.oracle for mutant, verdict in zip(mutants, verdicts)
             if verdict.found and set(verdict.oracles) == {mutant.oracle}}
    return alone, named - alone


def hunt_set(mutants: list[Mutant], arguments: argparse.Namespace) -> list[Verdict] | None:
    """Verdicts of the mutants, in order; nothing if the hunt finds something without a mutant."""
    hunt = HUNTS[arguments.set]
    memory = Memory(arguments.set, copy_tree(WORK / "tree"), arguments.seed, arguments.fresh)
    clean = known_verdict(memory, None)
    if clean is None:
        print("without a mutant: building", flush=True)
        build(hunt.target)
        # In ci/test the suite sweep has shown that; here each kill is checked against the copy.
        clean = timed(hunt, None, arguments.seed, 0 if arguments.commit else SIMULATED_S)
        remember(memory, None, clean)
    if clean.found:
        print(f"without a mutant: {clean.detail}: mend that first")
        return None
    print(f"without a mutant: {clean.detail} ({clean.seconds:.0f} s)", flush=True)
    verdicts = []
    for number, mutant in enumerate(mutants, start=1):
        verdict = known_verdict(memory, mutant)
        if verdict is None:
            with planted(mutant):
                build(hunt.target)
                verdict = timed(hunt, mutant, arguments.seed, arguments.within)
                verdict = with_shrunk_run(verdict)
            remember(memory, mutant, verdict)
        verdicts.append(verdict)
        small = (f", left of its steps: {verdict.events} ({verdict.shrunk_s:.1f} s)"
                 if verdict.events is not None else "")
        print(f"{number:2} of {len(mutants)} {'found ' if verdict.found else 'MISSED'} "
              f"{mutant.name}: {verdict.detail} ({verdict.seconds:.1f} s){small}", flush=True)
    build(hunt.target)
    return verdicts


def report(name: str, mutants: list[Mutant], verdicts: list[Verdict], is_whole: bool) -> int:
    """Prints the last lines; `is_whole`: all mutants of the set were hunted."""
    found = sum(verdict.found for verdict in verdicts)
    alone, never_alone = without_others(mutants, verdicts)
    if alone or never_alone:
        print(f"oracles that alone found a mutant: {' '.join(sorted(alone)) or 'none'}")
    if is_whole and never_alone:
        print(f"oracles that never did: {' '.join(sorted(never_alone))}")
    events = [verdict.events for verdict in verdicts if verdict.events is not None]
    median = statistics.median_high(events) if events else 0
    if events:
        slowest = max(verdict.shrunk_s for verdict in verdicts)
        print(f"shrunk runs: {len(events)}; left of their steps: {median} in the median, at most "
              f"{max(events)}; none took over {slowest:.0f} s")
    print(f"ci/mutants {name}: {found} of {len(mutants)} found")
    too_large = is_whole and median > MAX_EVENTS
    return 1 if found < len(mutants) or (is_whole and never_alone) or too_large else 0


def chosen(mutants: list[Mutant], only: str | None, by_commit: bool) -> list[Mutant]:
    """Raises ValueError, with a sentence."""
    if by_commit:
        commit = run(["git", "rev-parse", "HEAD"]).stdout.strip()
        return [mutants[int(commit or "0", 16) % len(mutants)]]
    if not only:
        return mutants
    if only not in [mutant.name for mutant in mutants]:
        raise ValueError(f"no mutant '{only}'; there are: "
                         f"{' '.join(mutant.name for mutant in mutants)}")
    return [mutant for mutant in mutants if mutant.name == only]


def main_planted(arguments: argparse.Namespace) -> int:
    mutants = mutants_of(arguments.set)
    if not mutants:
        raise ValueError(f"no mutants in sim/mutants/{arguments.set}: nothing to hunt")
    hunted = chosen(mutants, arguments.only, arguments.commit)
    if arguments.list:
        for mutant in hunted:
            by = f" [{mutant.oracle}]" if mutant.oracle else ""
            print(f"{mutant.name}:{by} {mutant.about}")
        return 0
    with held():
        verdicts = hunt_set(hunted, arguments)
    if verdicts is None:
        return 1
    return report(arguments.set, hunted, verdicts, len(hunted) == len(mutants))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(HUNTS), help="what finds them")
    parser.add_argument("--mechanical", metavar="SEED", type=int,
                        help="with sim: instead of the set, mutants drawn from SEED")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", metavar="NAME", help="one mutant")
    which.add_argument("--commit", action="store_true", help="the one that HEAD's hash chooses")
    parser.add_argument("--within", metavar="S", type=float, default=SIMULATED_S,
                        help="seconds of simulation in which it has to be found (default: "
                             f"{SIMULATED_S})")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--fresh", action="store_true", help="forget what was found already")
    parser.add_argument("--seed", type=int, default=1, help="of the hunt (default: 1)")
    arguments = parser.parse_args()
    if arguments.mechanical is not None and arguments.set != "sim":
        parser.error("--mechanical is of the set sim")
    return arguments


def main() -> int:
    arguments = parsed()
    # Being asked to stop unwinds like an error, so that children are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.mechanical is None:
            return main_planted(arguments)
        with held():
            return mechanical.hunt(arguments.mechanical, arguments.only, arguments.list,
                                   arguments.fresh, arguments.seed)
    except ValueError as error:
        print(f"ci/mutants: {error}", file=sys.stderr)
        return 2
    except Failure as failure:
        print(f"ci/mutants: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
