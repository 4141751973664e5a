"""Upgrades of the database, and upgrades that fail."""

import re
import shutil
import sys

import pytest
from helpers.client import AppClient
from helpers.forks import ROOT
from helpers.places import Place, new_tap
from helpers.soak import soak_after
from helpers.versions import FAILS, LOSES_CHILDREN, NEXT, REBUILDS_PLACE, dump, make_schema, rows

from app.storage.schema import SCHEMA

FIRST_TABLES = ("place", "queue", "servicer", "servicer_queue", "ticket", "event", "fact")  # of schema 0001


def schema(path):
    """Return tables, columns, references and indexes, independent of how their SQL is written."""

    def plain(sql):
        return re.sub(r'[\s"]+', " ", sql or "").strip()

    found = {}
    for kind, name, sql in rows(
        path, "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    ):
        if kind == "table":
            references = rows(path, f"PRAGMA foreign_key_list({name})")
            found[name] = {
                "columns": rows(path, f"PRAGMA table_info({name})"),
                "references": sorted(reference[2:] for reference in references),
                "autoincrement": "AUTOINCREMENT" in sql.upper(),
            }
        else:
            found[name] = (kind, plain(sql))
    return found


def test_a_new_database_has_the_schema_of_an_upgraded_one(tmp_path, database):
    upgraded = tmp_path / "upgraded.db"
    make_schema(upgraded, "head")
    made, grown = schema(database), schema(upgraded)
    assert made.keys() == grown.keys()
    for name in made:
        assert made[name] == grown[name]
    version = "SELECT version_num FROM alembic_version"
    assert rows(database, version) == rows(upgraded, version) == [(SCHEMA,)]


def test_a_shop_of_the_first_version_goes_on_and_gets_counters(place, old_version, start):
    first_version = old_version("0001")
    assert rows(first_version, "SELECT version_num FROM alembic_version") == [("0001",)]
    columns = {
        table: ", ".join(column for _, column, *_ in rows(first_version, f"PRAGMA table_info({table})"))
        for table in FIRST_TABLES
    }
    before = {table: rows(first_version, f"SELECT {names} FROM {table}") for table, names in columns.items()}
    assert all(before[table] for table in ("place", "queue", "servicer", "ticket", "event", "fact"))
    app = start(data=first_version.parent)
    after = {table: rows(first_version, f"SELECT {names} FROM {table}") for table, names in columns.items()}
    assert after == before
    assert rows(first_version, "SELECT version_num FROM alembic_version") == [(SCHEMA,)]
    assert rows(first_version, "PRAGMA foreign_key_check") == []
    assert rows(first_version, "PRAGMA integrity_check") == [("ok",)]
    shop = Place(AppClient(app), {"slug": place.slug, "links": place.links})
    assert (shop.queue()["waiting"], shop.queue()["called"][0]["number"]) == (["A2"], "A1")
    assert (shop.queue()["door"], shop.picture()["counters"]) == (None, [])
    version = shop.picture()["version"]
    assert shop.customer().number == "A3"
    assert shop.picture()["version"] > version
    assert shop.owner_post("/counters", name="Shop", capacity=1, admits="deli").status == 201
    assert shop.door().send_taps(new_tap(1, number="A2")).body["count"] == 1
    assert shop.queue()["waiting"] == ["A3"]


def test_the_newest_migration_is_what_the_code_expects():
    versions = sorted(path.stem for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert versions[-1] == SCHEMA


def test_new_migrations_take_the_types_that_are_right_on_postgresql_too():
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        if path.stem > "0013":  # older ones are kept as they were
            assert re.findall(r"\bsa\.(?:Integer|Text|String|BigInteger)\b", path.read_text()) == []


def test_serving_upgrades_and_children_keep_their_parents(database, next_version, start_server):
    children = {table: f"SELECT * FROM {table}" for table in ("queue", "servicer", "ticket", "event")}
    before = {table: rows(database, sql) for table, sql in children.items()}
    serve = [sys.executable, str(next_version(REBUILDS_PLACE) / "takeanumber.py"), "serve"]
    server = start_server(command=serve, data=database.parent)
    assert server.get("/corner-deli").body["queues"][0]["waiting"] == ["A2"]
    assert server.post("/corner-deli/deli/tickets").body["number"] == "A3"
    assert server.stop() == 0
    assert rows(database, "SELECT motto FROM place") == [("Fresh every day",)]
    assert rows(database, "SELECT version_num FROM alembic_version") == [(NEXT,)]
    assert rows(database, "PRAGMA foreign_key_check") == []
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    for table, sql in children.items():
        old = [row for row in before[table] if table != "queue"]
        assert [row for row in rows(database, sql) if row in old] == old
    assert rows(database, "SELECT name FROM ticket WHERE number = 'A1'") == [("Zoë",)]


def test_a_copy_of_the_old_database_is_put_beside(database, next_version, start_server):
    before = dump(database)
    serve = [sys.executable, str(next_version(REBUILDS_PLACE) / "takeanumber.py"), "serve"]
    start_server(command=serve, data=database.parent).stop()
    (copy,) = [path for path in database.parent.iterdir() if "before" in path.name]
    assert copy.name == f"takeanumber.db.before-{NEXT}"
    assert dump(copy) == before


def test_the_copy_can_be_used_again(tmp_path, database, next_version, start_server):
    serve = [sys.executable, str(next_version(REBUILDS_PLACE) / "takeanumber.py"), "serve"]
    start_server(command=serve, data=database.parent).stop()
    (tmp_path / "old").mkdir()
    shutil.copy(f"{database}.before-{NEXT}", tmp_path / "old" / "takeanumber.db")
    assert start_server(data=tmp_path / "old").get("/corner-deli").body["queues"][0]["waiting"] == ["A2"]


@pytest.mark.parametrize("migration", soak_after(1, [FAILS, LOSES_CHILDREN]), ids=["fails", "loses children"])
def test_an_upgrade_that_fails_leaves_everything_as_it_was_and_says_so(
    database, next_version, command, migration
):
    before = dump(database)
    ended = command(program=next_version(migration))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    said = ended.stderr.splitlines()[-1]
    assert said.startswith("Error: ")
    assert str(database) in said
    assert "as it was" in said
    assert dump(database) == before
    assert command("links").returncode == 0  # the old version still works


@pytest.mark.soak
def test_after_an_upgrade_that_failed_a_better_one_works(database, next_version, command, start_server):
    assert command(program=next_version(FAILS)).returncode == 1
    serve = [sys.executable, str(next_version(REBUILDS_PLACE) / "takeanumber.py"), "serve"]
    server = start_server(command=serve, data=database.parent)
    assert server.get("/corner-deli").body["queues"][0]["waiting"] == ["A2"]


def test_links_does_not_upgrade(database, next_version, command):
    before = dump(database)
    ended = command("links", program=next_version(REBUILDS_PLACE))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "older version" in ended.stderr
    assert dump(database) == before


@pytest.mark.parametrize("words", soak_after(1, [[], ["links"]]))
def test_the_old_version_refuses_what_the_new_one_wrote(database, next_version, start_server, command, words):
    serve = [sys.executable, str(next_version(REBUILDS_PLACE) / "takeanumber.py"), "serve"]
    start_server(command=serve, data=database.parent).stop()
    before = dump(database)
    ended = command(*words)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "newer version" in ended.stderr
    assert dump(database) == before
