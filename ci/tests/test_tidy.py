"""tidy.py finds what breaks a rule, at its line, and nothing in code that keeps the rules."""

import json
import pathlib
import subprocess

import pytest
import tidy

GOOD_HEADER = "#pragma once\n\n#include <string>\n\nnamespace vxmesh {}\n"


@pytest.fixture(name="tree")
def make_tree(tmp_path):
    """Makes a Tree of the given files: make(path=text, ...)."""

    def make(files: dict[str, str]) -> tidy.Tree:
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tidy.Tree(tmp_path, files)

    return make


def found(check, tree) -> list[tuple[str, int]]:
    return sorted({(finding.path, finding.line) for finding in check(tree)})


@pytest.mark.parametrize("path, include", [
    ("core/base/a.h", "model/link.h"),
    ("core/model/a.h", "ports/netlink.h"),
    ("core/decide/a.cpp", "agent/agent.h"),
    ("core/decide/a.cpp", "explain/packet_walk.h"),
    ("core/ports/a.h", "decide/plan.h"),
    ("core/agent/a.cpp", "adapters/libnl/netlink_libnl.h"),
    ("core/adapters/kube/a.cpp", "agent/agent.h"),
    ("core/adapters/kube/a.cpp", "sim/kube/store.h"),
    ("core/agent/a.cpp", "sim/world/prng.h"),
    ("core/agent/a_test.cpp", "sim/world/prng.h"),
    ("sim/kernel/a.cpp", "agent/agent.h"),
    ("sim/kernel/a.cpp", "decide/plan.h"),
    ("sim/check/a.cpp", "decide/plan.h"),
    ("sim/check/a.cpp", "explain/packet_walk.h"),
    ("sim/tests/a.cpp", "adapters/http/server.h"),
    ("sim/fakekube/a.cpp", "agent/agent.h"),
    ("integration/contract/a.cpp", "main/wiring.h"),
    ("core/agent/a.cpp", "neighbour.h"),
    ("core/agent/a.cpp", "../model/link.h"),
    ("core/agent/a.cpp", "core/model/link.h"),
])
def test_include_that_breaks_the_layers_is_found(tree, path, include):
    assert found(tidy.check_layers, tree({path: f'#include <map>\n\n#include "{include}"\n'})) == [
        (path, 3)]


@pytest.mark.parametrize("path, include", [
    ("core/agent/a.cpp", "agent/agent.h"),
    ("core/agent/a.cpp", "decide/plan.h"),
    ("core/decide/a.cpp", "ports/netlink.h"),
    ("core/main/a.cpp", "adapters/libnl/netlink_libnl.h"),
    ("core/adapters/nftables/a.cpp", "adapters/posix/child_process.h"),
    ("sim/kernel/a.cpp", "ports/netlink.h"),
    ("sim/kube/a.cpp", "sim/world/prng.h"),
    ("sim/fakekube/a.cpp", "adapters/http/server.h"),
    ("sim/tests/a.cpp", "agent/agent.h"),
    ("sim/tests/a.cpp", "sim/kernel/fake_netlink.h"),
    ("integration/contract/a.cpp", "adapters/libnl/netlink_libnl.h"),
    ("integration/contract/a.cpp", "integration/contract/world.h"),
])
def test_include_within_the_layers_is_fine(tree, path, include):
    assert found(tidy.check_layers, tree({path: f'#include "{include}"\n'})) == []


@pytest.mark.parametrize("path, header, bad", [
    ("core/ports/a.h", "boost/json.hpp", True),
    ("core/agent/a.cpp", "unistd.h", True),
    ("sim/kernel/a.cpp", "linux/rtnetlink.h", True),
    ("core/agent/a.cpp", "optional", False),
    ("core/base/a.h", "tl/expected.hpp", False),
    ("core/adapters/kube/a.cpp", "boost/json.hpp", False),
    ("core/agent/a_test.cpp", "gtest/gtest.h", False),
    ("core/decide/testing/generators.h", "rapidcheck.h", False),
])
def test_library_above_the_adapters_is_found(tree, path, header, bad):
    files = tree({path: f"#include <{header}>\n"})
    assert found(tidy.check_foreign_headers, files) == ([(path, 1)] if bad else [])


