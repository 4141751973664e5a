"""What keeps the house in order: its size, its files, its style."""

import ast
import re
import subprocess
import sys

import pytest
from people import HERE

CODE = (HERE / "takeanumber.py").read_text()
TEMPLATES = sorted((HERE / "templates").glob("*.html"))


def test_a_function_fits_on_a_screen():
    functions = [
        node for node in ast.walk(ast.parse(CODE)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 100
    assert [
        f"{each.name}: {each.end_lineno - each.lineno + 1}"
        for each in functions
        if each.end_lineno - each.lineno >= 40
    ] == []


def test_the_file_can_be_read_from_top_to_bottom():
    assert len(CODE.splitlines()) <= 2500


def test_its_rooms_are_in_the_order_that_it_names():
    named = re.search(r"Its rooms:\n\n(.*?)\n\n", CODE, re.DOTALL)[1].replace("\n", " ")
    banners = re.findall(r"^# ={20,}\n# ([A-Z][a-z ]+)", CODE, re.MULTILINE)
    assert [banner.strip() for banner in banners] == [room.strip() for room in named.split(",")]


def test_only_the_pages_know_of_flask():
    before_pages = CODE[CODE.index("\n# Settings") : CODE.index("\n# Pages: ")]
    assert re.findall(r"\b(flask|request|session|current_app|url_for|g)\.\w+", before_pages) == []


def test_nothing_is_swallowed():
    assert re.findall(r"except\s*:", CODE) == []


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
