"""Certificates of one's own, as docs/operations.md says, in a running deployment: from then on servers are verified."""

import subprocess

import pytest

from docs.pages import ROOT, blocks, current_namespace
from e2e.cluster import Deployment, eventually


@pytest.mark.timeout(900)
def test_own_authority_in_a_running_deployment(tmp_path):
    deployment = Deployment("tls")

    def verified() -> bool:
        status = deployment.sql("mysql-1", "SELECT SSL_CA_FILE, SSL_VERIFY_SERVER_CERTIFICATE FROM"
                                " performance_schema.replication_connection_configuration")  # fmt: skip
        return status == [["/tls/ca.crt", "YES"]] and deployment.write()["replicated"]

    try:
        deployment.apply()
        deployment.wait_ready()
        eventually(lambda: deployment.write()["replicated"])
        [commands] = [
            block.commands for block in blocks(ROOT / "docs" / "operations.md") if "openssl" in block.commands
        ]
        with current_namespace(deployment.namespace, tmp_path / "kubeconfig"):
            # (In a temporary folder: the keys must not stay in the repository.)
            subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, timeout=400)
        deployment.wait_ready()
        eventually(verified, 90)

        # A new volume is copied from a verified donor; the apps verify names and certificates, and reach every pod.
        deployment.kubectl("delete", "pvc/data-mysql-1", "pod/mysql-1", "--wait=false")
        eventually(lambda: deployment.in_mysql_read() == {"mysql-0"}, 60)
        eventually(lambda: deployment.in_mysql_read() == {"mysql-0", "mysql-1"} and verified(), 120)
        for app in ("write-app", "read-app"):  # docs/operations.md has set DB_TLS=verify
            checks = "import settings; print(settings.TLS.verify_mode.name, settings.TLS.check_hostname)"
            said = deployment.kubectl("exec", f"deployment/{app}", "-c", app, "--", "python", "-c", checks)
            assert said.split()[-2:] == ["CERT_REQUIRED", "True"]  # after the line that logs the mode
        seen = {deployment.get("/mysql-pod").json()["mysql_pod"] for _ in range(40)}
        assert seen == {"mysql-0", "mysql-1"}
        assert all(pod["role"] for pod in deployment.get("/topology").json()["pods"])
    finally:
        deployment.remove()
