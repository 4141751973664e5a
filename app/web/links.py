"""Absolute URLs of this server, and what they begin with."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote

from flask import current_app, g, request
from werkzeug.sansio.utils import get_current_url

from app.web.service import service


def base_url() -> str:
    """Return what absolute URLs begin with: TAKEANUMBER_URL, or else the host that was asked."""
    known = g.get("base_url")
    if known is None:
        known = g.base_url = service().settings.url.rstrip("/") or _origin(request.scheme, request.host)
    return str(known)


@lru_cache(maxsize=100)
def _origin(scheme: str, host: str) -> str:
    return get_current_url(scheme, host).rstrip("/")


def link(endpoint: str, **values: Any) -> str:
    """Return the absolute URL of an endpoint such as "desk.show_desk", given the variables of its rule."""
    path = _path_format(endpoint)
    quoted = {name: quote(str(value), safe="!$&'()*+,/:;=@") for name, value in values.items()}
    return base_url() + path.format_map(quoted)


def action_links(url: str, *actions: str) -> dict[str, str]:
    """Return the URLs of actions by name: "no_show" is the name of …/no-show."""
    return {action.replace("-", "_"): f"{url}/{action}" for action in actions}


@cache
def _path_format(endpoint: str) -> str:
    """Return the path of an endpoint, such as "/{place}/desk/{token}": url_for() would take much longer."""
    (rule,) = current_app.url_map.iter_rules(endpoint)
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", r"{\1}", rule.rule)


def is_https() -> bool:
    """Return True when browsers reach this server by https."""
    return base_url().startswith("https://")
