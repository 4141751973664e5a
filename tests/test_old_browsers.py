"""Scripts use only what the browsers of iOS 12 and 13 can read: ECMAScript 2018, and no newer functions.

A browser that can't parse a script shows a page that looks live and is frozen. The kinds of syntax below are
those of ECMAScript 2018 in the grammar of tree-sitter; any other kind, such as `optional_chain`, is newer.
"""

import re
from pathlib import Path

import pytest
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

STATIC = Path(__file__).resolve().parent.parent / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
PARSER = Parser(Language(tree_sitter_javascript.language()))

SYNTAX = """
    program comment statement_block empty_statement expression_statement variable_declaration
    lexical_declaration variable_declarator function_declaration generator_function_declaration
    function_expression arrow_function generator_function class_declaration class class_body
    class_heritage method_definition formal_parameters return_statement if_statement else_clause
    for_statement for_in_statement while_statement do_statement break_statement continue_statement
    labeled_statement statement_identifier switch_statement switch_body switch_case switch_default
    throw_statement try_statement catch_clause finally_clause debugger_statement import_statement
    import_clause import_specifier named_imports namespace_import export_statement export_clause
    export_specifier identifier property_identifier shorthand_property_identifier
    shorthand_property_identifier_pattern this super true false null undefined number string
    string_fragment escape_sequence template_string template_substitution regex regex_pattern
    regex_flags array object pair pair_pattern array_pattern object_pattern assignment_pattern
    object_assignment_pattern rest_pattern spread_element parenthesized_expression
    sequence_expression assignment_expression augmented_assignment_expression unary_expression
    binary_expression update_expression ternary_expression member_expression subscript_expression
    call_expression new_expression arguments await_expression yield_expression
    computed_property_name
"""
NEWER_OPERATORS = {"??", "??=", "||=", "&&="}  # ** and its assignment are of 2016
# Functions and classes that iOS 12 or 13 lacks; with a test for them, a script may use those in GUARDED.
NEWER_FUNCTIONS = """
    at replaceAll replaceChildren matchAll allSettled any fromEntries structuredClone randomUUID
    requestSubmit hasOwn findLast findLastIndex toSorted toReversed toSpliced groupBy flat flatMap
    checkVisibility ResizeObserver BroadcastChannel globalThis queueMicrotask toggleAttribute
    WeakRef AggregateError trimStart trimEnd moveBefore setHTML isWellFormed withResolvers
"""
KINDS, FUNCTIONS = set(SYNTAX.split()), set(NEWER_FUNCTIONS.split())
GUARDED = {
    "showModal": "dialog.showModal ?",
    "submitter": "if (event.submitter)",
    "wakeLock": "if (!navigator.wakeLock)",
    "userActivation": "!navigator.userActivation ||",
    "vibrate": "if (navigator.vibrate",
    "audioSession": "if (audioSession)",
}


def nodes(node: Node):
    """Yield a node and all nodes below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def faults(source: bytes) -> list[str]:
    """Return what a browser of iOS 12 can't parse in a script, each with its line."""
    tree = PARSER.parse(source)
    found = []
    for node in nodes(tree.root_node):
        text, line = node.text.decode(), node.start_point[0] + 1
        wrong = None
        if node.is_error or node.is_missing:
            wrong = "a syntax error"
        elif node.type in NEWER_OPERATORS or (node.is_named and node.type not in KINDS):
            wrong = node.type
        elif node.type == "catch_clause" and node.child_by_field_name("parameter") is None:
            wrong = "catch without a parameter"
        elif node.type == "number" and ("_" in text or text.endswith("n")):
            wrong = f"the number {text}"
        elif node.type == "regex_flags" and set(text) - set("gimuy"):
            wrong = f"the flags {text}"
        elif node.type == "regex_pattern" and re.search(r"\(\?<|\\p\{", text):
            wrong = f"the pattern {text}"
        elif node.type == "await_expression" and not is_in_function(node):
            wrong = "await outside of a function"
        elif text.startswith("self.clients.matchAll("):
            continue  # a service worker's list of pages, which is as old as service workers
        elif node.type == "call_expression" and called_method(node) in FUNCTIONS:
            wrong = f".{called_method(node)}()"
        elif node.type == "identifier" and text in FUNCTIONS - {"at", "any", "flat"}:
            wrong = text
        if wrong:
            found.append(f"line {line}: {wrong}")
    return found


def called_method(call: Node) -> str | None:
    """Return the name of the method in `object.method()`."""
    method = call.child_by_field_name("function").child_by_field_name("property")
    return None if method is None else method.text.decode()


def is_in_function(node: Node) -> bool:
    while node := node.parent:
        if "function" in node.type or node.type == "method_definition":
            return True
    return False


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_read_by_an_old_browser(script):
    assert faults(script.read_bytes()) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_checks_for_newer_functions_before_using_them(script):
    source = script.read_text()
    for name, guard in GUARDED.items():
        uses = re.findall(rf"(?<![\w'])\.{name}\b", source)
        assert not uses or guard in source, name


@pytest.mark.parametrize(
    "newer",
    [
        "a?.b",
        "a?.()",
        "a ?? b",
        "a ||= b",
        "a &&= b",
        "a ??= b",
        "try { a() } catch { }",
        "1_000",
        "10n",
        "class A { x = 1 }",
        "class A { #x() {} }",
        "class A { static { } }",
        "import.meta.url",
        "await a()",
        "/(?<year>a)/",
        "/a/s",
        "[1].at(-1)",
        "'a'.replaceAll('a', 'b')",
        "e.replaceChildren()",
        "Object.fromEntries(a)",
        "structuredClone(a)",
        "if (",
    ],
)
def test_newer_syntax_is_detected(newer):
    assert faults(newer.encode())


@pytest.mark.parametrize(
    "old",
    [
        "const { a, ...b } = { ...c };",
        "async function f() { for (const a of b) await a; }",
        "export const f = (a = 1, ...b) => `${a}`;",
        "try { a() } catch (error) { }",
        "import { a as b } from './c.js';",
        "class A extends B { get x() { return this.y; } }",
        "const at = 1, o = { at };",
    ],
)
def test_syntax_of_old_browsers_is_accepted(old):
    assert faults(old.encode()) == []


def test_the_script_for_the_oldest_browsers_uses_nothing_of_this_century():
    assert not re.search(
        rb"=>|\b(const|let|class|async)\b|`", re.sub(rb"//.*", b"", (STATIC / "reload.js").read_bytes())
    )
