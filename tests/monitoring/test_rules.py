"""The alert rules, run by promtool on series written by hand in the shape that the apps have.

The shapes follow read-app/topology.py: a pod that is silent has mysql_ready 0 and no other series; one without a DNS
record has no series.
"""

import json
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PRIMARY = {"ready": 1, "read_only": 0, "semi_sync_source_on": 1}
REPLICA = {
    "ready": 1,
    "read_only": 1,
    "replica_receiver_running": 1,
    "replica_applier_running": 1,
    "replica_lag_seconds": 0,
}
SILENT = {"ready": 0}
STOPPED = {"ready": 0, "read_only": 1, "replica_receiver_running": 1, "replica_applier_running": 0}
HEALTHY = [PRIMARY, REPLICA, REPLICA]
APP = {'app_build_info{app="read-app"}': "1x30"}
CASES = {
    "healthy": (HEALTHY, {}, set()),
    "all silent": ([SILENT] * 3, {}, {"MySQLAllPodsDown", "MySQLNoPrimary", "MySQLPodNotHealthy"}),
    "all gone": ([], {}, {"MySQLAllPodsDown", "MySQLNoPrimary"}),
    "primary": ([SILENT, REPLICA, REPLICA], {}, {"MySQLNoPrimary", "MySQLPodNotHealthy"}),
    "one of three": ([PRIMARY, REPLICA, SILENT], {}, {"MySQLPodNotHealthy"}),
    "one of three has no address": (HEALTHY[:2], {
        'kube_statefulset_replicas{statefulset="mysql"}': "3x30",
        'kube_statefulset_status_replicas_ready{statefulset="mysql"}': "2x30"}, {"MySQLPodMissing"}),
    "stopped": ([PRIMARY, STOPPED, REPLICA], {},
                {"MySQLPodNotHealthy", "MySQLReplicationStopped", "MySQLReplicaLagUnknown"}),
    "diverged": ([PRIMARY, REPLICA | {"ready": 0}, REPLICA], {}, {"MySQLPodNotHealthy"}),
    "certificate": ([PRIMARY | {"certificate_expiry_timestamp_seconds": 13 * 86400}, REPLICA], {},
                    {"CertificateExpires"}),
    "lagging": ([PRIMARY, REPLICA | {"replica_lag_seconds": 31}], {}, {"MySQLReplicaLagging"}),
    "semi-sync off": ([PRIMARY | {"semi_sync_source_on": 0}, REPLICA], {}, {"MySQLSemiSyncOff"}),
    "unreplicated": (HEALTHY, {'users_registered_total{replicated="false"}': "0+1x30"}, {"WritesUnreplicated"}),
    "writes fail": (HEALTHY, {'http_request_duration_seconds_count{route="submit",status="503"}': "0+1x30"},
                    {"WritesFail"}),
    "slow": (HEALTHY, {'http_request_duration_seconds_bucket{route="users",le="1"}': "0x30",
                       'http_request_duration_seconds_bucket{route="users",le="2"}': "0+60x30",
                       'http_request_duration_seconds_bucket{route="users",le="+Inf"}': "0+60x30"}, {"AnswersSlow"}),
    "volume": (HEALTHY, {'kubelet_volume_stats_available_bytes{persistentvolumeclaim="data-mysql-1"}': "19x30",
                         'kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="data-mysql-1"}': "100x30"},
               {"VolumeAlmostFull"}),
    "backup": (HEALTHY, {'kube_cronjob_status_last_successful_time{cronjob="mysql-backup"}': "-129600x30"},
               {"BackupTooOld"}),
}  # fmt: skip


@pytest.fixture(scope="session")
def promtool():
    """promtool from Debian's package, unpacked and not installed."""
    folder = PROJECT / ".cache" / "prometheus"
    program = folder / "usr" / "bin" / "promtool"
    if not program.exists():
        subprocess.run([PROJECT / "demo" / "unpack", folder, "prometheus"], check=True, cwd=PROJECT)
    return program


def check(promtool, tmp_path, pods, more, expected):
    """Let promtool compare the alerts that fire after 15 minutes with those expected."""
    series = {f'mysql_{name}{{mysql_pod="mysql-{number}"}}': f"{value}x30"
              for number, pod in enumerate(pods) for name, value in pod.items()} | more  # fmt: skip
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0', "eval_time": "15m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]}],
    }  # fmt: skip
    file = tmp_path / "test.yaml"
    rules = str(PROJECT / "monitoring" / "rules.yaml")
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_exactly_these_alerts_fire(promtool, tmp_path, case):
    pods, more, expected = CASES[case]
    check(promtool, tmp_path, pods, APP | more, expected)


def test_read_app_away(promtool, tmp_path):
    check(promtool, tmp_path, [], {}, {"ReadAppAway"})
