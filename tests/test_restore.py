"""Restore: which backup becomes the database, what it never loses, and which instance may be the master."""

import gzip
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from helpers.client import AppClient
from helpers.forks import ROOT
from helpers.places import Place, open_deli
from helpers.soak import soak_after
from helpers.versions import FAILS, NEXT, REBUILDS_PLACE, dump, rows

from app.backup.last import LAST
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
    """A shop with two tickets that was backed up and stopped; returns the storage."""
    assert invoke("backup", "--to", stick.url).returncode == 0
    return stick


def facts(path):
    return dict(rows(path, "SELECT name, value FROM fact"))


def whole(path):
    """Return the numbers in a database, and check its integrity."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return [number for (number,) in rows(path, "SELECT number FROM ticket ORDER BY id")]


def take(path, number):
    """Add one more ticket to a database."""
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


def forge(storage, content, term=1, sequence=9, schema=SCHEMA, tickets=2, size=None):
    """Store content under the name of a copy."""
    size = len(content) if size is None else size
    name = f"{term:08}/{sequence:010}-20261121T110000Z-{schema}-{tickets}t-{size}b.db.gz"
    storage.put(name, content)
    return name


# ----- a lost database


def test_a_lost_shop_goes_on_as_if_nothing_had_been(invoke, start, place, database, storage, data):
    picture, secret = place.links["customers"], facts(database)["secret_key"]
    invoke("backup", "--to", storage.url)
    before = dump(database)
    shutil.rmtree(data)
    ended = invoke("restore", "--from", storage.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.match(r"Restored 2026-11-21T10:00:00Z, 1/1, .* 2 tickets, schema \d+\.\n", ended.stdout)
    assert [line for line in dump(database) if "fact" not in line] == [
        line for line in before if "fact" not in line
    ]
    assert facts(database)["secret_key"] == secret
    assert sorted(path.name for path in data.iterdir()) == ["takeanumber.db"]
    again = Place(AppClient(start()), {"slug": place.slug, "links": place.links})
    assert again.client.get(picture).body["queues"][0]["waiting"] == ["A2"]
    assert again.customer().number == "A3"


def test_a_restore_renews_the_epoch(invoke, database, stored):
    before = facts(database)
    invoke("restore", "--replace", "--from", stored.url)
    after = facts(database)
    assert after["epoch"] != before["epoch"]
    assert before["lease_holders"]
    assert after["lease_holders"] == ""  # a restored copy doesn't hold the lease


def test_the_newest_copy_has_the_highest_term_and_sequence(invoke, clock, database, storage):
    invoke("backup", "--to", storage.url)
    invoke("backup", "--to", storage.url)
    clock.advance(hours=-1)  # clocks don't decide which is the newest
    take(database, "A3")
    invoke("backup", "--to", storage.url)
    told = invoke("backups", "--all", "--from", storage.url).stdout.splitlines()
    listed = [line.split(", ")[1] for line in told if ", " in line and "daily" not in line]
    assert listed == ["1/3", "1/2", "1/1"]
    assert "1/3, " in invoke("restore", "--replace", "--from", storage.url).stdout
    assert whole(database) == ["A1", "A2", "A3"]
    forge(storage, storage.read(storage.copies()[0]), term=7, sequence=1)
    assert "7/1, " in invoke("restore", "--replace", "--from", storage.url).stdout
    assert whole(database) == ["A1", "A2"]


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


def test_a_time_without_a_copy_is_refused(invoke, stored, elsewhere):
    where = ("--from", stored.url, "--data", str(elsewhere), "--or-new")
    assert "no backup that old" in invoke("restore", "--at", "2026-11-21T09:59Z", *where).said
    assert "2026-11-21T10:00Z" in invoke("restore", "--at", "yesterday", *where).said
    assert list(elsewhere.iterdir()) == []


# ----- an existing database is never lost


def test_an_existing_database_is_not_replaced_without_the_option(invoke, database, stored):
    before = dump(database)
    for words in ([], ["--or-new"], ["--hand-over"]):
        assert "--replace" in invoke("restore", *words, "--from", stored.url).said
    assert dump(database) == before


def test_a_replaced_database_is_kept_whole(invoke, clock, database, stored, data):
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


def test_a_database_in_use_is_not_replaced(invoke, start, database, stored, data):
    app = start()
    before = dump(database)
    assert "stop the server" in invoke("restore", "--replace", "--from", stored.url).said
    assert dump(database) == before
    assert [path.name for path in data.iterdir() if "restore" in path.name] == []
    app.extensions["takeanumber"].database.close()
    assert invoke("restore", "--replace", "--from", stored.url).returncode == 0


@pytest.mark.parametrize("replace", [False, True])
def test_a_database_created_meanwhile_is_not_replaced(
    start, bucket, way, invoke, database, elsewhere, replace
):
    invoke("backup", "--to", bucket.url)
    hand_on, made = way.handle, []

    def slow(request, port):
        if not made and ".db.gz" in request.path:  # while the copy is being downloaded
            made.append(open_deli(AppClient(start(data=elsewhere))))
            made[0].customer()
        hand_on(request, port)

    way.handle = slow
    words = ["restore", "--from", bucket.url, "--data", str(elsewhere), *["--replace"] * replace]
    assert "somebody else made" in invoke(*words).said
    assert made[0].customer().number == "A2"
    with closing(
        sqlite3.connect(elsewhere / "takeanumber.db")
    ) as db:  # the server still uses the file that is there
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


def test_leftover_files_of_another_database_do_no_harm(invoke, database, stored, elsewhere):
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
def test_a_restore_by_root_belongs_to_the_owner_of_the_directory(invoke, stored, elsewhere):
    os.chown(elsewhere, 900, 900)
    invoke("restore", "--from", stored.url, "--data", str(elsewhere))
    made = (elsewhere / "takeanumber.db").stat()
    assert (made.st_uid, made.st_gid) == (900, 900)


# Exits at the n-th time that it opens, renames or removes a file, or connects to a database.
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


def test_a_restore_killed_at_any_moment_leaves_one_whole_database(invoke, database, stored, tmp_path, data):
    take(database, "A3")
    database.parent.rename(tmp_path / "template")
    code = [sys.executable, "-c", KILLED, str(ROOT), str(data), stored.url]
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
    # The next restore removes all leftovers.
    assert (
        invoke("restore", "--replace", "--from", stored.url, "--data", str(tmp_path / "after-9")).returncode
        == 0
    )
    assert list((tmp_path / "after-9").glob(".backup-*")) == []


@pytest.mark.parametrize("limit", soak_after(1, [100_000, 2_000]), ids=["unpacking", "downloading"])
def test_a_full_disk(invoke, database, stored, tmp_path, data, limit):
    before, names = dump(database), sorted(path.name for path in data.iterdir())
    for words in (["--replace"], ["--data", str(tmp_path / "empty")]):
        ended = subprocess.run(
            [sys.executable, ROOT / "takeanumber.py", "restore", "--from", stored.url, *words],
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
    """Return all ways in which the newest copy can be broken, by name."""
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


def test_a_broken_copy_is_skipped_with_a_warning(invoke, database, stored, elsewhere):
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


def test_a_copy_shorter_than_its_name_says_is_broken(invoke, database, stored, elsewhere):
    name = forge(stored, stored.read(stored.copies()[0])[:1000], size=4000)
    assert name in invoke("restore", "--from", stored.url, "--data", str(elsewhere)).stderr
    forge(stored, gzip.compress(database.read_bytes()), sequence=10, tickets=3)
    said = invoke("verify", "--from", stored.url).said
    assert "2 tickets instead of 3" in said


def test_when_all_copies_are_broken_the_database_stays(invoke, database, stick, data):
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


def test_a_copy_of_a_newer_version_is_refused(invoke, database, stored, elsewhere, tmp_path):
    newer = tmp_path / "newer.db"
    shutil.copy(database, newer)
    with closing(sqlite3.connect(newer)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    before, where = dump(database), ("--from", stored.url)
    packed = gzip.compress(newer.read_bytes())
    for sequence, schema in ((8, SCHEMA), (9, "9999")):  # known from its name, or only from its content
        forge(stored, packed, sequence=sequence, schema=schema)
        for words in (["--replace"], ["--data", str(elsewhere)], ["--data", str(elsewhere), "--or-new"]):
            assert "newer version" in invoke("restore", *words, *where).said
    assert "newer version" in invoke("restore", "--hand-over", "--data", str(elsewhere), *where).said
    at = ("--at", "2026-11-21T10:30Z", "--data", str(tmp_path / "earlier"))
    assert "1/1" in invoke("restore", *at, *where).stdout  # a copy that was requested explicitly
    assert dump(database) == before
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_copy_of_an_older_version_is_upgraded(
    invoke, old_version, start, place, stick, elsewhere, revision
):
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


# ----- --or-new: a new database only where none existed


def test_or_new_creates_a_database_where_no_backup_exists(invoke, start, storage, elsewhere):
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
    for name in stored.copies() + stored.names("daily/") + [LAST]:
        (stored.path / name).unlink()
    where = ("--from", stored.url, "--data", str(elsewhere))
    for words in ([], ["--hand-over"]):
        assert "choose another place" in invoke("restore", "--or-new", *words, *where).said
    assert list(elsewhere.iterdir()) == []


def test_or_new_after_a_server_that_never_served(invoke, storage, elsewhere):
    where = ("--from", storage.url, "--data", str(elsewhere))
    assert invoke("restore", "--or-new", "--hand-over", *where).returncode == 0
    (elsewhere / "takeanumber.db").unlink()  # its machine is gone
    assert "new database" in invoke("restore", "--or-new", *where).stdout
    assert storage.names() == []


# ----- the last copy, kept without limit


def test_a_shop_that_closed_for_the_winter_is_found_again(invoke, database, storage, elsewhere):
    """Lifecycle rules have removed every copy but one."""
    assert invoke("backup", "--to", storage.url).returncode == 0
    last = storage.read(LAST)
    assert gzip.decompress(last) == gzip.decompress(storage.read(storage.copies()[0]))
    (name,) = storage.copies()
    remove(storage, [name, f"daily/{name}", *storage.names("verified/")])
    where = ("--from", storage.url, "--data", str(elsewhere))
    assert "kept without limit" in invoke("backups", "--from", storage.url).stdout
    assert "no backup that old" in invoke("restore", "--at", "2026-11-21T09:00Z", *where).said
    ended = invoke("restore", "--or-new", *where)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Restored 2026-11-21T10:00:00Z, 1/1, ")
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]


def test_broken_copies_are_skipped_down_to_the_last(invoke, database, stored, elsewhere):
    (name,) = stored.copies()
    stored.put(name, stored.read(name)[:1000])
    stored.put(f"daily/{name}", b"")
    ended = invoke("restore", "--from", stored.url, "--data", str(elsewhere))
    assert (ended.returncode, ended.stderr.count("Warning: ")) == (0, 2)
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]
    for broken in (stored.read(LAST)[:1000], b"", b"Dear diary"):
        stored.put(LAST, broken)
        ended = invoke("restore", "--replace", "--from", stored.url, "--data", str(elsewhere))
        assert "no whole backup" in ended.said
        assert ended.stderr.count("Warning: ") == 3


def test_a_last_copy_of_a_newer_version_is_refused(invoke, database, stored, elsewhere):
    (name,) = stored.copies()
    newer = stored.read(LAST).replace(f"-{SCHEMA}-".encode(), b"-9999-", 1)
    remove(stored, [name, f"daily/{name}"])
    stored.put(LAST, newer)
    assert "newer version" in invoke("restore", "--from", stored.url, "--data", str(elsewhere)).said


def remove(storage, names):
    for name in names:
        if hasattr(storage, "path"):
            (storage.path / name).unlink()
        else:
            storage.client.delete_object(Bucket=storage.name, Key=f"deli/{name}")


# ----- copies chosen by name


def test_a_named_copy_is_restored_beside_the_database(invoke, database, stored, elsewhere):
    (name,) = stored.copies()
    take(database, "A3")
    invoke("backup", "--to", stored.url)
    where = ("--from", stored.url, "--data", str(elsewhere))
    assert "backups --all" in invoke("restore", "--copy", "00000001/nothing", *where).said
    assert name in invoke("backups", "--all", "--from", stored.url).stdout
    assert invoke("restore", "--copy", name, *where).returncode == 0
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2"]
    orphan = f"daily/orphans/{stored.copies()[-1]}"
    stored.put(orphan, stored.read(stored.copies()[-1]))
    assert invoke("restore", "--replace", "--copy", orphan, *where).returncode == 0
    assert whole(elsewhere / "takeanumber.db") == ["A1", "A2", "A3"]


def test_an_orphan_is_never_restored_by_itself(invoke, database, stored, elsewhere):
    (name,) = stored.copies()
    stored.put(f"daily/orphans/{name.replace('00000001/', '00000009/')}", stored.read(name))
    assert "1/1" in invoke("restore", "--from", stored.url, "--data", str(elsewhere)).stdout
    assert "orphan, daily/orphans/00000009/" in invoke("backups", "--from", stored.url).stdout
