"""Restore: which backup becomes the database, what it never loses, and which instance may be the master."""

import gzip
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from helpers.app import HERE
from helpers.client import AppClient
from helpers.places import Place, open_deli
from helpers.versions import FAILS, NEXT, REBUILDS_PLACE, dump, rows

from app.backup import generations, s3
from app.backup.handover import HandOverTimeouts
from app.backup.restore import restore
from app.backup.stores import open_store
from app.errors import CannotStart
from app.storage.schema import SCHEMA


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def elsewhere(tmp_path):
    """Another machine's data directory, with nothing in it."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.fixture
def stored(invoke, database, stick):
    """A shop with two tickets that is closed and backed up; where the copies are."""
    assert invoke("backup", "--to", stick.url).returncode == 0
    return stick


def facts(path):
    return dict(rows(path, "SELECT name, value FROM fact"))


def whole(path):
    """The numbers in a database; fails when it isn't whole."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return [number for (number,) in rows(path, "SELECT number FROM ticket ORDER BY id")]


def take(path, number):
    """One more ticket, as if somebody had taken it."""
    with closing(sqlite3.connect(path)) as db:
        columns = [column for _, column, *_ in rows(path, "PRAGMA table_info(ticket)") if column != "id"]
        values = {column: column for column in columns} | {
            "number": f"'{number}'",
            "token": "lower(hex(randomblob(16)))",
        }
        values |= {"servicer_id": "NULL", "state": "'waiting'"}
        sql = f"SELECT {', '.join(values.values())} FROM ticket WHERE number = 'A2'"
        db.execute(f"INSERT INTO ticket ({', '.join(values)}) {sql}")
        db.commit()


def forge(storage, content, generation=1, sequence=9, schema=SCHEMA, tickets=2, size=None):
    """Stores something under the name of a copy."""
    size = len(content) if size is None else size
    name = f"{generation:08}/{sequence:010}-20261121T110000Z-{schema}-{tickets}t-{size}b.db.gz"
    storage.put(name, content)
    return name


# ----- all of it is there again


def test_a_lost_shop_goes_on_as_if_nothing_had_been(invoke, start, place, database, storage, data):
    picture, secret = place.links["customers"], facts(database)["secret_key"]
    invoke("backup", "--to", storage.url)
    before = dump(database)
    shutil.rmtree(data)
    ended = invoke("restore", "--from", storage.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.match(
        r"Restored 2026-11-21T10:00:00Z, 1/1, .* 2 tickets, .*; it is generation 2 now\.", ended.stdout
    )
    assert [line for line in dump(database) if "fact" not in line] == [
        line for line in before if "fact" not in line
    ]
    assert facts(database)["secret_key"] == secret
    assert sorted(path.name for path in data.iterdir()) == ["takeanumber.db"]
    again = Place(AppClient(start()), {"slug": place.slug, "links": place.links})
    assert again.client.get(picture).body["queues"][0]["waiting"] == ["A2"]
    assert again.customer().number == "A3"


def test_the_epoch_is_renewed_so_that_open_pages_take_it_for_news(invoke, database, stored):
    before = facts(database)
    invoke("restore", "--replace", "--from", stored.url)
    after = facts(database)
    assert after["epoch"] != before["epoch"]
    assert after["backup_claim"] != before["backup_claim"]
    assert (after["backup_generation"], after["backup_sequence"]) == ("2", "0")


def test_each_restore_begins_a_generation_and_the_newest_is_the_highest(invoke, clock, database, storage):
    invoke("backup", "--to", storage.url)
    invoke("backup", "--to", storage.url)
    clock.advance(hours=-1)  # no clock is asked which is the newest
    assert "generation 2" in invoke("restore", "--replace", "--from", storage.url).stdout
    take(database, "A3")
    invoke("backup", "--to", storage.url)
    told = invoke("backups", "--from", storage.url).stdout.splitlines()
    listed = [line.split(", ")[1] for line in told if "daily" not in line]
    assert listed == ["2/1", "1/2", "1/1"]
    assert "2/1, " in invoke("restore", "--replace", "--from", storage.url).stdout
    assert facts(database)["backup_generation"] == "3"
    assert whole(database) == ["A1", "A2", "A3"]


def test_hourly_and_daily_copies_count_as_well(invoke, database, stored, elsewhere):
    (name,) = stored.copies()
    stored.put("daily/" + name, stored.read(name))
    forge(stored, b"torn")
    stored.put("hourly/" + stored.copies()[-1], b"torn too")
    (stored.path / name).unlink()
    ended = invoke("restore", "--from", stored.url, "--data", str(elsewhere))
    assert ended.returncode == 0
    assert ended.stderr.count("Warning: ") == 2
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]