@pytest.mark.parametrize("path, code", [
    ("core/decide/a.cpp", "auto t = std::chrono::steady_clock::now();"),
    ("core/agent/a.cpp", "const auto t = std::time(nullptr);"),
    ("sim/kernel/a.cpp", "std::random_device device;"),
    ("sim/kernel/a.cpp", "std::uniform_int_distribution<int> d(0, 1);"),
    ("core/agent/a.cpp", "int n = rand();"),
    ("core/agent/a.cpp", "std::this_thread::sleep_for(second);"),
    ("core/agent/a.cpp", 'const char* home = getenv("HOME");'),
    ("core/agent/a.cpp", "std::thread worker;"),
    ("core/decide/a.cpp", "std::unordered_map<int, int> m;"),
    ("sim/world/a.cpp", "std::map<const Node*, int> m;"),
    ("core/model/a.cpp", "#include <ranges>"),
    ("core/model/a.cpp", "for (auto i : std::views::all(v)) {"),
    ("sim/check/a.cpp", "auto v = std::ranges::views::iota(1);"),
    ("core/base/a.cpp", "double ratio = 1;"),
    ("core/explain/a.h", "float ratio();"),
    ("sim/world/a.cpp", "using Ms = std::chrono::duration<double, std::milli>;"),
    ("sim/kube/a.cpp", "auto half = 0.5;"),
    ("sim/kube/a.cpp", "auto half = n * 1.;"),
    ("sim/kube/a.cpp", "auto half = n * .5f;"),
    ("core/ports/a.h", "constexpr Bytes kMany{1e6};"),
    ("core/decide/a.cpp", "auto n = 1'000.5;"),
    ("core/decide/a.cpp", "#include <cmath>"),
    ("core/agent/a.h", 'PROBE("rare");'),
    ("sim/world/a.h", 'PROBE_IF(x, "rare");'),
    ("core/decide/a.cpp", 'std::printf("x");'),
    ("core/adapters/kube/a.cpp", 'spdlog::info("x");'),
    ("core/adapters/kube/a.cpp", "std::cerr << 1;"),
    ("core/adapters/kube/a.cpp", "assert(x);"),
    ("core/main/a.cpp", "using namespace std;"),
    ("sim/tests/a_test.cpp", "#define private public"),
])
def test_banned_call_is_found(tree, path, code):
    assert found(tidy.check_bans, tree({path: f"// one\n{code}\n"})) == [(path, 2)]


@pytest.mark.parametrize("path, code", [
    ("core/adapters/posix/clock.cpp", "auto t = std::chrono::steady_clock::now();"),
    ("core/adapters/kube/a.cpp", "std::unordered_map<int, double> m;"),
    ("core/main/a.cpp", "std::cerr << 1;"),
    ("core/base/check.cpp", 'std::fprintf(stderr, "x");'),
    ("core/agent/a.cpp", "// steady_clock is not for us, nor is sleep()"),
    ("core/agent/a.cpp", "/* double\n   float */"),
    ("core/agent/a.cpp", 'log.info("assert( printf rand() double");'),
    ("core/agent/a.cpp", 'auto s = R"(std::cout " rand())";'),
    ("core/agent/a.cpp", "static_assert(sizeof(int) == 4);"),
    ("core/agent/a.cpp", "using namespace std::chrono_literals;"),
    ("core/agent/a.cpp", "constexpr int kMany = 1'000'000; int doubled = 2;"),
    ("core/agent/a.cpp", "auto n = 0x1e5 + 0x1'5eU + n2.e3 + 3U; f(args...); t.get<0>();"),
    ("core/agent/a.cpp", 'auto address = ip("10.1.2.3"); // 1.5'),
    ("core/adapters/http/a.cpp", "auto half = 0.5;"),
    ("core/decide/a.cpp", "std::ranges::sort(views, {}, &View::name);"),
    ("core/decide/a.cpp", 'PROBE("rare"); PROBE_IF(x, "rarer");'),
    ("core/base/probe.h", "#define PROBE(name) PROBE_IF(true, name)"),
    ("core/decide/a.cpp", "std::map<Name, const Node*> m;"),
    ("sim/world/a.h", "explicit World() : random(Prng(seed)), time(0) {}"),
])
def test_what_only_looks_banned_is_fine(tree, path, code):
    assert found(tidy.check_bans, tree({path: code + "\n"})) == []


