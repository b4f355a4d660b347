"""The command line of vxmesh-lab."""

import argparse
import dataclasses
import difflib
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import traceback
from typing import NoReturn, Optional

from lab import capabilities
from lab.errors import Interrupted, LabError, MissingCapability
from lab.isolation import run_isolated
from lab.report import Report

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_PROGRAMS = ROOT / "build" / "release" / "bin"
PROGRAMS = ("vxmesh-agent", "vxmesh-fakekube")

LONGEST_S = 3600

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CAPABILITY = 0, 1, 2, 4

DESCRIPTION = """\
Runs vxmesh's real programs on the real kernel: nodes, pods and an API in network namespaces
of their own. Nothing of the host is changed, and nothing is left behind."""

EXAMPLES = """\
examples:
  vxmesh-lab demo                      bring up three nodes, check everything, tear down
  vxmesh-lab demo --json > demo.json   the same, for programs
  vxmesh-lab demo --keep-logs /tmp/l   and keep what every program wrote
  vxmesh-lab up                        three nodes, until Ctrl-C
  vxmesh-lab doctor                    what this machine has of what a lab needs

exit status: 0 all passed, 1 something failed, 2 usage, 4 a capability is missing"""


class Parser(argparse.ArgumentParser):
    """Refuses what it does not know with the nearest that it does."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"vxmesh-lab: {message}; see vxmesh-lab --help\n")

    def refuse(self, unknown: str, known: list[str]) -> NoReturn:
        near = difflib.get_close_matches(unknown.split("=")[0], known, n=1, cutoff=0.4)
        self.error(f"unknown argument {unknown}" + (f", did you mean {near[0]}?" if near else ""))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {LONGEST_S}")
    return value


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="vxmesh-lab",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=form,
        allow_abbrev=False,
    )
    parser.add_argument("verb", nargs="?", metavar="VERB", help="demo, up or doctor")
    verbs = {
        name: Parser(
            prog=f"vxmesh-lab {name}", description=about, formatter_class=form, allow_abbrev=False
        )
        for name, about in {
            "demo": "Brings up three nodes, checks everything on them and tears them down.",
            "up": "Brings up three nodes and holds them until Ctrl-C.",
            "doctor": "Says what this machine has of what a lab needs.",
        }.items()
    }
    for name in ("demo", "up"):
        verbs[name].add_argument(
            "--bin",
            type=pathlib.Path,
            default=DEFAULT_PROGRAMS,
            metavar="DIR",
            help="where the programs are (default: build/release/bin)",
        )
        verbs[name].add_argument(
            "--keep-logs", type=pathlib.Path, metavar="DIR", help="write the logs there, keep them"
        )
    demo = verbs["demo"]
    demo.add_argument("--json", action="store_true", help="only the result, as JSON, on stdout")
    demo.add_argument(
        "--dead-for",
        type=_seconds,
        default=20,
        metavar="SECONDS",
        help="how long the killed agent stays dead (default: 20)",
    )
    demo.add_argument(
        "--crowd",
        action="store_true",
        help="meanwhile fill the host's neighbour table beyond gc_thresh1, and show that a"
        " plain NOARP neighbour dies (wants --dead-for 150)",
    )
    return parser, verbs


def parse(arguments: list[str]) -> argparse.Namespace:
    parser, verbs = _parsers()
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help()
        sys.exit(EXIT_OK if arguments else EXIT_USAGE)
    verb = arguments[0]
    if verb not in verbs:
        parser.refuse(verb, list(verbs) + ["--help"])
    options, unknown = verbs[verb].parse_known_args(arguments[1:])
    if unknown:
        verbs[verb].refuse(unknown[0], list(verbs[verb]._option_string_actions))
    options.verb = verb
    return options


def require_programs(folder: pathlib.Path) -> pathlib.Path:
    """The folder, made absolute; ends the program with status 2 if one is not there."""
    for program in PROGRAMS:
        if not (folder / program).is_file():
            print(f"vxmesh-lab: no {program} in {folder}; build it, or use --bin", file=sys.stderr)
            sys.exit(EXIT_USAGE)
    return folder.resolve()


# ----------------------------------------------------------------------------------------- verbs


def run_demo(options: argparse.Namespace, logs: pathlib.Path) -> int:
    """The demonstration, inside private namespaces."""
    from lab.demo import Demo  # needs Mininet, which may not be installed
    from lab.lab import Lab

    report = Report(sys.stderr if options.json else sys.stdout)
    lab = Lab(options.bin, logs)
    try:
        Demo(lab, report, options.dead_for, options.crowd).run()
    except LabError as error:
        report.require("the lab itself works", False, error, "no such error")
    except MissingCapability:
        raise  # not the overlay's failure
    except Exception:
        report.require("the lab itself works", False, traceback.format_exc(), "no exception")
    finally:
        if report.failed:
            lab.keep_state()
        lab.stop()
    if options.json:
        print(as_json(report))
    if report.failed:
        report.line(f"\nfailed: {', '.join(check.name for check in report.failed)}")
        report.line(f"logs: {logs}")
    report.line(f"\n{report.verdict('demo')}")
    return EXIT_FAILED if report.failed else EXIT_OK


def as_json(report: Report) -> str:
    checks = [
        {"name": c.name, "passed": c.passed, "was": c.was, "wanted": c.wanted, "note": c.note}
        for c in report.checks
    ]
    result = {
        "passed": len(report.checks) - len(report.failed),
        "failed": len(report.failed),
        "checks": checks,
        "figures": report.figures,
    }
    plain = lambda value: (  # noqa: E731
        dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)
    )
    return json.dumps(result, indent=2, default=plain)


def run_up(options: argparse.Namespace, logs: pathlib.Path, pid_outside: int) -> int:
    """Three nodes until a signal comes, inside private namespaces."""
    from lab.demo import FIRST_MEMBERS, NODES
    from lab.lab import Lab

    lab = Lab(options.bin, logs)
    try:
        lab.start([spec for spec in NODES if spec.name in FIRST_MEMBERS])
        for node in lab.nodes.values():
            lab.join(node)
        for node in lab.nodes.values():
            lab.await_ready(node)
        print(f"up: API {lab.api_url}, logs {logs}; Ctrl-C ends it. Shells, from elsewhere:")
        enter = f"nsenter --target {pid_outside} --mount --pid mnexec -a"
        for host in lab.topology.hosts():
            print(f"  {host.name:>4}  {enter} {host.pid} bash", flush=True)
        signal.pause()
    except LabError as error:
        print(f"vxmesh-lab: {error}\nlogs: {logs}", file=sys.stderr)
        return EXIT_FAILED
    except Interrupted:
        print("down")
    finally:
        lab.stop()
    return EXIT_OK


def main(arguments: Optional[list[str]] = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        capabilities.require_tools()
        if options.verb == "doctor":
            return run_isolated(capabilities.doctor)
        options.bin = require_programs(options.bin)
        return run_with_logs(options)
    except MissingCapability as missing:
        print(f"vxmesh-lab: {missing}", file=sys.stderr)
        return EXIT_CAPABILITY


def run_with_logs(options: argparse.Namespace) -> int:
    """Logs stay where they are if they were asked for, or if something failed."""
    if options.keep_logs:
        logs = options.keep_logs.resolve()
        logs.mkdir(parents=True, exist_ok=True)
    else:
        logs = pathlib.Path(tempfile.mkdtemp(prefix="vxmesh-lab-"))

    def body(pid_outside: int) -> int:
        if options.verb == "up":
            return run_up(options, logs, pid_outside)
        return run_demo(options, logs)

    status = EXIT_CAPABILITY
    try:
        status = run_isolated(body)
    finally:
        if not options.keep_logs and status != EXIT_FAILED:
            shutil.rmtree(logs, ignore_errors=True)
    return status