@pytest.mark.parametrize(
    ("at", "numbers"),
    [
        ("2026-11-21T10:00:00Z", 2),
        ("2026-11-21T10:59:59", 2),
        ("2026-11-21T12:00+01:00", 3),
        ("2026-11-22", 4),
    ],
)
def test_the_newest_made_until_a_time(invoke, clock, database, stored, elsewhere, at, numbers):
    for number in ("A3", "A4"):
        clock.advance(hours=1)
        take(database, number)
        invoke("backup", "--to", stored.url)
    assert invoke("restore", "--from", stored.url, "--data", str(elsewhere), "--at", at).returncode == 0
    assert len(whole(elsewhere / "takeanumber.db")) == numbers


def test_times_for_which_there_is_none(invoke, stored, elsewhere):
    where = ("--from", stored.url, "--data", str(elsewhere), "--or-new")
    assert "no backup that old" in invoke("restore", "--at", "2026-11-21T09:59Z", *where).said
    assert "2026-11-21T10:00Z" in invoke("restore", "--at", "yesterday", *where).said
    assert list(elsewhere.iterdir()) == []


# ----- what is there is never lost


def test_a_database_that_is_there_stays(invoke, database, stored):
    before = dump(database)
    for words in ([], ["--or-new"], ["--hand-over"]):
        assert "--replace" in invoke("restore", *words, "--from", stored.url).said
    assert dump(database) == before
    assert "00000002" not in str(stored.names())


def test_the_one_that_is_replaced_is_kept_with_all_it_held(invoke, clock, database, stored, data):
    code = f"""import os, sqlite3
db = sqlite3.connect({str(database)!r})
db.execute("UPDATE ticket SET number = 'Z' || number")
db.commit()
os._exit(0)"""  # killed, so that the change is in the WAL only
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (data / "takeanumber.db-wal").stat().st_size
    ended = invoke("restore", "--replace", "--from", stored.url)
    assert "takeanumber.db.before-restore-20261121T100000Z" in ended.stdout
    assert invoke("restore", "--replace", "--from", stored.url).returncode == 0  # in the same second
    kept = [f"takeanumber.db.before-restore-20261121T100000Z{more}" for more in ("", "-2")]
    assert sorted(path.name for path in data.iterdir()) == ["takeanumber.db", *kept]
    assert [whole(data / name) for name in kept] == [["ZA1", "ZA2"], ["A1", "A2"]]
    assert whole(database) == ["A1", "A2"]


def test_not_while_a_server_has_it_open(invoke, start, database, stored, data):
    app = start()
    before = dump(database)
    assert "stop the server" in invoke("restore", "--replace", "--from", stored.url).said
    assert dump(database) == before
    assert [path.name for path in data.iterdir() if "restore" in path.name] == []
    app.extensions["takeanumber"].database.close()
    assert invoke("restore", "--replace", "--from", stored.url).returncode == 0


@pytest.mark.parametrize("replace", [False, True])
def test_nor_one_that_a_server_made_meanwhile(
    start, bucket, way, invoke, database, elsewhere, monkeypatch, replace
):
    invoke("backup", "--to", bucket.url)
    monkeypatch.setattr(s3, "READ_TIMEOUT_S", 10)
    hand_on, made = way.handle, []

    def slow(request, port):
        if not made and ".db.gz" in request.path:  # the copy is on its way
            made.append(open_deli(AppClient(start(data=elsewhere))))
            made[0].customer()
        hand_on(request, port)

    way.handle = slow
    words = ["restore", "--from", bucket.url, "--data", str(elsewhere), *["--replace"] * replace]
    assert "somebody else made" in invoke(*words).said
    assert made[0].customer().number == "A2"
    with closing(
        sqlite3.connect(elsewhere / "takeanumber.db")
    ) as db:  # what the server sees is what is there
        assert db.execute("SELECT count(*) FROM ticket").fetchone() == (2,)
    assert [path.name for path in elsewhere.iterdir() if "before-restore" in path.name] == []


