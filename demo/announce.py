"""Print when both pages answer, and what to try. Until then, print which parts are not ready.

    announce.py FOLDER MANIFESTS REPLICAS

Ends with status 1, which ends the demo, if the disk is full before that. Otherwise it never ends.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from kubelet import PROJECT, is_ready
from manifests import Manifests

LOWEST_SPACE = 64 << 20  # bytes, less than MySQL needs for one new file


def main(folder, manifests, replicas):
    """Wait until everything is ready, print what to try, and keep running."""
    pods = Manifests(manifests, int(replicas)).pods
    started = time.monotonic()
    told = started
    while waiting := [pod.name for pod in pods if not is_ready(pod)]:
        if shutil.disk_usage(folder).free < LOWEST_SPACE:
            sys.exit(f"The disk is full: free some space for {folder}, then run make demo again.")
        if time.monotonic() - told > 5:
            told = time.monotonic()
            print(f"waiting for {', '.join(waiting)} to be ready ({told - started:.0f} s) ...", flush=True)
        time.sleep(0.2)
    write, read = (f"http://localhost:{os.environ[name]}" for name in ("WRITE_PORT", "READ_PORT"))
    exec_ = f"demo/exec{'' if Path(folder) == PROJECT / '.demo' else f' --folder {folder}'}"
    print(
        f"""
Everything is up after {time.monotonic() - started:.0f} s.

  register a user    {write}
  read               {read}

To try, in another terminal:

  curl {read}/mysql-pod
      again and again: the MySQL pods answer in turn
  {exec_} mysql-1 mysql -u root --vertical -e 'SHOW REPLICA STATUS'
      what kubectl exec does in a cluster
  {exec_} mysql-1 bash -c 'kill -9 $(cat /var/run/mysqld/mysqld.pid)'
      one server dies and comes back, the pages go on

Ctrl-C stops all of it and keeps the data. To delete it: make demo-clean
""",
        flush=True,
    )
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
