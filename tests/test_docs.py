"""The documentation names every setting, command and URL; versions agree between files."""

import ast
import dataclasses
import re
import sys
import tomllib
from itertools import chain

import click
import pytest
from helpers.app import HERE

import takeanumber
from rooms.settings import Settings

CODE = (HERE / "takeanumber.py").read_text()


@pytest.fixture(scope="module")
def readme():
    return (HERE / "README.md").read_text()


def settings():
    names = [field.name.upper() for field in dataclasses.fields(Settings)]
    return [name if name in ("HOST", "PORT") else f"TAKEANUMBER_{name}" for name in names]


@pytest.mark.parametrize("name", settings())
def test_every_setting_is_named(readme, name):
    assert f"`{name}`" in readme


def test_no_setting_is_named_that_is_not_there(readme):
    assert set(re.findall(r"TAKEANUMBER_[A-Z_]+", readme)) <= set(settings())


@pytest.mark.parametrize("name", sorted(takeanumber.cli.commands))
def test_every_command_is_named(readme, name):
    assert isinstance(takeanumber.cli, click.Group)
    assert re.search(rf"`(python takeanumber\.py )?{name}\b", readme)


def urls(app):
    """The URLs of all routes, with each of the words that a part may be, and `<>` for any other part."""
    for rule in app.url_map.iter_rules():
        words = re.search(r"<any\(([^)]*)\):\w+>", rule.rule)
        for word in words[1].split(",") if words else [""]:
            whole = rule.rule.replace(words[0], word.strip(" '\"")) if words else rule.rule
            yield re.sub(r"<[^<>]+>", "<>", whole)


def test_every_url_is_named(readme, app):
    """In full, or from one it belongs to: `/<place>/desk/<token>` … `…/next`, `/start`."""
    code = {re.sub(r"<[^<>]+>", "<>", part) for part in re.findall(r"`([^`\n]+)`", readme)}
    named = {re.sub(r"^(GET |POST )?(…)?|\?.*$", "", part) for part in code}

    def told(url):
        cuts = [at for at, letter in enumerate(url) if letter == "/" and at]
        return url in named or any(url[:at] in named and told(url[at:]) for at in cuts)

    assert [url for url in urls(app) if not url.startswith("/static/") and not told(url)] == []


def test_the_header_of_the_program_names_what_requirements_name():
    header = re.search(r"^# /// script\n(.*?)^# ///$", CODE, re.DOTALL | re.MULTILINE)[1]
    script = tomllib.loads(re.sub(r"^# ?", "", header, flags=re.MULTILINE))
    required = (HERE / "requirements.txt").read_text().split("\n")
    assert sorted(script["dependencies"]) == sorted(
        line for line in required if line and not line.startswith("#")
    )
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    assert script["requires-python"] == project["requires-python"]


def test_every_requirement_is_pinned():
    for line in (HERE / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line)


def test_what_is_imported_is_required():
    required = {line.split("==")[0] for line in (HERE / "requirements.txt").read_text().split()}
    modules = set()
    code = [CODE, *(path.read_text() for path in (HERE / "rooms").glob("*.py"))]
    for node in chain.from_iterable(ast.walk(ast.parse(each)) for each in code):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
    foreign = {name.replace("_", "-") for name in modules - sys.stdlib_module_names}
    assert foreign - required == {"rooms"}
