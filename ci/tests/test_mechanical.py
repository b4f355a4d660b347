"""Mechanical mutants are drawn from executed lines alone, by a seed, and counted honestly."""

import itertools

import mechanical
import mutant_tree
import mutations
import pytest

FILE = "core/decide/sums.cpp"
# Every line is one that a mutant may or may not be made of; a test names it by what is on it.
SOURCE = """#include <compare>
struct Time {
  int ticks;
  friend auto operator<=>(const Time&, const Time&) = default;
};
Time operator-(Time, Time);
void check(bool, const char*);
struct List { void push(int); void reserve(int); };
struct Metrics { void add(int); };
#define PROBE_IF(condition) do { if (condition) { ++probes; } } while (false)
int probes = 0;

int sum(List& list, int n, Time now, Time due, Metrics& metrics) {
  check(n > 0 && n < 9, "small");
  list.reserve(n);
  metrics.add(n > 1 ? 1 : 0);
  PROBE_IF(n > 0 && n < 5);
  list.push(n);
  int total = 0;
  for (int i = 0; i < n; ++i) {
    if (i == 3 || !n) {
      continue;
    }
    if (i == 4) {
      break;
    }
    total += i;
  }
  switch (n) {
    case 1: total = 7; break;
    default: break;
  }
  if (const int copy = total) {
    list.push(copy);
  }
  const auto twice = [&](int x) { list.push(x); return x - n; };
  if (now < due && (due - now).ticks >= 1) {
    return twice(n == n ? n + 1 : 0);
  }
  return total <= total;
}
"""


@pytest.fixture(name="tree")
def make_tree(tmp_path):
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(SOURCE)
    return tmp_path


def line_of(code):
    return SOURCE[:SOURCE.index(code)].count("\n") + 1


def everything():
    return {FILE: list(range(1, SOURCE.count("\n") + 1))}


def made(tree, kind):
    found = mutations.mutations_of(tree, "core/decide", everything())
    return [mutation for mutation in found if mutation.kind == kind]


def test_what_is_dropped(tree):
    assert [mutation.old for mutation in made(tree, "drop")] == [
        "list.push(n)", "continue", "break", "total += i", "total = 7", "list.push(copy)",
        "list.push(x)"]
    assert {mutation.new for mutation in made(tree, "drop")} == {""}


def test_what_is_negated(tree):
    assert [mutation.new for mutation in made(tree, "negate")] == [
        "!(i < n)", "!(i == 3)", "!(i == 3 || !n)", "!(!n)", "!(i == 4)",
        "!(now < due)", "!(now < due && (due - now).ticks >= 1)", "!((due - now).ticks >= 1)",
        "!(n == n)"]


def test_what_is_swapped(tree):
    assert [mutation.new for mutation in made(tree, "swap")] == [
        "(n) < (i)", "(n) - (x)", "(due) < (now)",
        "(1) >= ((due - now).ticks)", "(now) - (due)"]


def test_only_what_starts_on_an_executed_line_is_drawn(tree):
    executed = {FILE: [line_of("total += i"), line_of("if (i == 3")]}
    found = mutations.mutations_of(tree, "core/decide", executed)
    assert {mutation.line for mutation in found} == set(executed[FILE])
    assert mutations.mutations_of(tree, "core/decide", {}) == []


def test_a_name_is_of_one_mutant(tree):
    found = mutations.mutations_of(tree, "core/decide", everything())
    names = [mutation.name for mutation in found]
    assert len(set(names)) == len(names)
    line = line_of("if (i == 3")
    assert [mutation.name for mutation in found if mutation.line == line] == [
        f"decide/sums.cpp:{line} negate", f"decide/sums.cpp:{line} negate 2",
        f"decide/sums.cpp:{line} negate 3"]


def test_equal_changes_of_a_function_are_told_apart(tree):
    (tree / FILE).write_text("int f(int a, int b) { if (a > b) { return 1; } "
                             "return a > b ? 2 : 3; }")
    found = mutations.mutations_of(tree, "core/decide", {FILE: [1]})
    assert [mutation.key for mutation in found] == [
        f"{FILE} f negate: a > b", f"{FILE} f swap: a > b",
        f"{FILE} f negate 2: a > b", f"{FILE} f swap 2: a > b"]


def test_applied_changes_its_own_place_alone(tree):
    [mutation] = [mutation for mutation in made(tree, "drop") if mutation.old == "total += i"]
    assert mutation.applied(SOURCE.encode()).decode() == SOURCE.replace("total += i;", ";")


