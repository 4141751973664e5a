"""What tests of a process share, since it takes long: compiled routes and templates, and what boto3 reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import flask
from botocore.loaders import JSONFileLoader
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

# What Rule.compile() sets.
COMPILED_PARTS = ("arguments", "_parts", "_trace", "_converters", "_build", "_build_unknown")


class Compiled(BytecodeCache):
    """Cache of compiled templates, shared by all applications of this process."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key, bucket.checksum] = bucket.code


def compile_once(change: Callable[[Any, str, Any], None] = setattr) -> None:
    """Let all applications of this process share what one of them has compiled or read."""
    compile_rule, compiled = Rule.compile, {}
    read_once = cache(JSONFileLoader().load_file)

    def once(rule: Rule) -> None:
        key = rule.rule, str(rule.defaults)
        if key not in compiled:
            compile_rule(rule)
            compiled[key] = {name: getattr(rule, name) for name in COMPILED_PARTS}
        vars(rule).update(compiled[key])

    change(Rule, "compile", once)
    change(flask.Flask, "jinja_options", {"bytecode_cache": Compiled()})
    change(JSONFileLoader, "load_file", lambda _, path: read_once(path))
