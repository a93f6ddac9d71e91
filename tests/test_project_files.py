"""What lies beside the code: licence, citation, changelog, workflows."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.conftest import ROOT
from tfgreen.cli.main import tfgreen_command
from tfgreen.profile import load_profile

USERS = ROOT / "docs" / "github-workflow.yml"
OWN = ROOT / ".github" / "workflows" / "ci.yml"


def setting(key: str) -> str:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config["metadata"][key]


def workflow(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert setting("license") == "Apache-2.0"


def test_the_citation_is_of_this_version() -> None:
    citation = workflow(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["type"] == "software"
    assert str(citation["version"]) == setting("version")
    assert citation["license"] == setting("license")


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.findall(r"^## ([\d.]+)", text, re.MULTILINE)[0]
    assert first == setting("version")


@pytest.mark.parametrize("path", [OWN, USERS], ids=lambda path: path.name)
def test_workflows_are_whole(path: Path) -> None:
    document = workflow(path)
    # YAML 1.1 reads the key `on` as true.
    assert document[True] and document["jobs"] and document["permissions"]["contents"] == "read"
    for job in document["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"] <= 60
    for step in steps(path):
        assert ("run" in step) != ("uses" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


@pytest.mark.parametrize("path", [OWN, USERS], ids=lambda path: path.name)
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_scripts_of_workflows_are_sound(path: Path) -> None:
    for script in scripts(path):
        assert "${{" not in script, "what others may write must come through the environment"
        subprocess.run(["bash", "-n", "-c", script], check=True, timeout=60)


def test_continuous_integration_runs_the_script_of_the_project() -> None:
    assert scripts(OWN) == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_workflow_for_users_calls_what_exists() -> None:
    values = workflow(USERS)["env"]
    (script,) = [script for script in scripts(USERS) if script.startswith("tfgreen ")]
    words = shlex.split(script.replace("\\\n", ""))
    verb = tfgreen_command.commands[words[1]]
    known = {name for one in verb.params if isinstance(one, click.Option) for name in one.opts}
    assert {word for word in words if word.startswith("-")} <= known
    assert {word[1:] for word in words if word.startswith("$")} <= set(values)
    load_profile(values["PROFILE"]).with_overrides(arena=values["ARENA"], flash=values["FLASH"])


def test_the_workflow_for_users_posts_the_report() -> None:
    (post,) = [script for script in scripts(USERS) if "gh pr comment" in script]
    assert '--body-file "$BUNDLE/report.md"' in post
    document = workflow(USERS)
    assert document["permissions"]["pull-requests"] == "write"
    assert set(document[True]) == {"pull_request"}, "a stranger's code must not get the token"


def test_make_has_the_documented_targets() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `make ([a-z-]+)`", text, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert told == set(phony.split())
