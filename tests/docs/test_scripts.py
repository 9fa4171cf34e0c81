"""The scripts that a learner runs need nothing that macOS lacks: its shell is bash 3.2, its tools are BSD's.

Those that say #!/bin/sh are POSIX scripts (shellcheck holds them to it), and run here in several shells. Those that say
bash must do without what came after 3.2. The tools around them (docker, kind, kubectl) are stand-ins that tell how they
were called.
"""

import re
import shutil
import subprocess

import pytest

from docs.pages import ROOT

LACKING = (
    r"\bmapfile\b|\breadarray\b|\bdeclare -A\b|\blocal -n\b|\$\{\w+(?:,,|\^\^)|(?<!kubectl )\bwait -n\b"
    r"|\bsort -V\b|\bgrep -P\b|\$EPOCHSECONDS|\bsed -i\b|\bdate -d\b|\breadlink -f\b"
    r"|\bstat -c\b|\bxargs -r\b|\|&|&>>|;;&|\bcoproc\b"
)
SCRIPTS = sorted((ROOT / "scripts").iterdir())
SHELLS = [command for command in (["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(command[0])]
IMAGES = ["read-app:1.0.0", "write-app:1.0.0"]


def code(script):
    return [line for line in script.read_text().splitlines() if not line.lstrip().startswith("#")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_scripts_use_nothing_that_macos_lacks(script):
    assert [line for line in code(script) if re.search(LACKING, line)] == []


def test_what_macos_lacks_is_noticed():
    lines = ("mapfile -t pods", "| sort -V)", 'echo "${name,,}"', "sed -i s/a/b/ file", "a |& b", "date -d @0")
    assert all(re.search(LACKING, line) for line in lines)


@pytest.mark.parametrize("name", ["audit", "build", "dns", "load", "verify", "where"])
def test_these_are_posix_scripts(name):
    assert (ROOT / "scripts" / name).read_text().startswith("#!/bin/sh\n")


@pytest.fixture(params=SHELLS, ids=" ".join)
def run(request, tmp_path):
    """A function: runs a script in one of the shells, with stand-ins {tool: its script}; (status, output, calls)."""
    for tool in ("awk", "sort", "sed", "dirname", "mktemp", "rm", "date", "cat", "printf"):
        (tmp_path / tool).symlink_to(shutil.which(tool))

    def run_script(name, *arguments, tools, **environment):
        calls = tmp_path / "calls"
        for tool, script in tools.items():
            stand_in = tmp_path / tool
            stand_in.write_text(f'#!/bin/sh\necho "{tool} $*" >>{calls}\n{script}\n')
            stand_in.chmod(0o755)
        shell = [shutil.which(request.param[0]), *request.param[1:]]
        done = subprocess.run(
            [*shell, ROOT / "scripts" / name, *arguments],
            capture_output=True,
            text=True,
            env={"PATH": str(tmp_path), "TMPDIR": str(tmp_path), **environment},
            check=False,
        )
        return done.returncode, done.stderr + done.stdout, calls.read_text() if calls.exists() else ""

    return run_script


def kubectl(context):
    return f"case $* in *current-context*) echo {context} ;; esac"


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-demo", "kind load image-archive {} --name demo"),
        ("minikube", "minikube image load --profile minikube {}"),
        ("k3d-demo", "k3d image import --cluster demo {}"),
        ("microk8s", "microk8s images import {}"),
    ],
)
def test_load_by_context(run, context, command):
    tools = {"kubectl": kubectl(context), "docker": "true", command.split()[0]: "true"}
    status, output, calls = run("load", tools=tools)
    assert (status, output) == (0, f"Loading {' '.join(IMAGES)} into {context.partition('-')[0]} ...\n")
    archive = re.search(r"docker save --output (\S+) (.*)", calls)
    assert archive[2].split() == IMAGES
    assert command.format(archive[1]) in calls


@pytest.mark.parametrize("into", ["k3s", "containerd"])
def test_load_where_it_is_told(run, into):
    tool = {"containerd": "ctr"}.get(into, into)
    status, _, calls = run("load", into, tools={"kubectl": kubectl("default"), "podman": "true", tool: "true"})
    assert status == 0
    archive = re.search(r"podman save --multi-image-archive --output (\S+) (.*)", calls)
    assert archive[2].split() == [f"docker.io/library/{image}" for image in IMAGES]
    assert f"images import {archive[1]}" in calls


@pytest.mark.parametrize("context", ["docker-desktop", "orbstack", "rancher-desktop", "colima", "colima-two"])
@pytest.mark.parametrize("engine", ["docker", "nerdctl"])
def test_nothing_to_load_where_the_engine_is_the_clusters(run, context, engine):
    status, output, _ = run("load", tools={"kubectl": kubectl(context), engine: "true"})
    assert status == 0
    assert "nothing to load" in output
    status, output, _ = run("load", tools={"kubectl": kubectl(context), engine: "false"})
    assert status == 1
    assert "make build" in output


@pytest.mark.parametrize("context", ["gke_project_zone_name", "default", ""])
def test_load_says_what_to_say(run, context):
    status, output, _ = run("load", tools={"kubectl": kubectl(context), "docker": "true"})
    assert status == 1
    assert "make load INTO=" in output
    assert "kustomization.yaml" in output


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        ({"docker": "true"}, "docker build"),
        ({"docker": "false", "nerdctl": "true"}, "nerdctl --namespace k8s.io build"),
        ({"podman": "true", "buildah": "true"}, "podman build"),
        ({"buildah": "true"}, "buildah build"),
    ],
)
def test_build(run, tools, command):
    status, _, calls = run("build", tools=tools)
    assert status == 0
    for image in IMAGES:
        app, version = image.split(":")
        assert f"{command} --build-arg VERSION={version} --tag docker.io/library/{image} {app}\n" in calls


def test_build_says_what_is_missing(run):
    status, output, _ = run("build", tools={})
    assert (status, "install docker, nerdctl, podman or buildah" in output) == (1, True)


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        ({}, "There is no kubectl on PATH: install it"),
        ({"kubectl": "exit 1"}, "kubectl has no current context"),
        (
            {"kubectl": "case $* in config*) echo far ;; *) exit 1 ;; esac"},
            "The cluster of context far does not answer",
        ),
    ],
)
def test_where_says_what_is_missing(run, tools, sentence):
    status, output, _ = run("where", tools=tools)
    assert (status, sentence in output) == (1, True), output


def test_where_says_which_namespace(run):
    answers = "case $* in *current-context*) echo near ;; *namespace}*) echo mine ;; esac"
    assert run("where", tools={"kubectl": answers})[:2] == (0, "Cluster: context near, namespace mine\nmine\n")
    status, output, calls = run("where", tools={"kubectl": answers}, KUBECTL="kubectl --context=far --namespace=other")
    assert (status, output) == (0, "Cluster: context near, namespace other\nother\n")
    assert "kubectl --context=far --namespace=other get --raw /readyz" in calls
