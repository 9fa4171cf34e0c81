"""The command lines that start a container, and that run a command in one."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A container has its own host name, mounts and process numbers. It ends with the process that waits for it.
ISOLATED = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child"]


def in_image(name, uid, mounts, command):
    """A command in the file system that holds MySQL and HAProxy; mounts is {folder: path inside}.

    It needs new mount and UTS namespaces.
    """
    pairs = [f"{source}:{target}" for source, target in mounts.items()]
    return ["sh", str(HERE / "container.sh"), name, str(uid), *pairs, "--", *command]


def in_tree(name, uid, command):
    """A command in this machine's file system: an app runs from the working tree with the virtual environment.

    Its user may read everything, because the tree may be in a folder like /root that other users cannot enter.
    """
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    hostname = 'echo "$0" >/proc/sys/kernel/hostname && exec "$@"'
    return ["sh", "-c", hostname, name, "setpriv", *user, *rights, *command]


def inside(pid, uid, command):
    """Runs a command in the container whose first process is `pid`, like kubectl exec."""
    enter = ["nsenter", f"--target={pid}", "--mount", "--uts", "--pid", "--root", "--wd"]
    return [*enter, "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]


def first_process(pid):
    """The process id of the container that the `unshare` process `pid` started; 0 if there is none (yet)."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (OSError, IndexError):
        return 0


def environment(extra):
    """A container's environment: nothing of this machine's, except where programs are found (PATH)."""
    return {
        "PATH": f"{os.environ['VIRTUAL_ENV']}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    } | extra
