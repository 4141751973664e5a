"""Running SQL: statements with named parameters, and rows as dataclasses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar, get_type_hints

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Row

# What differs: lists are arrays, 0.5 is rounded up, a cast to a whole number truncates.
FOR_POSTGRESQL = (
    (r"\bNOT IN :(\w+)", r"<> ALL (:\1)"),
    (r"\bIN :(\w+)", r"= ANY (:\1)"),
    (r"/\* (FOR UPDATE SKIP LOCKED) \*/", r"\1"),  # SQLite has one writer
    (r"\bround\(([^(),]+)\)", r"floor(\1 + 0.5)"),
    (r"\bCAST\(([^()]+(?:\([^()]*\)[^()]*)*) AS (BIGINT|INTEGER)\)", r"CAST(trunc(\1) AS \2)"),
)

Model = TypeVar("Model")

_statements: dict[str, sa.TextClause | sa.TextualSelect] = {}  # by their SQL
_postgresql_statements: dict[str, tuple[sa.TextClause | sa.TextualSelect, list[str]]] = {}


def run(db: Connection, sql: str, **parameters: Any) -> CursorResult[Any]:
    """Run one SQL statement with named parameters; the parameter after IN is a list."""
    if db.dialect.name == "postgresql":
        return _run_on_postgresql(db, sql, parameters)
    statement = _statements.get(sql)
    if statement is not None:
        return db.execute(statement, parameters)
    lists: list[sa.BindParameter[Any]] = [sa.bindparam(name, expanding=True) for name in _lists_in(sql)]
    statement = sa.text(sql).bindparams(*lists)
    result = db.execute(statement, parameters)
    _statements[sql] = _with_columns(statement, result)
    return result


def _run_on_postgresql(db: Connection, sql: str, parameters: dict[str, Any]) -> CursorResult[Any]:
    """Run a statement in which each list is one parameter: it may be empty, and the plan is the same."""
    known = _postgresql_statements.get(sql)
    lists = _lists_in(sql) if known is None else known[1]
    for name in lists:
        parameters[name] = list(parameters[name])
    if known is not None:
        return db.execute(known[0], parameters)
    statement = sa.text(_for_postgresql(sql))
    result = db.execute(statement, parameters)
    _postgresql_statements[sql] = _with_columns(statement, result), lists
    return result


def _for_postgresql(sql: str) -> str:
    """Return a statement that gives on PostgreSQL what it gives on SQLite."""
    for pattern, replacement in FOR_POSTGRESQL:
        sql = re.sub(pattern, replacement, sql)
    return sql


def _lists_in(sql: str) -> list[str]:
    return re.findall(r"\bIN :(\w+)", sql)


def _with_columns(statement: sa.TextClause, result: CursorResult[Any]) -> sa.TextClause | sa.TextualSelect:
    """Return a statement that names its columns: that saves SQLAlchemy a third of the cost of a small one."""
    return statement.columns(*map(sa.column, result.keys())) if result.returns_rows else statement


def insert(db: Connection, table: str, **values: Any) -> None:
    """Add a row."""
    run(db, _insert_sql(table, tuple(values)), **values)


def insert_returning(db: Connection, table: str, **values: Any) -> Row[Any]:
    """Add a row and return it."""
    return run(db, f"{_insert_sql(table, tuple(values))} RETURNING *", **values).one()


def insert_many(db: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Add rows that have the same columns."""
    if rows:
        # The driver takes named parameters too, at a third of the cost.
        prefix, suffix = ("%(", ")s") if db.dialect.name == "postgresql" else (":", "")
        db.exec_driver_sql(_insert_sql(table, tuple(rows[0]), prefix, suffix), rows)


@cache
def _insert_sql(table: str, columns: tuple[str, ...], prefix: str = ":", suffix: str = "") -> str:
    parameters = ", ".join(f"{prefix}{column}{suffix}" for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({parameters})"


def update(db: Connection, table: str, row_id: int, **values: Any) -> Row[Any]:
    """Change columns of a row and return it."""
    columns = ", ".join(f"{column} = :{column}" for column in values)
    sql = f"UPDATE {table} SET {columns} WHERE id = :row_id RETURNING *"
    return run(db, sql, row_id=row_id, **values).one()


# ----- rows as dataclasses


def load(model: type[Model], row: Row[Any]) -> Model:
    """Return a row as a dataclass.

    Columns fill the fields of the same name, and 0 and 1 become False and True where the field is a bool.
    Other columns are ignored; a field without a column keeps its default.
    """
    loader: Callable[[Row[Any]], Model] = _loader(model, row._fields)  # type: ignore[arg-type]
    return loader(row)


def load_first(model: type[Model], result: CursorResult[Any]) -> Model | None:
    """Return the first row of a result as a dataclass, or None."""
    row = result.first()
    return None if row is None else load(model, row)


def load_all(model: type[Model], result: CursorResult[Any] | Iterable[Row[Any]]) -> list[Model]:
    """Return all rows of a result as dataclasses."""
    return [load(model, row) for row in result]


@cache
def _loader(model: type[Model], columns: tuple[str, ...]) -> Callable[[Row[Any]], Model]:
    types = get_type_hints(model)
    present = [item.name for item in fields(model) if item.name in columns]  # type: ignore[arg-type]
    missing = [
        item.name
        for item in fields(model)  # type: ignore[arg-type]
        if item.name not in columns and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise TypeError(f"{model.__name__} needs the columns {', '.join(missing)}")
    flags = [name for name in present if types[name] is bool]
    pick = itemgetter(*(columns.index(name) for name in present))

    def loader(row: Row[Any]) -> Model:
        values = dict(zip(present, pick(row), strict=True))
        for name in flags:
            values[name] = bool(values[name])
        return model(**values)

    return loader
