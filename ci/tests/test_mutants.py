"""mutants.py counts a mutant as found only if the oracle that it names finds it, and it alone."""

import json
import re

import mutant_tree
import mutants
import pytest

# Stands for a sweep: the first run from its seed on that fails, by a table of seed -> oracle. Each
# run takes ten seconds.
PROGRAM = """#!/usr/bin/python3
import json, sys
failing = {failing!r}
flag = lambda name: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None
first = int(flag("--seed"))
runs = int(flag("--runs") or -(-int(flag("--time")[:-2]) // 10000))
seeds = [seed for seed in range(first, first + runs) if seed in failing][:1]
runs = seeds[0] - first + 1 if seeds else runs
print(json.dumps({{"runs": runs, "real_ns": runs * 10**10, "failures": [
    {{"kind": failing[seed], "what": "it is wrong", "seed": seed}} for seed in seeds]}}))
sys.exit(1 if seeds else 0)
"""


@pytest.fixture(name="hunt")
def make_hunt(tmp_path, monkeypatch):
    """Hunts a mutant whose runs end by the given oracles: hunt(oracle, {seed: oracle}, ...)."""
    monkeypatch.setattr(mutants, "WORK", tmp_path)

    def install(path, failing):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM.format(failing=failing))
        path.chmod(0o755)

    def hunt(oracle, failing, failing_clean=None):
        install(tmp_path / "build/bin/vxmesh-sim", failing)
        install(tmp_path / "vxmesh-sim-clean", failing_clean or {})
        return mutants.hunt_by_simulation(make_mutant(tmp_path, oracle), 1,
                                          mutants.SIMULATED_S)

    return hunt


def make_mutant(folder, oracle):
    patch = folder / "bug.patch"
    patch.write_text("Something is wrong.\n\nIt was right.\n\n"
                     + (f"Oracle: {oracle}\n\n" if oracle else "") + "--- a/x\n+++ b/x\n")
    return mutants.Mutant("bug", patch)


def test_a_patch_says_what_is_wrong_and_who_finds_it(tmp_path):
    mutant = make_mutant(tmp_path, "safety")
    assert (mutant.about, mutant.oracle) == ("Something is wrong.", "safety")
    assert make_mutant(tmp_path, "").oracle == ""


def test_found_by_the_oracle_that_is_named(hunt):
    verdict = hunt("safety", {3: "safety"})
    assert verdict.found
    assert verdict.oracles == ["safety"]
    assert "seed 3, run 3: safety" in verdict.detail


def test_what_others_find_first_is_passed_over_and_told(hunt):
    verdict = hunt("safety", {1: "blackout", 4: "safety"})
    assert verdict.found
    assert verdict.oracles == ["blackout", "safety"]
    assert "run 4" in verdict.detail


def test_not_found_by_another_oracle(hunt):
    verdict = hunt("safety", {2: "blackout"})
    assert not verdict.found
    assert verdict.detail == "6 runs, nothing of safety, but blackout"


def test_not_found_when_the_time_is_over(hunt):
    assert hunt("safety", {6: "safety"}).found
    assert not hunt("safety", {7: "safety"}).found


def test_a_run_that_fails_without_the_mutant_does_not_count(hunt):
    verdict = hunt("safety", {2: "safety", 5: "safety"}, {2: "quiet"})
    assert "seed 5" in verdict.detail
    assert not hunt("safety", {2: "safety"}, {2: "quiet"}).found


def test_without_a_mutant_any_failure_is_one(tmp_path, hunt):
    hunt("safety", {4: "crash"})
    verdict = mutants.hunt_by_simulation(None, 1, mutants.SIMULATED_S)
    assert verdict.found
    assert (tmp_path / "vxmesh-sim-clean").read_text().find("crash") > 0


def test_a_patch_without_an_oracle_is_no_mutant_of_the_simulator(hunt):
    with pytest.raises(mutants.Failure):
        hunt("", {})


