"""A pod of the CronJob mysql-backup, beside a running demo: the manifest's scripts in their own container."""

import os
import subprocess
from pathlib import Path

import yaml

from running_demo import PROJECT

FOLDERS = ("backup", "scratch", "tmp", "scripts", "secret", "config", "key", "tls")


class BackupPod:
    """Runs scripts of kubernetes/mysql-backup.yaml in the demo's network, as a pod would.

    `folder`/backup is the volume of the backups.
    """

    def __init__(self, demo, folder):
        self.demo, self.folder = demo, Path(folder)
        items = {}
        for file in ("mysql-statefulset.yaml", "mysql-backup.yaml"):
            for item in yaml.safe_load_all((PROJECT / "kubernetes" / file).read_text()):
                items[item["kind"], item["metadata"]["name"]] = item
        files = {f"scripts/{key}": text for key, text in items["ConfigMap", "mysql-backup"]["data"].items()}
        files |= {f"secret/{key}": text for key, text in items["Secret", "mysql"]["stringData"].items()}
        files["config/mysql.cnf"] = items["ConfigMap", "mysql"]["data"]["mysql.cnf"]
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        for name, text in files.items():
            # A container of the demo has no file for its last words.
            (self.folder / name).write_text(text.replace("/dev/termination-log", "/tmp/said"))
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, 999, 999)

    def command(self, *command, host="mysql-1.mysql"):
        """The command line that runs a command in the pod."""
        demo = (self.demo.folder / "pid").read_text().strip()
        inside = ["nsenter", f"--target={demo}", "--mount", "--net", "--pid"]
        isolated = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child"]
        mounts = [f"{self.folder / name}:/{name}" for name in FOLDERS]
        container = ["sh", str(PROJECT / "demo" / "container.sh"), "mysql-backup-0", "999", *mounts, "--"]
        return [*inside, *isolated, *container, "env", f"HOST={host}", *command]

    def run(self, *command, host="mysql-1.mysql", fails=False):
        """Run it in a new pod and return what it printed; AssertionError unless it succeeds (or fails)."""
        for name in ("scratch", "tmp"):
            subprocess.run(["find", self.folder / name, "-mindepth", "1", "-delete"], check=True)
        done = subprocess.run(
            self.command(*command, host=host), cwd="/", capture_output=True, text=True, timeout=240,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def backups(self):
        """The names of the backups, in alphabetical order."""
        return sorted(path.name for path in (self.folder / "backup").glob("userdb-*"))
