"""Copies of backups outside the cluster, in a store that speaks S3, as docs/operations.md makes them."""

import gzip
import os
import shutil
import subprocess

import pytest
from moto.server import ThreadedMotoServer

from docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "operations.md"
ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def commands(word):
    """The block of the page that has a word."""
    [found] = [block.commands for block in blocks(PAGE) if word in block.commands]
    return found


@pytest.fixture(scope="module")
def rclone():
    """The folder of rclone, which is unpacked into .cache where it is not installed."""
    if found := shutil.which("rclone"):
        return os.path.dirname(found)
    folder = ROOT / ".cache" / "rclone"
    if not (folder / "usr" / "bin" / "rclone").exists():
        subprocess.run([ROOT / "demo" / "unpack", folder, "rclone"], check=True)
    return str(folder / "usr" / "bin")


def test_backups_are_copied_to_a_store_that_speaks_s3(rclone, tmp_path):
    names = [f"userdb-2026112{day}T031700Z-{day}.sql.gz" for day in range(1, 4)]
    (tmp_path / "backups").mkdir()
    for name in names:
        (tmp_path / "backups" / name).write_bytes(gzip.compress(name.encode()))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        _, port = server.get_host_and_port()
        store = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": f"http://127.0.0.1:{port}",
                 "REGION": "us-east-1"}  # fmt: skip
        environment = {f"RCLONE_CONFIG_STORE_{key}": value for key, value in store.items()} | ACCESS
        environment |= {"PATH": f"{rclone}:{os.environ['PATH']}", "HOME": str(tmp_path), "RCLONE_RETRIES": "1"}

        def run(command, fails=False):
            done = subprocess.run(
                ["bash", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert bool(done.returncode) is fails, done.stdout + done.stderr
            return done.stdout

        run("rclone mkdir store:mysql-backups")
        run(commands("rclone copy"))
        assert sorted(run("rclone lsf store:mysql-backups/userdb").split()) == names
        # Again: nothing to do. A file that has changed here is not taken for the backup.
        run(commands("rclone copy"))
        (tmp_path / "backups" / names[0]).write_bytes(b"something else")
        run(commands("rclone copy"), fails=True)
        assert run(f"rclone cat store:mysql-backups/userdb/{names[0]} | gzip -d") == names[0]
    finally:
        server.stop()