@pytest.mark.parametrize("code, line", [
    ("void f(Prng& prng) {\n  g(prng.below(3),\n    prng.below(4));\n}", 3),
    ("void f() {\n  g(random_.next(), random_.next());\n}", 2),
    ("void f(Prng& drawn) {\n  g(drawn.next(), drawn.next());\n}", 2),
    ("void f() {\n  x = prng->chance(1, 2) ? prng->between(1, 2) : 3;\n}", 2),
    ("void f() {\n  if (a.chance(1, 2) && a.chance(1, 3)) {\n    g();\n  }\n}", 2),
    ("void f() {\n  x = Y{prng.below(2), prng.below(3)};\n}", 2),
    ("void f() {\n  x = Y{{prng.below(2)}, 1};\n  z = {Y{prng.below(2)}, {prng.next()}};\n}", 3),
    ("void f() {\n  g([&] { return prng.next(); }, prng.next(),\n    prng.next());\n}", 3),
    ("void f() {\n  g(prng.next(), [&](int a) -> int { return 1; },\n    prng.next());\n}", 3),
    ("void f() {\n  g([this] { g(node_prng.next(), prng.below(2)); });\n}", 2),
    ("struct A {\n  int a = 1;\n  int f() const { return prng.next() + prng.next(); }\n};", 3),
])
def test_second_draw_of_an_expression_is_found(tree, code, line):
    files = tree({"sim/world/a.cpp": code, "integration/fidelity/a.cpp": code})
    assert found(tidy.check_draws, files) == [("sim/world/a.cpp", line)]


@pytest.mark.parametrize("code", [
    "void f() {\n  a = prng.next();\n  b = prng.next();\n}",
    "int f() { return prng.next(); }\nint g() const { return prng.next(); }",
    "void f() {\n  g(prng.split(a).next(), prng.split(b).next());\n}",
    "void f() {\n  if (prng.chance(1, 2)) {\n    g(prng.next());\n  } else {\n"
    "    prng.next();\n  }\n}",
    "void f() {\n  while (prng.chance(1, 2)) {\n    g(prng.next());\n  }\n  prng.next();\n}",
    "void f() {\n  for (i = prng.below(3); prng.chance(1, 2); ++i) {\n    prng.next();\n  }\n}",
    "void f() {\n  switch (prng.below(2)) {\n    case 0: g(prng.next()); break;\n"
    "    default: g(prng.next()); break;\n  }\n}",
    "void f() {\n  g(prng.next(), [this] { return prng.next(); });\n}",
    "void f() {\n  g(prng.next(), [a = b[0]](X x) mutable -> std::vector<int> {\n"
    "    return prng.next();\n  });\n}",
    "void f() {\n  x = Y{.a = prng.next(), .b = {1, 2}};\n  z = Y{.a = prng.next()};\n}",
    "void f() {\n  cursor->next();\n  g(cursor.next(), cursor.next(), backoff.next(now, 1));\n}",
    "// prng.next(), prng.next()\nauto s = \"prng.below(1) prng.below(1)\";",
    "A::A() : a_{prng.next()} {\n  prng.next();\n}\nnamespace b {\nint c = prng.next();\n}",
])
def test_one_draw_an_expression_is_fine(tree, code):
    assert found(tidy.check_draws, tree({"sim/world/a.cpp": code})) == []


def test_fourth_file_with_beast_is_found(tree):
    files = tree({f"core/adapters/http/{name}.cpp": "#include <boost/beast/http.hpp>\n"
                  for name in "abcd"})
    assert found(tidy.check_beast, files) == [("core/adapters/http/d.cpp", 1)]


CMAKE = {
    "CMakeLists.txt": "add_subdirectory(core)\n",
    "core/CMakeLists.txt": "add_subdirectory(base)\n# add_subdirectory(model)\n",
    "core/base/CMakeLists.txt": "vxmesh_library(base\n  SOURCES a.cpp  # and b.cpp\n)\n"
                                "vxmesh_test(base_test SUITE unit SOURCES a_test.cpp)\n",
    "core/base/a.cpp": "",
    "core/base/a_test.cpp": "",
}


