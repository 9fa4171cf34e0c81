"""The lesson failover: which pod may start a group. `join` of its ConfigMap, with answers of other pods that are given.

A set of transactions is written as "g:1-7" here, an empty one as "". The other tests of the lesson are in tests/e2e.
"""

import subprocess

import pytest
import yaml

from docs.pages import ROOT

MANIFEST = ROOT / "kubernetes" / "lessons" / "failover" / "mysql-gr.yaml"

# ask N answers with line N of the file `answers`: a state and a set, or nothing. sql compares sets, and says what it is
# told to do to the group.
STAND_INS = r"""
set -euo pipefail
ask() {
  case $2 in
    *replication_group_members*MEMBER_HOST*) sed -n "$(($1 + 1))p" still-a-member ;;
    *) line=$(sed -n "$(($1 + 1))p" answers); [ -n "$line" ] && echo "$line" ;;
  esac
}
last() { local set=${1%,}; echo "${set##*-}"; }
sql() {
  case $1 in
    *GTID_SUBSET*)
      [[ $1 =~ GTID_SUBSET\(\'(.*)\',\ \'(.*)\'\),\ GTID_SUBSET ]]
      theirs=$(last "${BASH_REMATCH[1]}") mine=$(last "${BASH_REMATCH[2]}")
      echo "$((${theirs:-0} <= ${mine:-0}))$((${mine:-0} <= ${theirs:-0}))" ;;
    *"bootstrap_group = ON"*) echo "starts" >>done ;;
    *"START GROUP_REPLICATION"*) echo "joins $(grep -oE 'mysql-gr-[0-9]+' <<<"$1" | head -n 1)" >>done
      ! grep -q 'clone_threshold = 1;' <<<"$1" || echo "by copying" >>done ;;
  esac
}
say() { :; }
"""


def what_it_does(tmp_path, pod, pods, still_a_member=(), change=None):
    """What pod number `pod` does. `pods`: of each pod "OFFLINE g:1-7", "" if it does not answer; `pod`'s own, too."""
    [config_map] = [item for item in yaml.safe_load_all(MANIFEST.read_text()) if item["kind"] == "ConfigMap"]
    script = config_map["data"]["tend.sh"].replace("</scripts/members", f"<{tmp_path}/members")
    if change:
        assert change[0] in script
        script = script.replace(*change)
    pods = [answer and f"{answer}," for answer in pods]  # as the report has it: executed, received
    (tmp_path / "tend.sh").write_text(script)
    (tmp_path / "members").write_text("3")
    (tmp_path / "answers").write_text("\n".join(pods) + "\n")
    (tmp_path / "still-a-member").write_text("".join(f"{int(n in still_a_member)}\n" for n in range(len(pods))))
    (tmp_path / "done").write_text("")
    mine = pods[pod].split(" ")[1]
    command = f". ./tend.sh\n{STAND_INS}\nHOSTNAME=mysql-gr-{pod} ordinal={pod} member=password mine={mine}\njoin"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=20)
    return (tmp_path / "done").read_text().replace("\n", " ").strip() or "waits"


OLD, NEWER = "OFFLINE g:1-7", "OFFLINE g:1-9"
CASES = [
    # all are new
    (0, ["OFFLINE ", "OFFLINE ", "OFFLINE "], "starts"),
    (1, ["OFFLINE ", "OFFLINE ", "OFFLINE "], "waits"),
    (0, ["OFFLINE ", "OFFLINE ", ""], "waits"),  # the one that does not answer may have data
    # all have data
    (0, [OLD, OLD, OLD], "starts"),
    (1, [OLD, OLD, OLD], "waits"),
    (0, [OLD, NEWER, OLD], "waits"),
    (1, [OLD, NEWER, OLD], "starts"),
    (2, [OLD, OLD, NEWER], "starts"),
    # one does not answer
    (0, [OLD, NEWER, ""], "waits"),
    (1, [OLD, NEWER, ""], "starts"),
    (1, ["", OLD, OLD], "starts"),
    (2, ["", OLD, OLD], "waits"),
    # two do not answer
    (0, [OLD, "", ""], "waits"),
    # one lost its volume
    (1, ["OFFLINE ", OLD, OLD], "starts"),
    (0, ["OFFLINE ", OLD, OLD], "waits"),
    (1, ["OFFLINE ", OLD, ""], "waits"),  # the one that does not answer may have more
    (0, ["OFFLINE ", "", OLD], "waits"),
    # there is a group
    (0, [NEWER, "ONLINE g:1-7", "OFFLINE g:1-7"], "joins mysql-gr-1"),
    (2, [OLD, "ONLINE g:1-9", OLD], "joins mysql-gr-1"),
    (2, ["", "ONLINE g:1-9", "OFFLINE "], "joins mysql-gr-1 by copying"),
    (2, ["RECOVERING g:1-5", "", NEWER], "waits"),
    (2, ["RECOVERING g:1-5", OLD, NEWER], "waits"),
]


@pytest.mark.parametrize(("pod", "pods", "does"), CASES)
def test_who_starts_a_group(tmp_path, pod, pods, does):
    assert what_it_does(tmp_path, pod, pods) == does


def test_a_killed_member_waits_until_it_is_expelled(tmp_path):
    pods = ["OFFLINE g:1-7", "ONLINE g:1-7", "ONLINE g:1-7"]
    assert what_it_does(tmp_path, 0, pods, still_a_member={1, 2}) == "waits"
    assert what_it_does(tmp_path, 0, pods) == "joins mysql-gr-1"


def test_a_pod_that_members_does_not_count_does_nothing(tmp_path):
    assert what_it_does(tmp_path, 3, [OLD, OLD, OLD, NEWER]) == "waits"
    assert what_it_does(tmp_path, 3, [OLD, "ONLINE g:1-7", OLD, OLD]) == "waits"


@pytest.mark.parametrize(
    "change",
    [
        ("*) better=$n ;;", "*) ;;"),  # a pod with less starts the group
        ('11) [ $n -gt "$ordinal" ] || better=$n ;;', "11) ;;"),  # two pods start a group
        ("[ $better = none ] || return 0", ""),
        ('[ $heard = "$members" ] || { [ $heard = $((members - 1)) ] && [ $empty = no ]; } || return 0', ""),
        ("$((members - 1))", "$((members - 2))"),  # one pod alone
        ("&& [ $empty = no ]", ""),
        ('[ "$state" = OFFLINE ] || return 0', ""),
        ('if [ "$state" = ONLINE ]', "if false"),
    ],
    ids=lambda change: change[0],
)
def test_each_part_of_the_rule_is_needed(tmp_path, change):
    """Without it, at least one case comes out differently."""
    assert any(what_it_does(tmp_path, pod, pods, change=change) != does for pod, pods, does in CASES)
