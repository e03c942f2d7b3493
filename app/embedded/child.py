"""Becomes a server: run as a program of its own, between the launcher's fork and the server's exec.

Dropping privileges and asking for a signal at the parent's death must happen in the child, and Python's `preexec_fn`
may deadlock in a process with threads. Imports nothing of ours.

Arguments: parent's pid, user id or -1, group id or -1, folder to work in (a descriptor), signal, command.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, user, group, folder, death_signal = (int(value) for value in sys.argv[1:6])
    command = sys.argv[6:]
    # Through the descriptor, because the folders above may be closed to the user that we are about to become.
    os.fchdir(folder)
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    os.umask(0o077)
    if sys.platform == "linux":
        # After setuid, which clears it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("the launcher is gone")
    os.execv(command[0], command)  # noqa: S606 - the launcher names the binary


if __name__ == "__main__":
    main()
