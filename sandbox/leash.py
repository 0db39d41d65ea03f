"""What every child of the sandbox runs first: ties it to its parent's life, then becomes the real program.

Started as `python -I -S leash.py PARENT SIGNAL USER PROGRAM [ARGUMENT...]`, so it imports nothing of ours and costs
about ten milliseconds. An exec of its own instead of `preexec_fn`, because Python code between fork and exec may
deadlock. Linux only in its effect: elsewhere the child is not tied, and only `banyan down` ends it.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1
ORPHANED = 113


def main(parent: int, death_signal: int, user: str, argv: list[str]) -> None:
    """Replaces this process by `argv`; exits with 113 when the parent has gone meanwhile."""
    if user:
        become(user)  # before prctl: a change of user clears the death signal
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(ORPHANED)
    # `make up &` starts its children with SIGINT ignored, and PostgreSQL is stopped with SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point


def become(user: str) -> None:
    """Drop root for `user`, groups first."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