def test_registered_sources_are_fine(tree):
    assert found(tidy.check_registration, tree(CMAKE)) == []


@pytest.mark.parametrize("extra, where", [
    ({"core/base/b.cpp": ""}, "core/base/b.cpp"),
    ({"core/base/b_test.cpp": ""}, "core/base/b_test.cpp"),
    ({"core/model/CMakeLists.txt": ""}, "core/model/CMakeLists.txt"),
    ({"core/base/CMakeLists.txt": "vxmesh_library(base SOURCES a.cpp a_test.cpp)"},
     "core/base/a_test.cpp"),
    ({"core/CMakeLists.txt": "add_subdirectory(base)\nadd_library(x gone.cpp)"}, "core/gone.cpp"),
])
def test_what_is_not_registered_is_found(tree, extra, where):
    assert found(tidy.check_registration, tree(CMAKE | extra)) == [(where, 1)]


def test_python_test_outside_the_suites_is_found(tree):
    files = tree({"ci/tests/test_a.py": "", "sim/test_b.py": "", "netns-lab/tests/a/test_c.py": ""})
    assert found(tidy.check_pytest_folders, files) == [("sim/test_b.py", 1)]


def test_headers_are_included_and_guarded(tree):
    files = tree({
        "core/base/used.h": GOOD_HEADER,
        "sim/world/used.h": GOOD_HEADER,
        "core/base/dead.h": GOOD_HEADER,
        "core/base/unguarded.h": "// #pragma once, almost\n",
        "core/base/a.cpp": '#include "base/used.h"\n#include "base/unguarded.h"\n'
                           '#include "sim/world/used.h"\n',
    })
    assert found(tidy.check_headers, files) == [
        ("core/base/dead.h", 1), ("core/base/unguarded.h", 1)]


def body(lines: int) -> str:
    return "".join(f"  step({number});\n" for number in range(lines))


LONG_FUNCTIONS = {
    "plain": ("int f() {\n" + body(69) + "}\n", 1),
    "member": ("namespace a {\nclass B {\n public:\n  void f() const noexcept {\n" + body(69)
               + "  }\n};\n}\n", 4),
    "initialisers": ("A::A(int b)\n    : b_{b}, c_{1} {\n" + body(68) + "}\n", 1),
    "test": ("#define X {\nTEST(A, B) {\n" + body(69) + "}\n", 2),
    "braces": ("void f() {\n  if (a) {\n    g({1, 2});\n  }\n  struct S { int x; };\n" + body(65)
               + "}\n", 1),
    "literal": ("void f() {\n  auto s = \"}\"; // }\n  auto t = R\"(\n}\n}\n)\";\n" + body(64)
                + "}\n", 1),
    "parameter": ("void f(struct tm* t, enum E e) {\n" + body(69) + "}\n", 1),
}


@pytest.mark.parametrize("name", LONG_FUNCTIONS)
def test_long_function_is_found(tree, name):
    code, line = LONG_FUNCTIONS[name]
    assert found(tidy.check_function_lengths, tree({"core/base/a.cpp": code})) == [
        ("core/base/a.cpp", line)]


@pytest.mark.parametrize("name", LONG_FUNCTIONS)
def test_function_of_seventy_lines_is_fine(tree, name):
    code = LONG_FUNCTIONS[name][0].replace("  step(0);\n", "", 1)
    assert found(tidy.check_function_lengths, tree({"core/base/a.cpp": code})) == []


def test_long_class_of_short_functions_is_fine(tree):
    code = "class A {\n" + "  void f() {\n    g();\n  }\n" * 40 + "};\n"
    assert found(tidy.check_function_lengths, tree({"core/base/a.h": code})) == []


def test_long_python_function_is_found(tree):
    code = "x = 1\n\n\ndef f():\n" + "    x()\n" * 70
    assert found(tidy.check_function_lengths, tree({"ci/a.py": code})) == [("ci/a.py", 4)]
    assert found(tidy.check_function_lengths, tree({"ci/a.py": code[:-8]})) == []


