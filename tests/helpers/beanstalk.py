"""An instance of Elastic Beanstalk: a directory tree of its form, and the real hooks in its engine's order.

def test_a_deploy(instance, version):
    instance.deploy(version())
    assert instance.server.open_shop().take().body["number"] == "A1"
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
import yaml

from helpers.forks import ROOT
from helpers.server import Server

CONFIG = yaml.safe_load((ROOT / ".ebextensions" / "takeanumber.config").read_text())["option_settings"]
PROPERTIES = "aws:elasticbeanstalk:application:environment"
BUNDLED = [line[2:].rstrip("/") for line in (ROOT / ".ebignore").read_text().splitlines() if line[0] == "!"]


class Aborted(Exception):
    """A hook failed; the exception holds its output."""


def resolved(value: Any, **names: str) -> str:
    """Return the value of an option; functions of CloudFormation stand in backticks."""

    def call(function: Any) -> str:
        if isinstance(function, str):
            return function
        if "Ref" in function:
            return names[function["Ref"]]
        between, parts = function["Fn::Join"]
        return between.join(map(call, parts))

    return re.sub("`(.*?)`", lambda found: call(json.loads(found[1])), str(value))


def properties_of(name: str) -> dict[str, str]:
    """Return the environment properties that .ebextensions sets for an environment of this name."""
    names = {"AWSEBEnvironmentName": name, "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012"}
    return {key: resolved(value, **names) for key, value in CONFIG[PROPERTIES].items()}


class Instance:
    """An instance: its root directories are in a directory of the test, and the bundle decides the rest."""

    def __init__(self, root: Path, **properties: str):
        self.app, self.data = root / "var" / "app", root / "var" / "takeanumber"
        self.properties = properties_of("shop") | properties | {"TAKEANUMBER_DATA": str(self.data)}
        self.server: Server | None = None
        self.said = ""  # output of the hooks of the last deploy
        programs = self.app / "venv" / "staging-LQM1lest" / "bin"
        programs.mkdir(parents=True)
        python = programs / "python3"  # a link would not find the installed packages
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self.roots = {
            "EB_APP": str(self.app),
            "EB_VENV": str(programs.parent.parent),
            "EB_NGINX": str(root / "etc" / "takeanumber" / "nginx"),
            "EB_APP_USER": pwd.getpwuid(os.geteuid()).pw_name,
        }
        # The platform's own tool, which tells the name of the environment.
        self.environment = "shop"
        tool = root / "get-config"
        tool.write_text(f"#!/bin/sh\n[ $1 = container ] && cat {root}/environment\n")
        tool.chmod(0o755)
        self.roots["EB_GET_CONFIG"] = str(tool)
        self.pauses = ""  # seconds before each attempt to verify: none, to save time

    def deploy(self, version: Path) -> None:
        """Deploy a version as the engine does. Raises Aborted while the old version still serves."""
        staging, current, self.said = self.app / "staging", self.app / "current", ""
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(version, staging)
        self.run_hooks(staging, "hooks/prebuild")
        self.run_hooks(staging, "hooks/predeploy")
        self.stop()
        shutil.rmtree(current, ignore_errors=True)
        staging.rename(current)
        self.serve()
        self.run_hooks(current, "hooks/postdeploy")

    def configure(self, **properties: str) -> None:
        """Change properties of the environment; the version stays the same."""
        self.properties |= properties
        self.run_hooks(self.app / "current", "confighooks/predeploy")
        self.stop()
        self.serve()
        self.run_hooks(self.app / "current", "confighooks/postdeploy")

    def serve(self) -> None:
        """Start the process that the Procfile names."""
        current = self.app / "current"
        (web,) = re.findall("^web: (.*)$", (current / "Procfile").read_text(), re.MULTILINE)
        given = [f"export {name}={quote(value)}" for name, value in self.properties.items()]
        path = f"export PATH={self.app}/venv/staging-LQM1lest/bin:$PATH"
        unit = self.app.parent / "web.sh"
        unit.write_text("\n".join([*given, path, f"cd {current}", f"exec {web}\n"]))
        if self.server is None:
            self.server = Server(self.data, command=["bash", str(unit)])
        else:
            self.server.start()

    def stop(self) -> None:
        """End the process, as a deploy or the end of an instance does."""
        if self.server and self.server.process.poll() is None:
            self.server.stop(within=30)

    def run_hooks(self, version: Path, kind: str) -> None:
        """Run all hooks of a kind in the order of their names, as the engine does. Raises Aborted."""
        (self.app.parent.parent / "environment").write_text(f"{self.environment}\n")
        for hook in sorted((version / ".platform" / kind).iterdir()):
            self.run(f".platform/{kind}/{hook.name}", cwd=version)

    def run(self, *words: str, cwd: Path, **environment: str) -> str:
        """Run a program as root does; return its output. Raises Aborted if it fails."""
        given = {"HOME": "/root", "PATH": "/usr/local/bin:/usr/bin:/bin", "PORT": "8000"} | self.properties
        shifted = {
            k: v for k, v in os.environ.items() if k.startswith(("FAKETIME", "LD_PRELOAD", "PYTHONPATH"))
        }
        ended = subprocess.run(
            words,
            cwd=cwd,
            env=given | shifted | self.roots | {"EB_PAUSES": self.pauses} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said += ended.stdout + ended.stderr
        if ended.returncode:
            raise Aborted(ended.stderr)
        return ended.stdout


@pytest.fixture
def version(tmp_path: Path, next_version: Callable[[str], Path]) -> Callable[..., Path]:
    """Return a function that makes an unzipped bundle.

    It is of this version, or of the next one with one more migration.
    """

    def make(migration: str = "") -> Path:
        made = next_version(migration) if migration else tmp_path / "version"
        made.mkdir(exist_ok=True)
        for name in BUNDLED:
            if (made / name).exists():
                continue
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, made / name)
            else:
                shutil.copy(ROOT / name, made)
        return made

    return make


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Return a function that makes instances; their servers end after the test."""
    made: list[Instance] = []

    def make(**properties: str) -> Instance:
        made.append(Instance(tmp_path / f"instance-{len(made) + 1}", **properties))
        return made[-1]

    yield make
    for each in made:
        if each.server and each.server.process.poll() is None:
            each.server.kill()
