"""A browser without JavaScript: it opens pages, fills in forms and presses buttons."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode


class Forms(HTMLParser):
    """The forms of a page: the values of their fields, and the buttons that send them."""

    def __init__(self, html: str):
        super().__init__()
        self.all: list[dict] = []
        self._select, self._button = None, None
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        a = dict(attributes)
        if tag == "form":
            self.all.append(
                {"action": a.get("action"), "method": a.get("method", "get"), "fields": [], "buttons": []}
            )
        elif not self.all:
            return
        elif (
            tag == "input" and "name" in a and (a.get("type") not in ("checkbox", "radio") or "checked" in a)
        ):
            self._add(a["name"], a.get("value") or ("on" if a.get("type") == "checkbox" else ""))
        elif tag == "select":
            self._select = a["name"]
        elif tag == "option" and self._select and "selected" in a:
            self._add(self._select, a.get("value", ""))
        elif tag == "button" and a.get("type") != "button":
            self._button = a.get("aria-label") or ""

    def handle_data(self, text: str) -> None:
        if self._button is not None:
            self._button += text

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button is not None:
            self.all[-1]["buttons"].append(" ".join(self._button.split()))
            self._button = None
        elif tag == "select":
            self._select = None

    def _add(self, name: str, value: str) -> None:
        self.all[-1]["fields"].append((name, value))


class Browser:
    """Opens pages, keeps cookies, fills in forms, presses buttons and follows redirects, as people do."""

    def __init__(self, app, base="http://localhost"):
        self.client, self.base = app.test_client(), base
        self.html, self.url, self.status = "", "", 0

    def open(self, url: str) -> Browser:
        return self._go("GET", url)

    def form(self, button: str) -> dict:
        """Return the form with this button."""
        found = [
            form for form in Forms(self.html).all if any(each.startswith(button) for each in form["buttons"])
        ]
        assert found, f"No button {button!r} in {[form['buttons'] for form in Forms(self.html).all]}"
        return found[0]

    def has(self, button: str) -> bool:
        return any(each.startswith(button) for form in Forms(self.html).all for each in form["buttons"])

    def press(self, button: str, **typed: str | list[str] | None) -> Browser:
        return self.send(self.form(button), **typed)

    def send(self, form: dict, **typed: str | list[str] | None) -> Browser:
        """Send a form with these values instead of its own; None leaves a field out."""
        data = [(name, value) for name, value in form["fields"] if name not in typed]
        for name, value in typed.items():
            data += [
                (name, each) for each in (value if isinstance(value, list) else [value]) if each is not None
            ]
        if form["method"] == "get":
            return self._go("GET", f"{form['action']}?{urlencode(data)}")
        self._go(
            "POST", form["action"], data=urlencode(data), content_type="application/x-www-form-urlencoded"
        )
        return self

    def _go(self, method: str, url: str, **request) -> Browser:
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        self.redirects = []
        answer = self.client.open(url, method=method, headers=headers, base_url=self.base, **request)
        while answer.status_code in (302, 303):
            self.redirects.append(answer.status_code)
            answer = self.client.get(answer.headers["Location"], headers=headers, base_url=self.base)
        assert answer.status_code != 500, self.url
        assert answer.mimetype == "text/html"
        self.html, self.url, self.status = answer.text, answer.request.path, answer.status_code
        return self