def test_a_seed_draws_all_in_its_own_order_and_the_kinds_take_turns(tree):
    found = mutations.mutations_of(tree, "core/decide", everything())
    first = list(mutations.drawn(found, 1))
    assert sorted(first) == sorted(found)
    assert first == list(mutations.drawn(list(reversed(found)), 1))
    assert first != list(mutations.drawn(found, 2))
    assert [mutation.kind for mutation in first[:6]] == [*mutations.KINDS, *mutations.KINDS]
    assert list(mutations.drawn([], 1)) == []


class Scripted(mechanical.Hunter):
    """Gives verdicts by a table: True killed, False not, None does not compile."""

    def __init__(self, table):  # pylint: disable=super-init-not-called
        self.table = table

    def verdict(self, mutation, of):
        killed = self.table.get(mutation.name, True)
        return mechanical.Verdict(killed is not None, "a test" if killed else "")


def test_what_does_not_compile_is_redrawn(tree, monkeypatch):
    monkeypatch.setattr(mechanical, "DRAWN", 4)
    order = list(mutations.drawn(mutations.mutations_of(tree, "core/decide", everything()), 1))
    broken = {order[0].name: None, order[4].name: None}
    found = mechanical.hunt_folder(Scripted(broken), order, 4)
    assert {mutation for mutation, _ in found} == set(order[1:4] + order[5:6])
    monkeypatch.setattr(mechanical, "DRAWN", len(order) + 1)
    assert len(mechanical.hunt_folder(Scripted(broken), order, 4)) == len(order) - 2


@pytest.mark.parametrize(("killed", "status"), [(6, 0), (5, 1), (0, 1)])
def test_at_least_85_percent_are_killed(tree, capsys, monkeypatch, killed, status):
    monkeypatch.setattr(mechanical, "EQUIVALENT", tree / "none.txt")
    found = mutations.mutations_of(tree, "core/decide", everything())[:7]
    verdicts = [(mutation, mechanical.Verdict(True, "a test" if number < killed else ""))
                for number, mutation in enumerate(found)]
    assert mechanical.report(verdicts) == status
    assert f"{killed} of 7 killed; of the {7 - killed} survivors 0" in capsys.readouterr().out


def test_a_reason_is_of_a_place_whatever_its_line(tree, tmp_path):
    [mutation] = [mutation for mutation in made(tree, "drop") if mutation.old == "total += i"]
    path = tmp_path / "equivalent.txt"
    path.write_text(f"# about\n\n{FILE} sum drop: total += i\n  Nobody\n  adds.\n")
    assert mechanical.reasons(path) == {mutation.key: "Nobody adds."}


@pytest.mark.parametrize(("script", "failure"), [
    ("exit 0", ""),
    ("echo '[  FAILED  ] Sums.Add (3 ms)'; exit 1", "Sums.Add"),
    ("kill -ABRT $$", "SIGABRT"),
    ("sleep 60", "hangs"),
])
def test_a_mutant_is_killed_by_failure_crash_and_hang(tmp_path, script, failure):
    program = tmp_path / "judge"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    said = mechanical.failure_of([program], 0.5, mechanical.first_failed)
    assert said == (f"judge: {failure}" if failure else "")


@pytest.mark.parametrize(("output", "gap"), [
    ("gap: in 2 cases\n/a/a-case.txt: gap in program 0: a row is missing\n  rows",
     "a-case: a row is missing"),
    ("gap: 1 different\ngap in program 7: an answer\nfidelity: gaps=1", "program 7: an answer"),
    ("a case does not parse\n", "a case does not parse"),
    ("", "fails"),
])
def test_the_first_gap_is_told(output, gap):
    assert mechanical.first_gap(output) == gap


def test_what_hangs_is_ended_with_its_children(tmp_path):
    with pytest.raises(mutant_tree.Hung):
        mutant_tree.run(["bash", "-c", f"(sleep 1; touch {tmp_path}/late) & wait"], limit_s=0.2)
    with pytest.raises(mutant_tree.Hung):
        mutant_tree.run(["sleep", "2"], limit_s=1.2)
    assert not (tmp_path / "late").exists()


def test_every_folder_has_its_judges():
    assert set(itertools.chain.from_iterable(
        stage.targets for stages in mechanical.STAGES.values() for stage in stages)) > {
            "decide_test", "vxmesh-sim", "vxmesh-fidelity"}
