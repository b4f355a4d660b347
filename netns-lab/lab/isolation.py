"""Private namespaces: what runs inside cannot outlive them, nor be seen from outside."""

import ctypes
import os
import signal
import sys
import traceback
from typing import Callable

from lab.errors import Interrupted, MissingCapability

# linux/sched.h, linux/prctl.h, linux/mount.h
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
MS_REC = 16384
MS_PRIVATE = 1 << 18

FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise MissingCapability(f"cannot create namespaces (CAP_SYS_ADMIN): {reason}")


def _mount(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    kind_bytes = kind.encode() if kind else None
    if _libc.mount(source.encode(), target.encode(), kind_bytes, flags, None) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise MissingCapability(f"cannot mount {kind or 'privately'} on {target}: {reason}")


def _private_mounts() -> None:
    """Gives the new namespaces their own /proc, /sys and /run; nothing propagates outside."""
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    _mount("sysfs", "/sys", "sysfs")
    _mount("tmpfs", "/run", "tmpfs")


def _child(body: Callable[[int], int]) -> int:
    """Runs as process 1 of the new process namespace: its end is the end of all others there."""

    def interrupt(number: int, _frame: object) -> None:
        for each in FORWARDED_SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # one is enough; what follows is the clean-up
        raise Interrupted(number)

    try:
        os.setsid()  # a terminal's Ctrl-C reaches the parent only, which forwards it
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for each in FORWARDED_SIGNALS:
            signal.signal(each, interrupt)
        pid_outside = int(os.readlink("/proc/self"))  # the old /proc still knows
        _private_mounts()
        return body(pid_outside)
    except Interrupted as interrupted:
        print(f"vxmesh-lab: ended by {interrupted}", file=sys.stderr)
        return 128 + interrupted.signal_number
    except MissingCapability as missing:
        print(f"vxmesh-lab: {missing}", file=sys.stderr)
        return 4
    except BaseException:  # process 1 must not unwind into its parent's stack
        traceback.print_exc()
        return 1


def run_isolated(body: Callable[[int], int]) -> int:
    """Runs `body` in private network, mount and process namespaces and returns its exit status.

    `body` is given the process id by which the host knows the first process of the namespaces.
    Whatever `body` starts is gone when this returns, also if this process is killed. A signal is
    forwarded to `body` as Interrupted; a second one kills it. Raises MissingCapability.
    """
    if os.geteuid() != 0:
        raise MissingCapability("must be root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
    _unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = _child(body)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    signalled = False

    def forward(number: int, _frame: object) -> None:
        nonlocal signalled
        os.kill(child, signal.SIGKILL if signalled else number)
        signalled = True

    for each in FORWARDED_SIGNALS:
        signal.signal(each, forward)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