def test_an_oracle_is_alone_where_no_other_ended_a_run(tmp_path):
    def verdict(found, *oracles):
        return mutants.Verdict(found, "", oracles=list(oracles))

    some = [make_mutant(tmp_path / name, name) for name in ("a", "b", "c")
            if (tmp_path / name).mkdir() is None]
    alone, never = mutants.without_others(
        some, [verdict(True, "a", "a"), verdict(True, "a", "b"), verdict(False, "c")])
    assert (alone, never) == ({"a"}, {"b", "c"})


def test_every_oracle_of_the_simulator_has_a_mutant():
    source = (mutant_tree.ROOT / "sim/cli/sweep_result.cpp").read_text()
    listed = re.search(r"kOracles\[\] = \{(.*?)\}", source, re.DOTALL).group(1)
    oracles = set(re.findall(r'"([a-z]+)"', listed))
    named = {mutants.Mutant(patch.stem, patch).oracle
             for patch in (mutant_tree.ROOT / "sim/mutants/sim").glob("*.patch")}
    assert len(oracles) > 5 and oracles <= named


def test_a_verdict_is_remembered_until_patch_tree_or_seed_change(tmp_path, monkeypatch):
    monkeypatch.setattr(mutant_tree, "WORK", tmp_path)
    mutant = make_mutant(tmp_path, "safety")
    verdict = mutants.Verdict(True, "seed 3", 1.5, ["safety"])

    def memory(*key):
        return mutants.Memory("sim", *key)

    mutants.remember(memory("tree", 1, False), mutant, verdict)
    assert mutants.known_verdict(memory("tree", 1, False), mutant) == verdict
    for other in (("other", 1, False), ("tree", 2, False), ("tree", 1, True)):
        assert mutants.known_verdict(memory(*other), mutant) is None
    mutant.patch.write_text(mutant.patch.read_text() + "+")
    assert mutants.known_verdict(memory("tree", 1, False), mutant) is None
    assert json.loads((tmp_path / "sim.json").read_text())


def test_the_run_that_found_it_is_shrunk(monkeypatch, tmp_path):
    monkeypatch.setattr(mutant_tree, "WORK", tmp_path)
    monkeypatch.setattr(mutants, "WORK", tmp_path)
    program = tmp_path / "build/bin/vxmesh-sim"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/bash\n[[ $1 == run && $3 == 7 ]] && mkdir -p \"${@: -1}\"\n"
                       "[[ $1 == shrink && -d $2 ]] && echo 'shrink: 55 steps to 3 in 112 runs'\n")
    program.chmod(0o755)
    found = mutants.Verdict(True, "", oracles=["order", "safety"], seed=7)
    assert mutants.with_shrunk_run(found).events == 3
    for unshrunk in (mutants.Verdict(True, "", oracles=["crash"], seed=7),
                     mutants.Verdict(True, "of a fuzzer"), mutants.Verdict(False, "")):
        assert mutants.with_shrunk_run(unshrunk) == unshrunk


@pytest.mark.parametrize("events, status", [([10, 2, None, 30], 0), ([11, 2, 30, None], 1),
                                            ([None] * 4, 0)])
def test_half_of_the_runs_must_come_down_to_ten_events(tmp_path, events, status):
    some = [make_mutant(tmp_path, "safety")] * 4
    verdicts = [mutants.Verdict(True, "", oracles=["safety"], events=count) for count in events]
    assert mutants.report("sim", some, verdicts, is_whole=True) == status


def test_the_commit_chooses_one(monkeypatch, tmp_path):
    several = [mutants.Mutant(name, tmp_path / name) for name in "abc"]
    answer = type("Answer", (), {"stdout": "0" * 39 + "5\n"})
    monkeypatch.setattr(mutants, "run", lambda command: answer)
    assert [mutant.name for mutant in mutants.chosen(several, None, True)] == ["c"]