@pytest.mark.parametrize(
    "content", [b"", b"Dear diary, " * 1000, None], ids=["empty", "no database", "damaged"]
)
def test_a_broken_database_is_replaced_and_kept(invoke, database, stored, data, content):
    content = database.read_bytes()[:8192] + b"?" * 8192 if content is None else content
    database.write_bytes(content)
    assert invoke("restore", "--from", stored.url).said
    assert database.read_bytes() == content
    assert invoke("restore", "--replace", "--from", stored.url).returncode == 0
    assert whole(database) == ["A1", "A2"]
    (kept,) = [path for path in data.iterdir() if "before-restore" in path.name]
    assert kept.read_bytes() == content


def test_what_another_database_left_beside_does_no_harm(invoke, database, stored, elsewhere):
    take(database, "A3")
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        take(database, "A4")
        shutil.copy(f"{database}-wal", elsewhere / "takeanumber.db-wal")
        shutil.copy(f"{database}-shm", elsewhere / "takeanumber.db-shm")
    assert invoke("restore", "--from", stored.url, "--data", str(elsewhere)).returncode == 0
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["takeanumber.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_restored_by_root_it_belongs_to_whom_the_directory_belongs(invoke, stored, elsewhere):
    os.chown(elsewhere, 900, 900)
    invoke("restore", "--from", stored.url, "--data", str(elsewhere))
    made = (elsewhere / "takeanumber.db").stat()
    assert (made.st_uid, made.st_gid) == (900, 900)


# Ends itself at the n-th file that it opens, renames or removes, or at the n-th look into a database.
KILLED = """
import os, signal, sys
from pathlib import Path
from click.testing import CliRunner
sys.path.insert(0, sys.argv[1])
import takeanumber, app.backup.restore, shutil, tempfile, alembic.command
data, url, left = Path(sys.argv[2]), sys.argv[3], 0
moments = {"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.rmdir", "sqlite3.connect"}
def watch(event, args):
    global left
    if left and event in moments:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
for moment in range(1, 1000):
    if data.exists():
        shutil.rmtree(data)
    shutil.copytree(data.with_name("template"), data)
    child = os.fork()
    if not child:
        sys.addaudithook(watch)
        left = moment
        words = ["restore", "--replace", "--from", url, "--data", str(data)]
        os._exit(CliRunner().invoke(takeanumber.cli, words).exit_code)
    status = os.waitpid(child, 0)[1]
    print(moment, status, flush=True)
    shutil.copytree(data, data.with_name(f"after-{moment}"))
    if not os.WIFSIGNALED(status):
        break
"""


def test_killed_at_any_moment_the_old_or_the_new_is_there_whole(invoke, database, stored, tmp_path, data):
    take(database, "A3")
    database.parent.rename(tmp_path / "template")
    code = [sys.executable, "-c", KILLED, str(HERE), str(data), stored.url]
    ended = subprocess.run(code, capture_output=True, text=True, check=True)
    *killed, last = [line.split() for line in ended.stdout.splitlines()]
    assert len(killed) > 10
    assert last[1] == "0"
    found = []
    for moment, _ in [*killed, last]:
        left = tmp_path / f"after-{moment}"
        found.append(whole(left / "takeanumber.db"))
        assert found[-1] in (["A1", "A2", "A3"], ["A1", "A2"])
        for kept in left.glob("*.before-restore-*"):
            assert whole(kept) == ["A1", "A2", "A3"]
    assert found == sorted(found, reverse=True)
    assert found[0] == ["A1", "A2", "A3"]
    assert found[-1] == ["A1", "A2"]
    # Whatever was left behind is gone after the next one.
    assert (
        invoke("restore", "--replace", "--from", stored.url, "--data", str(tmp_path / "after-9")).returncode
        == 0
    )
    assert list((tmp_path / "after-9").glob(".backup-*")) == []


@pytest.mark.parametrize("limit", [2_000, 100_000], ids=["downloading", "unpacking"])
def test_a_full_disk(invoke, database, stored, tmp_path, data, limit):
    before, names = dump(database), sorted(path.name for path in data.iterdir())
    for words in (["--replace"], ["--data", str(tmp_path / "empty")]):
        ended = subprocess.run(
            [sys.executable, HERE / "takeanumber.py", "restore", "--from", stored.url, *words],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        assert re.fullmatch(r"Error: Restoring .* failed: .*\.\n", ended.stderr)
    assert dump(database) == before
    assert sorted(path.name for path in data.iterdir()) == names
    assert list((tmp_path / "empty").iterdir()) == []


# ----- broken copies


def broken_copies(path):
    """All ways in which the newest can be broken, by what happened to it."""
    plain = path.read_bytes()
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE diary (day TEXT)")
    ((page, size),) = rows(
        path, "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'ticket_line'"
    )
    holed = plain[: (page - 1) * size] + bytes(size) + plain[page * size :]
    good = gzip.compress(plain, 1)
    return {
        "torn": good[: len(good) // 2],
        "empty": b"",
        "not packed": plain,
        "not SQLite": gzip.compress(b"Dear diary, " * 1000),
        "nothing packed": gzip.compress(b""),
        "half a database": gzip.compress(plain[: len(plain) // 2 // 4096 * 4096]),
        "of something else": gzip.compress(other.read_bytes()),
        "a page of it lost": gzip.compress(holed),
        "flipped": good[:2000] + bytes([good[2000] ^ 1]) + good[2001:],
    }


def test_a_broken_one_is_skipped_with_a_warning(invoke, database, stored, elsewhere):
    where = ("--from", stored.url, "--data", str(elsewhere))
    for number, (what, content) in enumerate(broken_copies(database).items(), 2):
        name = forge(stored, content, sequence=number)
        assert "is broken" in invoke("verify", *where).said, what
        ended = invoke("restore", *where)
        assert (ended.returncode, ended.stderr.count("Warning: ")) == (0, number - 1), what
        assert name in ended.stderr, what
        assert "1/1" in ended.stdout
        assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]
        (elsewhere / "takeanumber.db").unlink()


def test_one_that_is_shorter_than_its_name_says(invoke, database, stored, elsewhere):
    name = forge(stored, stored.read(stored.copies()[0])[:1000], size=4000)
    assert name in invoke("restore", "--from", stored.url, "--data", str(elsewhere)).stderr
    forge(stored, gzip.compress(database.read_bytes()), sequence=10, tickets=3)
    said = invoke("verify", "--from", stored.url).said
    assert "2 tickets instead of 3" in said


def test_when_all_are_broken_what_is_there_stays(invoke, database, stick, data):
    before = dump(database)
    for number, content in enumerate(broken_copies(database).values(), 1):
        forge(stick, content, sequence=number)
    ended = invoke("restore", "--replace", "--from", stick.url)
    assert "no whole backup" in ended.said
    assert ended.stderr.count("Warning: ") == 9
    assert dump(database) == before
    (data.parent / "empty").mkdir()
    assert (
        "no whole backup"
        in invoke("restore", "--or-new", "--from", stick.url, "--data", str(data.parent / "empty")).said
    )
    assert list((data.parent / "empty").iterdir()) == []


# ----- versions


def test_one_of_a_newer_version_ends_it(invoke, database, stored, elsewhere, tmp_path):
    newer = tmp_path / "newer.db"
    shutil.copy(database, newer)
    with closing(sqlite3.connect(newer)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    before, where = dump(database), ("--from", stored.url)
    packed = gzip.compress(newer.read_bytes())
    for sequence, schema in ((8, SCHEMA), (9, "9999")):  # the name may tell, or only what is in it
        forge(stored, packed, sequence=sequence, schema=schema)
        for words in (["--replace"], ["--data", str(elsewhere)], ["--data", str(elsewhere), "--or-new"]):
            assert "newer version" in invoke("restore", *words, *where).said
    assert "newer version" in invoke("restore", "--hand-over", "--data", str(elsewhere), *where).said
    assert "masters/00000002/claim" not in stored.names()  # nobody was asked to hand over for that
    at = ("--at", "2026-11-21T10:30Z", "--data", str(tmp_path / "earlier"))
    assert "1/1" in invoke("restore", *at, *where).stdout  # one that was asked for
    assert dump(database) == before
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_one_of_an_older_version_is_upgraded(invoke, old_version, start, place, stick, elsewhere, revision):
    old = old_version(revision)
    invoke("backup", "--to", stick.url, "--data", str(old.parent))
    ended = invoke("restore", "--from", stick.url, "--data", str(elsewhere))
    assert (ended.returncode, ended.stderr) == (0, "")
    new = elsewhere / "takeanumber.db"
    assert rows(new, "SELECT version_num FROM alembic_version") == [(SCHEMA,)]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["takeanumber.db"]
    assert rows(new, "PRAGMA foreign_key_check") == []
    again = Place(AppClient(start(data=elsewhere)), {"slug": place.slug, "links": place.links})
    assert again.queue()["waiting"] == ["A2"]


def test_an_upgrade_that_fails_leaves_what_is_there(database, stored, next_version, command, data):
    before, names = dump(database), sorted(path.name for path in data.iterdir())
    ended = command("restore", "--replace", "--from", stored.url, program=next_version(FAILS))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"Error: Upgrading the backup 0.* failed.*\n", ended.stderr)
    assert dump(database) == before
    assert sorted(path.name for path in data.iterdir()) == names


def test_the_next_version_restores_and_serves_what_this_one_stored(stored, next_version, command, elsewhere):
    program = next_version(REBUILDS_PLACE)
    ended = command("restore", "--from", stored.url, "--data", str(elsewhere), program=program)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert rows(elsewhere / "takeanumber.db", "SELECT motto FROM place") == [("Fresh every day",)]
    assert rows(elsewhere / "takeanumber.db", "SELECT version_num FROM alembic_version") == [(NEXT,)]


# ----- a new one, where certainly none was


def test_or_new(invoke, start, storage, elsewhere):
    where = ("--from", storage.url, "--data", str(elsewhere))
    assert "no backup" in invoke("restore", *where).said
    ended = invoke("restore", "--or-new", *where)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "new database" in ended.stdout
    assert [path.name for path in elsewhere.iterdir()] == ["takeanumber.db"]
    assert AppClient(start(data=elsewhere, require_database=1)).get("/").status == 200


def test_or_new_where_something_else_is_stored(invoke, stick, elsewhere):
    stick.put("holidays/2019.jpg", b"?")
    said = invoke("restore", "--or-new", "--from", stick.url, "--data", str(elsewhere)).said
    assert "holidays/2019.jpg" in said
    assert list(elsewhere.iterdir()) == []


def test_or_new_where_all_backups_are_gone(invoke, stored, elsewhere):
    for name in stored.copies() + stored.names("daily/"):
        (stored.path / name).unlink()
    where = ("--from", stored.url, "--data", str(elsewhere))
    for words in ([], ["--hand-over"]):
        assert "choose another place" in invoke("restore", "--or-new", *words, *where).said
    assert list(elsewhere.iterdir()) == []


def test_or_new_after_one_that_never_served(invoke, storage, elsewhere):
    where = ("--from", storage.url, "--data", str(elsewhere))
    assert invoke("restore", "--or-new", "--hand-over", *where).returncode == 0
    (elsewhere / "takeanumber.db").unlink()  # its machine was thrown away
    typed_again = invoke("restore", "--or-new", *where)
    assert "generation 2" in typed_again.stdout


# ----- handing over


@pytest.fixture
def hand_over(invoke, elsewhere, monkeypatch):
    """A new machine that asks to hand over, and waits for a second."""
    monkeypatch.setenv("TAKEANUMBER_HANDOVER_S", "1")

    def ask(storage, *words):
        return invoke("restore", "--hand-over", "--from", storage.url, "--data", str(elsewhere), *words)

    return ask


def test_the_old_one_stores_a_last_copy_and_answers(
    invoke, database, storage, hand_over, elsewhere, monkeypatch
):
    monkeypatch.setenv("TAKEANUMBER_HANDOVER_S", "30")  # it goes on as soon as there is an answer
    invoke("backup", "--to", storage.url)
    take(database, "A3")

    def old_one():
        while "masters/00000002/claim" not in storage.names():
            time.sleep(0.02)
        invoke("backup", "--to", storage.url)
        storage.put("masters/00000002/handed", json.dumps({"handed": storage.copies()[-1]}).encode())

    old = threading.Thread(target=old_one)
    old.start()
    ended = hand_over(storage)
    old.join()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2", "A3"]
    mine = json.loads(storage.read("masters/00000002/claim"))["claim"]
    assert facts(elsewhere / "takeanumber.db")["backup_claim"] == mine
    assert facts(elsewhere / "takeanumber.db")["backup_generation"] == "2"
    assert "masters/00000002/decided" not in storage.names()  # that is for whoever serves


def test_one_that_has_begun_to_answer_is_waited_for(invoke, database, stick, hand_over, elsewhere):
    """Or what it answered since the copy before would be lost."""
    invoke("backup", "--to", stick.url)
    take(database, "A3")

    def old_one():
        while "masters/00000002/claim" not in stick.names():
            time.sleep(0.02)
        stick.put("masters/00000002/heard", b'{"heard": "yes"}')
        time.sleep(1.3)  # longer than it would wait for nobody
        invoke("backup", "--to", stick.url)
        stick.put("masters/00000002/handed", json.dumps({"handed": stick.copies()[-1]}).encode())

    old = threading.Thread(target=old_one)
    old.start()
    ended = hand_over(stick)
    old.join()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2", "A3"]


def test_nobody_answers(stored, hand_over, elsewhere):
    began = time.monotonic()
    assert hand_over(stored).returncode == 0
    assert time.monotonic() - began > 1
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]
    assert json.loads(stored.read("masters/00000002/handed")) == {
        "handed": "nobody",
        "at": "20261121T100000Z",
    }


def test_two_new_ones_at_once(invoke, database, storage, hand_over, elsewhere, tmp_path, monkeypatch):
    invoke("backup", "--to", storage.url)
    both, claim, ended = threading.Barrier(2), generations.claim, {}

    def claim_together(*args):
        both.wait(10)
        return claim(*args)

    def ask(path):
        try:
            ended[path.name] = restore(
                path / "takeanumber.db", open_store(storage.url), hand_over=HandOverTimeouts(0)
            )
        except CannotStart as problem:
            ended[path.name] = str(problem)

    monkeypatch.setattr(generations, "claim", claim_together)
    new = [threading.Thread(target=ask, args=(tmp_path / name,)) for name in ("one", "two")]
    for each in new:
        each.start()
    for each in new:
        each.join()
    (lost,) = [name for name, said in ended.items() if "Another server is taking over" in str(said)]
    (won,) = {"one", "two"} - {lost}
    assert ended[won].generation == 2
    assert whole(tmp_path / won / "takeanumber.db") == ["A1", "A2"]
    assert list((tmp_path / lost).iterdir()) == []
    assert "masters/00000002/decided" not in storage.names()  # who lost withdrew nothing


def test_one_that_fails_afterwards_gives_up_its_claim(invoke, database, stick, hand_over, elsewhere):
    forge(stick, b"torn", sequence=1)
    assert "no whole backup" in hand_over(stick).said
    assert json.loads(stick.read("masters/00000002/decided"))["decided"] == "withdrawn"
    assert list(elsewhere.iterdir()) == []
    invoke("backup", "--to", stick.url)
    assert "generation 3" in hand_over(stick).stdout
