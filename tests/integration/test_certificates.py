"""A renewed Secret mysql-tls is used without a restart, and one that cannot be used changes nothing."""

import shutil
import subprocess

import pytest
import yaml

from running_demo import PROJECT, Demo, wait_until, why_not_here

NAMES = "subjectAltName=DNS:mysql-read,DNS:mysql-0.mysql,DNS:mysql-1.mysql"


def authority(folder):
    """Make a certificate authority in `folder`: ca.key and ca.crt."""
    openssl(folder, "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ours -days 3650"
                    " -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.crt")  # fmt: skip


def sign(folder, days):
    """Make a certificate that is valid for `days`; the files of the Secret by name."""
    openssl(folder, "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mysql -keyout tls.key -out csr")
    (folder / "extensions").write_text(f"{NAMES}\nauthorityKeyIdentifier=keyid\n")
    openssl(folder, f"x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -out tls.crt"
                    " -extfile extensions")  # fmt: skip
    return {name: (folder / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")}


def openssl(folder, arguments):
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def demo(tmp_path):
    """A demo with a Secret mysql-tls, whose certificate is valid for ten days."""
    if reason := why_not_here():
        pytest.skip(reason)
    shutil.copytree(PROJECT / "kubernetes", tmp_path / "kubernetes")
    authority(tmp_path)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mysql-tls"}, "stringData": sign(tmp_path, 10)}
    with (tmp_path / "kubernetes" / "mysql-statefulset.yaml").open("a") as file:
        file.write("---\n" + yaml.safe_dump(secret))
    demo = Demo(manifests=tmp_path / "kubernetes")
    try:
        yield demo.wait_until_up()
    finally:
        demo.close()


def renew(demo, server, files):
    """Put other files into the volume of the Secret, as the kubelet does."""
    process = (demo.folder / "pid").read_text().strip()
    for name, text in files.items():
        command = ["nsenter", f"--target={process}", "--mount", "tee", f"/run/demo/pods/mysql-{server}/tls/{name}"]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)


def days_left(demo, server):
    query = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Ssl_server_not_after'"
    command = f'echo $((($(date -d "$(mysql -u root -Ne "{query}")" +%s) - $(date +%s)) / 86400))'
    return int(demo.exec(f"mysql-{server}", "bash", "-c", command))


def test_a_renewed_certificate_is_used_without_a_restart(demo, tmp_path):
    started = [demo.sql(server, "SHOW STATUS LIKE 'Uptime'") for server in (0, 1)]
    gtids = demo.sql(1, "SELECT @@gtid_executed")
    assert days_left(demo, 1) == 9
    renewed = sign(tmp_path, 30)
    for server in (0, 1):
        renew(demo, server, renewed)
        wait_until(lambda server=server: days_left(demo, server) == 29, 60, "the certificate was not used")
    # Nothing was restarted, nothing is in the binary log of the replica, and the replica goes on.
    assert all(int(demo.sql(n, "SHOW STATUS LIKE 'Uptime'")[0][1]) >= int(started[n][0][1]) for n in (0, 1))
    assert demo.sql(1, "SELECT @@gtid_executed") == gtids
    # A key that does not fit is refused.
    renew(demo, 1, {"tls.key": "no key"})
    wait_until(lambda: "cannot be used, the server keeps its certificate" in demo.log.read_text(), 60, "not refused")
    assert days_left(demo, 1) == 29
