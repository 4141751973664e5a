"""What keeps the house in order: its size, its files, its style."""

import ast
import re
import subprocess
import sys

import pytest
from people import HERE

APP = HERE / "takeanumber.py"
ROOMS = sorted((HERE / "rooms").glob("*.py"))
CODE = {path.stem: path.read_text() for path in [APP, *ROOMS]}
TEMPLATES = sorted((HERE / "templates").glob("*.html"))


every_file = pytest.mark.parametrize("code", CODE.values(), ids=CODE)
every_room = pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)


def test_a_function_fits_on_a_screen():
    functions = [
        (file, node)
        for file, code in CODE.items()
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 100
    assert [
        f"{file}, {each.name}: {each.end_lineno - each.lineno + 1}"
        for file, each in functions
        if each.end_lineno - each.lineno >= 40
    ] == []


@every_file
def test_the_file_can_be_read_from_top_to_bottom(code):
    assert len(code.splitlines()) <= 2500


def rooms_in_order():
    listed = re.search(r"in this order:\n\n(.*?)\n\n", CODE["takeanumber"], re.DOTALL)[1]
    return listed.replace(",", " ").split()


def test_the_app_names_its_rooms():
    assert sorted(rooms_in_order()) == [path.stem for path in ROOMS]


@every_room
def test_a_room_uses_only_those_before_it(path):
    order = rooms_in_order()
    used = re.findall(r"^\s*(?:from|import) (?:rooms\.)?(\w+)", path.read_text(), re.MULTILINE)
    assert "rooms" not in used  # each by its own name, so that this test can see it
    assert "takeanumber" not in used
    assert [room for room in used if room in order[order.index(path.stem) :]] == []


@every_room
def test_only_the_app_knows_of_flask(path):
    imported = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    assert {"flask", "flask_wtf", "werkzeug", "wtforms", "click"}.isdisjoint(imported)


@every_file
def test_nothing_is_swallowed(code):
    assert re.findall(r"except\s*:", code) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_script_and_no_style_stands_in_a_template(template):
    html = template.read_text()
    inline = r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:"
    assert re.findall(inline, html, re.IGNORECASE) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_posts_carries_its_token(template):
    for form in re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL):
        assert "csrf()" in form


@pytest.mark.parametrize(
    "path", [*TEMPLATES, *sorted((HERE / "static").iterdir())], ids=lambda path: path.name
)
def test_nothing_comes_from_another_host(path):
    urls = re.findall(r"""["'(](?:https?:)?//[^"')\s]+""", path.read_text())
    assert [url for url in urls if "www.w3.org/" not in url] == []


@pytest.mark.parametrize("words", [["format", "--check"], ["check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(words):
    ended = subprocess.run(
        [sys.executable, "-m", "ruff", *words, "."], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
