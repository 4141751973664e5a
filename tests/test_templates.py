"""Rules for templates and static files that no linter checks."""

import re

import pytest
from helpers.forks import ROOT

TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
TEXT_FILES = (".css", ".js", ".svg")
STATIC_FILES = sorted(path for path in (ROOT / "static").iterdir() if path.suffix in TEXT_FILES)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)

every_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)


@every_template
def test_a_template_has_no_inline_script_or_style(template):
    """The Content-Security-Policy would block it."""
    assert INLINE.findall(template.read_text()) == []


@every_template
def test_every_form_that_posts_has_a_csrf_token(template):
    for form in re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL):
        assert "csrf()" in form


@pytest.mark.parametrize("path", [*TEMPLATES, *STATIC_FILES], ids=lambda path: path.name)
def test_nothing_is_loaded_from_another_host(path):
    text = re.sub(r'placeholder="[^"]*"', "", path.read_text())
    urls = re.findall(r"""["'(](?:https?:)?//[^"')\s]+""", text)
    assert [url for url in urls if "www.w3.org/" not in url] == []


@every_template
def test_what_can_be_unfolded_has_an_id(template):
    """By its id, a page that shows fresh data knows what was unfolded, and leaves it so."""
    text = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
    assert re.findall(r"<details(?![^>]* id=)[^>]*>", text) == []
