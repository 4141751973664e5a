"""Running SQL: statements with named parameters, and rows as dataclasses.

Statements run on the driver's own cursor: SQLAlchemy, which keeps the connections, would take longer for a
small statement than the database does. So what a statement raises is the driver's: see Engine.errors.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar, get_type_hints

from sqlalchemy.engine import Connection

# What differs: lists are arrays, rows are locked, 0.5 is rounded up, a cast to a whole number truncates, and
# parameters are written in another way.
FOR_POSTGRESQL = (
    (r"\bNOT IN :(\w+)", r"<> ALL (:\1)"),
    (r"\bIN :(\w+)", r"= ANY (:\1)"),
    (r"/\* (FOR UPDATE SKIP LOCKED) \*/", r"\1"),  # SQLite has one writer
    (r"\bround\(([^(),]+)\)", r"floor(\1 + 0.5)"),
    (r"\bCAST\(([^()]+(?:\([^()]*\)[^()]*)*) AS (BIGINT|INTEGER)\)", r"CAST(trunc(\1) AS \2)"),
    ("%", "%%"),
    (r"(?<![:\w]):(\w+)", r"%(\1)s"),
)
ROWS_CHANGED = "rows_changed"  # in Connection.info: how many rows a connection to PostgreSQL has changed

Model = TypeVar("Model")


class Statement:
    """A statement as a driver takes it, and the type of its rows."""

    def __init__(self, sql: str):
        self.sql = sql
        self.lists = sorted(set(re.findall(r"\bIN :(\w+)", sql)))
        self.columns = 0  # how many there are
        self.row_type: Any = None  # a named tuple

    def result(self, cursor: Any, columns: int) -> Result:
        """Return the result of the statement, which just ran and gave so many columns."""
        if columns != self.columns:  # it ran for the first time, or a newer version has added a column
            names = [column[0] for column in cursor.description]
            self.row_type = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            self.columns = columns
        return Result(cursor, self.row_type)


class Result:
    """The rows of a statement, with their columns as attributes. They can be read once."""

    def __init__(self, cursor: Any, row_type: Any):
        self._cursor = cursor
        self._row_type = row_type

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""
        return int(self._cursor.rowcount)

    def __iter__(self) -> Iterator[Any]:
        return map(self._row_type._make, self._cursor)

    def all(self) -> list[Any]:
        """Return all rows."""
        return list(self)

    def first(self) -> Any:
        """Return the first row, or None."""
        values = self._cursor.fetchone()
        self._cursor.close()  # a statement that isn't finished would go on reading
        return None if values is None else self._row_type._make(values)

    def one(self) -> Any:
        """Return the only row. Raises LookupError if there is none, or another one."""
        rows = self._cursor.fetchmany(2)
        self._cursor.close()
        if len(rows) != 1:
            raise LookupError("There must be exactly one row.")
        return self._row_type._make(rows[0])

    def scalar(self) -> Any:
        """Return the first column of the first row, or None."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first column of the only row. Raises LookupError if there is none, or another one."""
        return self.one()[0]

    def scalars(self) -> Iterator[Any]:
        """Iterate over the first column."""
        return map(itemgetter(0), self._cursor)


# ----- running statements

_statements: dict[str, Statement] = {}  # by their SQL
_postgresql_statements: dict[str, Statement] = {}


def run(db: Connection, sql: str, **parameters: Any) -> Result:
    """Run one SQL statement with named parameters; the parameter after IN is a list."""
    if is_postgresql(db):
        return _run_on_postgresql(db, sql, parameters)
    statement = _statements.get(sql)
    if statement is None:
        statement = _statements[sql] = Statement(sql)
    if statement.lists:
        sql = _with_lists(statement, parameters)
    cursor = driver_connection(db).execute(sql, parameters)
    return statement.result(cursor, len(cursor.description or ()))


def is_postgresql(db: Connection) -> bool:
    """Return True for a connection to PostgreSQL."""
    return db.dialect.name == "postgresql"


def driver_connection(db: Connection) -> Any:
    """Return the driver's connection under SQLAlchemy's."""
    return db.connection.driver_connection


def _with_lists(statement: Statement, parameters: dict[str, Any]) -> str:
    """Return SQL for SQLite with a parameter for each item of a list, and add those parameters."""
    sql = statement.sql
    for name in statement.lists:
        items = {f"{name}_{number}": item for number, item in enumerate(parameters.pop(name))}
        parameters.update(items)
        names = ", ".join(f":{item}" for item in items)
        sql = re.sub(rf"\bIN :{name}\b", f"IN ({names})", sql)
    return sql