def test_long_lines_and_marks_are_found(tree):
    mark = "TO" + "DO"
    files = tree({
        "core/base/a.h": "x" * 100 + "\n" + "x" * 101 + "\n",
        "ci/run": "#!/bin/bash\n# " + "x" * 99 + "\n",
        "README.md": "x" * 200 + "\n",
        "core/docs/a.md": f"one\n{mark}: two\n",
        "netns-lab/a.sh": "mktemp -d /tmp/x.XXXXXX\n",
        "LICENSE": f"{mark}\n",
    })
    assert found(tidy.check_lines, files) == [
        ("ci/run", 2), ("core/base/a.h", 2), ("core/docs/a.md", 2)]


def test_unformatted_file_is_found(tree):
    style = "BasedOnStyle: Google\nColumnLimit: 100\n"
    files = tree({".clang-format": style, "core/base/a.cpp": "int x = 1;\n",
                  "core/base/b.cpp": "int x = 1;\nint  y=2;\n"})
    assert found(tidy.check_format, files) == [("core/base/b.cpp", 2)]


def compiled(tree, files: dict[str, str]) -> tuple[tidy.Tree, pathlib.Path]:
    """A tree with a compile database of its .cpp files, and clang-tidy looking for one thing."""
    made = tree(files | {".clang-tidy": "Checks: '-*,modernize-use-override'\n"
                                        "WarningsAsErrors: '*'\nHeaderFilterRegex: '.*'\n"})
    entries = [{"directory": str(made.root), "file": str(made.root / path),
                "command": f"g++ -std=c++20 -Icore -Wno-maybe-uninitialized -c {path}"}
               for path in files if path.endswith(".cpp")]
    (made.root / "compile_commands.json").write_text(json.dumps(entries))
    return made, made.root


OVERRIDE = "struct A { virtual void f(); };\nstruct B : A { void f(); };\n"


def test_clang_tidy_looks_at_what_changed(tree):
    files, build = compiled(tree, {"core/base/a.cpp": OVERRIDE, "core/base/b.cpp": OVERRIDE})
    assert found(lambda t: tidy.check_clang_tidy(t, build, {"core/base/b.cpp"}), files) == [
        ("core/base/b.cpp", 2)]
    assert found(lambda t: tidy.check_clang_tidy(t, build, set()), files) == []
    assert found(lambda t: tidy.check_clang_tidy(t, build, None), files) == [
        ("core/base/a.cpp", 2), ("core/base/b.cpp", 2)]


def test_clang_tidy_looks_at_a_changed_header(tree):
    files, build = compiled(tree, {"core/base/a.h": "#pragma once\n" + OVERRIDE,
                                   "core/base/user.cpp": '#include "base/a.h"\n'})
    assert found(lambda t: tidy.check_clang_tidy(t, build, {"core/base/a.h"}), files) == [
        ("core/base/a.h", 3)]


def test_clang_tidy_that_cannot_work_is_no_success(tree, tmp_path):
    files = tree({"core/base/a.cpp": OVERRIDE})
    assert found(lambda t: tidy.check_clang_tidy(t, tmp_path, None), files) == [("ci/tidy.py", 1)]
    files, build = compiled(tree, {"core/base/a.cpp": '#include "base/gone.h"\n'})
    assert found(lambda t: tidy.check_clang_tidy(t, build, None), files) == [("core/base/a.cpp", 1)]


def test_changed_files_are_those_since_the_revision_and_in_the_work_tree(tree):
    root = tree({"a.cpp": "1\n", "b.cpp": "1\n", "c.cpp": "1\n"}).root
    git = ["git", "-C", root, "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    assert not tidy.has_parent(root)
    (root / "b.cpp").write_text("2\n")
    subprocess.run([*git, "commit", "--quiet", "--all", "-m", "two"], check=True)
    (root / "c.cpp").write_text("2\n")
    (root / "d.cpp").write_text("1\n")
    files = tidy.Tree.of_git(root)
    assert tidy.has_parent(root)
    assert files.paths == ["a.cpp", "b.cpp", "c.cpp", "d.cpp"]
    assert tidy.changed_since(files, "HEAD~1") == {"b.cpp", "c.cpp", "d.cpp"}
    assert tidy.changed_since(files, "HEAD") == {"c.cpp", "d.cpp"}
