"""The documentation names every setting, command and URL; versions agree between files."""

import ast
import dataclasses
import re
import sys
import tomllib
from itertools import chain
from urllib.parse import unquote

import click
import pytest
from helpers.forks import ROOT

import takeanumber
from app.settings import Settings

PROGRAM = (ROOT / "takeanumber.py").read_text()
PACKAGE = ROOT / "app"  # the application code beside takeanumber.py
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md"]
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()


@pytest.fixture(scope="module")
def docs():
    """README.md and all pages of docs/."""
    return "\n".join(page.read_text() for page in PAGES)


def name_of(page):
    return str(page.relative_to(ROOT))


# ----- settings


def variable_of(field):
    name = field.name.upper()
    return name if name in ("HOST", "PORT") else f"TAKEANUMBER_{name}"


SETTINGS = {
    variable_of(field): str("" if field.default is None else field.default)
    for field in dataclasses.fields(Settings)
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented_with_its_default(name):
    documented = re.search(rf"^\| `{name}` \| (?:`([^`]*)` )?\| \S", SETTINGS_PAGE, re.MULTILINE)
    assert documented, f"docs/settings.md has no row for {name}"
    assert (documented[1] or "") == SETTINGS[name]


def test_every_documented_setting_exists(docs):
    assert set(re.findall(r"TAKEANUMBER_[A-Z_]+", docs)) <= SETTINGS.keys()


# ----- commands


@pytest.mark.parametrize("name", sorted(takeanumber.cli.commands))
def test_every_command_is_documented_with_its_options(name):
    assert isinstance(takeanumber.cli, click.Group)
    row = re.search(rf"^\| `{name}` \| \S.*$", SETTINGS_PAGE, re.MULTILINE)
    assert row, f"docs/settings.md has no row for {name}"
    options = chain.from_iterable(option.opts for option in takeanumber.cli.commands[name].params)
    assert set(re.findall(r"`(--[a-z-]+)`", row[0])) == set(options)


def test_every_documented_command_exists(docs):
    used = re.findall(r"(?:python|uv run) takeanumber\.py ([a-z][a-z-]*)", docs)
    assert used
    assert set(used) <= takeanumber.cli.commands.keys()


# ----- URLs


def without_names(url):
    """A URL with `<>` instead of each variable part, whatever its name and converter."""
    return re.sub(r"<[^<>]+>", "<>", url)


def urls_of(app):
    """The URLs of all routes; a part that may be one of several words gives one URL for each of them."""
    for rule in app.url_map.iter_rules():
        choice = re.search(r"<any\(([^)]*)\):\w+>", rule.rule)
        if choice is None:
            yield without_names(rule.rule)
            continue
        for word in choice[1].split(","):
            yield without_names(rule.rule.replace(choice[0], word.strip(" '\"")))


def is_documented(url, documented):
    """Whether a URL is documented in full, or as the end of one: `/<place>/desk/<token>`, then `…/next`."""
    if url in documented:
        return True
    slashes = [index for index, letter in enumerate(url) if letter == "/" and index > 0]
    return any(url[:slash] in documented and is_documented(url[slash:], documented) for slash in slashes)


def test_every_url_is_documented(docs, app):
    code = {without_names(part) for part in re.findall(r"`([^`\n]+)`", docs)}
    documented = {re.sub(r"^(GET |POST )?(…)?|\?.*$", "", part) for part in code}
    urls = [url for url in urls_of(app) if not url.startswith("/static/")]
    assert len(urls) > 50
    assert [url for url in urls if not is_documented(url, documented)] == []


# ----- links and files


def anchors_of(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_every_link_to_a_page_a_heading_or_a_picture_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_code_in_a_sentence_ends_on_its_line(page):
    lines = page.read_text().splitlines()
    assert [line for line in lines if line.count("`") % 2 and not line.startswith("```")] == []


def test_the_layout_in_the_readme_names_no_module_that_does_not_exist():
    modules = {path.name for path in (ROOT / "app").rglob("*.py")}
    readme = (ROOT / "README.md").read_text()
    layout = re.search(r"^    takeanumber\.py .*?(?=^\S)", readme, re.DOTALL | re.MULTILINE)[0]
    assert set(re.findall(r"\b\w+\.py\b", layout)) - {"takeanumber.py"} <= modules


def test_every_module_says_what_it_is_about():
    for path in (ROOT / "app").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_modules_of_the_rules_are_listed_by_subject():
    rules = ROOT / "app" / "core"
    docstring = ast.get_docstring(ast.parse((rules / "__init__.py").read_text()))
    listed = re.findall(r"\w+", "".join(re.findall(r"^- [^:]+:([^-]+)", docstring, re.MULTILINE)))
    assert sorted(listed) == sorted(path.stem for path in rules.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_every_file_of_the_application_that_a_page_names_exists(page):
    for path in re.findall(r"(?<![\w/])app/[\w/]+(?:\.py)?", page.read_text()):
        assert (ROOT / path).exists(), path


# ----- requirements


def test_the_header_of_the_program_lists_the_same_dependencies_as_requirements():
    header = re.search(r"^# /// script\n(.*?)^# ///$", PROGRAM, re.DOTALL | re.MULTILINE)[1]
    script = tomllib.loads(re.sub(r"^# ?", "", header, flags=re.MULTILINE))
    lines = (ROOT / "requirements.in").read_text().splitlines()
    assert sorted(script["dependencies"]) == sorted(
        line for line in lines if line and not line.startswith("#")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert script["requires-python"] == project["requires-python"]


def locked(path):
    """Return the versions that a requirements.txt installs, and the number of hashes of each."""
    entries = re.findall(
        r"^([\w.\[\],-]+)==(\S+)(?: ;[^\\\n]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", path, re.M
    )
    return {
        name.lower().replace("_", "-"): (version, hashes.count("sha256:"))
        for name, version, hashes in entries
    }


LOCKS = ["requirements", "tests/requirements", "tests/tools"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_locked_to_one_version_with_hashes(name):
    text = (ROOT / f"{name}.txt").read_text()
    packages = locked(text)
    assert len(packages) == text.count("==") - len(re.findall(r" ;.*==", text)), "a line without hashes"
    wanted = (ROOT / f"{name}.in").read_text().splitlines()
    for line in wanted:
        if line.startswith("-r "):
            wanted += (ROOT / name).parent.joinpath(line[3:]).read_text().splitlines()
            continue
        package, version = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==(\S+)", line).groups()
        assert packages[package.lower()][0] == version, f"make requirements: {line} isn't locked"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_that_packages_come_from(name):
    for line in (ROOT / f"{name}.txt").read_text().splitlines():
        assert "://" not in line
        assert not re.match(r"-(?!-hash)|--(?!hash)", line)


def test_tests_run_with_the_versions_that_are_served():
    served, tested = (locked((ROOT / f"{name}.txt").read_text()) for name in LOCKS[:2])
    assert served.items() <= tested.items()


def test_every_imported_library_is_in_requirements():
    required = {re.split(r"==|\[", line)[0] for line in (ROOT / "requirements.in").read_text().split()}
    sources = [PROGRAM, *(path.read_text() for path in PACKAGE.rglob("*.py"))]
    imported = set()
    for node in chain.from_iterable(ast.walk(ast.parse(source)) for source in sources):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(node.module.split(".")[0])
    libraries = {name.replace("_", "-") for name in imported - sys.stdlib_module_names}
    assert libraries - required == {PACKAGE.name}
