"""The version of the apps' images stands in the manifests; whatever names an image elsewhere names that one."""

import re

import pytest

from manifests.test_lint import PROJECT, files

IMAGE = re.compile(r"\b(write-app|read-app):(\d[\w.]*)")
MANIFESTS = {image for file in (PROJECT / "kubernetes").glob("*.yaml") for image in IMAGE.findall(file.read_text())}


def test_the_manifests_name_one_image_of_each_app():
    assert sorted(app for app, _ in MANIFESTS) == ["read-app", "write-app"]
    assert len({version for _, version in MANIFESTS}) == 1


@pytest.mark.parametrize("script", ["build", "load"])
def test_the_scripts_read_it_there(script):
    assert not IMAGE.search((PROJECT / "scripts" / script).read_text())


def test_no_other_file_names_another():
    named = {}
    for file in files():
        if file.suffix in (".py", ".yaml", ""):
            others = set(IMAGE.findall(file.read_text(errors="ignore"))) - MANIFESTS
            named |= {str(file.relative_to(PROJECT)): others} if others else {}
    assert named == {}