def _run_on_postgresql(db: Connection, sql: str, parameters: dict[str, Any]) -> Result:
    """Run a statement in which each list is one parameter: it may be empty, and the plan is the same."""
    statement = _postgresql_statements.get(sql)
    if statement is None:
        statement = _postgresql_statements[sql] = Statement(sql)
        statement.sql = _for_postgresql(sql)
    for name in statement.lists:
        parameters[name] = list(parameters[name])
    cursor = driver_connection(db).execute(statement.sql, parameters)
    _count_changes(db, cursor)
    return statement.result(cursor, cursor.pgresult.nfields)


def _for_postgresql(sql: str) -> str:
    """Return a statement that gives on PostgreSQL what it gives on SQLite."""
    for pattern, replacement in FOR_POSTGRESQL:
        sql = re.sub(pattern, replacement, sql)
    return sql


def _count_changes(db: Connection, cursor: Any) -> None:
    if cursor.rowcount > 0 and not cursor.statusmessage.startswith("SELECT"):
        db.info[ROWS_CHANGED] = db.info.get(ROWS_CHANGED, 0) + cursor.rowcount


def insert(db: Connection, table: str, **values: Any) -> None:
    """Add a row."""
    run(db, _insert_sql(table, tuple(values)), **values)


def insert_returning(db: Connection, table: str, **values: Any) -> Any:
    """Add a row and return it."""
    return run(db, f"{_insert_sql(table, tuple(values))} RETURNING *", **values).one()


def insert_many(db: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Add rows that have the same columns."""
    if not rows:
        return
    sql = _insert_sql(table, tuple(rows[0]))
    cursor = driver_connection(db).cursor()
    if is_postgresql(db):
        cursor.executemany(_for_postgresql(sql), rows)
        _count_changes(db, cursor)
    else:
        cursor.executemany(sql, rows)


@cache
def _insert_sql(table: str, columns: tuple[str, ...]) -> str:
    parameters = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({parameters})"


def update(db: Connection, table: str, row_id: int, **values: Any) -> Any:
    """Change columns of a row and return it."""
    columns = ", ".join(f"{column} = :{column}" for column in values)
    sql = f"UPDATE {table} SET {columns} WHERE id = :row_id RETURNING *"
    return run(db, sql, row_id=row_id, **values).one()


# ----- rows as dataclasses


def load(model: type[Model], row: Any) -> Model:
    """Return a row as a dataclass.

    Columns fill the fields of the same name, and 0 and 1 become False and True where the field is a bool.
    Other columns are ignored; a field without a column keeps its default.
    """
    loader: Callable[[Any], Model] = _loader(model, type(row))  # type: ignore[arg-type]
    return loader(row)


def load_first(model: type[Model], result: Result) -> Model | None:
    """Return the first row of a result as a dataclass, or None."""
    row = result.first()
    return None if row is None else load(model, row)


def load_all(model: type[Model], result: Result | Iterable[Any]) -> list[Model]:
    """Return all rows of a result as dataclasses."""
    return [load(model, row) for row in result]


@cache
def _loader(model: type[Model], row_type: Any) -> Callable[[Any], Model]:
    """Return what makes a dataclass of a row of this type; each statement has its own type."""
    columns = row_type._fields
    types = get_type_hints(model)
    present = [item.name for item in fields(model) if item.name in columns]  # type: ignore[arg-type]
    missing = [
        item.name
        for item in fields(model)  # type: ignore[arg-type]
        if item.name not in columns and item.default is MISSING
    ]
    if missing:
        raise TypeError(f"{model.__name__} needs the columns {', '.join(missing)}")
    defaults = {item.name: item.default for item in fields(model) if item.name not in columns}  # type: ignore[arg-type]
    flags = [name for name in present if types[name] is bool]
    pick = itemgetter(*(columns.index(name) for name in present))

    def loader(row: Any) -> Model:
        # model(**values) would take four times as long, since it sets each field of a frozen dataclass by
        # object.__setattr__().
        item = object.__new__(model)
        values = item.__dict__
        values.update(defaults)
        values.update(zip(present, pick(row), strict=True))
        for name in flags:
            values[name] = bool(values[name])
        return item

    return loader
