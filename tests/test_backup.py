"""Backups: what is stored and where, and what happens when the storage fails."""

import gzip
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from helpers.forks import ROOT
from helpers.soak import soak_after
from helpers.versions import dump, rows

from app.backup import s3
from app.backup.last import LAST
from app.storage.schema import SCHEMA

NAME = rf"\d{{8}}/\d{{10}}-\d{{8}}T\d{{6}}Z-{SCHEMA}-\d+t-\d+b\.db\.gz"


@pytest.fixture
def shop(app, place, tmp_path):
    """An open shop, with the path of its database."""
    place.customer()
    place.database = tmp_path / "data" / "takeanumber.db"
    return place


@pytest.fixture
def unpacked(tmp_path):
    """Return a function that unpacks the database of a copy."""

    def unpack(storage, name):
        path = tmp_path / "unpacked.db"
        path.write_bytes(gzip.decompress(storage.read(name)))
        return path

    return unpack


def facts(path):
    return dict(rows(path, "SELECT name, value FROM fact"))


# ----- what is stored


def test_a_backup_is_stored_and_listed(invoke, shop, storage):
    ended = invoke("backup", "--to", storage.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(
        rf"Backed up to {storage.url}: 2026-11-21T10:00:00Z, 1/1, .* 1 ticket, schema .*\n", ended.stdout
    )
    (name,) = storage.copies()
    assert re.fullmatch(NAME, name)
    assert name.startswith(f"00000001/0000000001-20261121T100000Z-{SCHEMA}-1t-{len(storage.read(name))}b.")
    assert storage.names("daily/") == [f"daily/{name}"]  # a daily copy, which is kept longer
    assert storage.read(LAST).endswith(storage.read(name))  # and the last copy, which is kept without limit
    line, kept = invoke("backups", "--from", storage.url).stdout.splitlines()  # only one per hour is listed
    assert re.fullmatch(r"The last backup is also kept without limit: \d+\.\d kB\.", kept)
    recent, daily, _ = invoke("backups", "--all", "--from", storage.url).stdout.splitlines()
    assert (recent, daily) == (f"{line}, {name}", f"{line}, daily, daily/{name}")
    assert re.match(r"2026-11-21T10:00:00Z, 1/1, .* kB, 1 ticket, schema", line)
    assert "verified" not in line
    verified = invoke("verify", "--from", storage.url)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "1 ticket, " in verified.stdout
    assert invoke("verify", "--from", storage.url).returncode == 0
    assert invoke("backups", "--from", storage.url).stdout == f"{line}, verified\n{kept}\n"


def test_an_empty_storage_is_said_to_hold_no_backup(invoke, storage):
    ended = invoke("backups", "--from", storage.url)
    assert ended == (0, f"There is no backup at {storage.url} yet.\n", "")
    assert "no backup" in invoke("verify", "--from", storage.url).said
    assert "no database" in invoke("backup", "--to", storage.url).said
    assert storage.names() == []


def test_a_copy_is_one_whole_database(invoke, shop, bucket, unpacked):
    invoke("backup", "--to", bucket.url)
    (name,) = bucket.copies()
    assert "ServerSideEncryption" not in bucket.about(name)  # the bucket's own default applies
    copy = unpacked(bucket, name)
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    assert dump(copy) == dump(shop.database)
    assert facts(copy)["backup_sequence"] == "1"


def test_the_setting_names_the_storage(invoke, shop, stick, monkeypatch):
    assert "TAKEANUMBER_BACKUP_URL" in invoke("backup").said
    assert "TAKEANUMBER_BACKUP_URL" in invoke("backups").said
    monkeypatch.setenv("TAKEANUMBER_BACKUP_URL", stick.url)
    for words in (["backup"], ["backups"], ["verify"]):
        assert invoke(*words).returncode == 0
    assert len(stick.copies()) == 1


def test_a_backup_is_of_one_moment_while_people_take_numbers(invoke, shop, stick, unpacked):
    many, done = [], threading.Event()

    def take():
        while not done.is_set():
            many.append(shop.customer().number)

    taker = threading.Thread(target=take)
    taker.start()
    try:
        for _ in range(5):
            before = len(many)
            assert invoke("backup", "--to", stick.url).returncode == 0
            copy = unpacked(stick, stick.copies()[-1])
            ((tickets, last),) = rows(copy, "SELECT count(*), max(ordinal) FROM ticket")
            assert tickets == last >= before
            assert f"-{tickets}t-" in stick.copies()[-1]
            assert rows(copy, "PRAGMA foreign_key_check") == []
    finally:
        done.set()
        taker.join()
    assert len(many) > 5


def test_a_clock_that_jumps_back_changes_nothing(invoke, clock, shop, storage):
    for _ in range(3):
        assert invoke("backup", "--to", storage.url).returncode == 0
        shop.customer()
        clock.advance(hours=-1)
    told = invoke("backups", "--from", storage.url).stdout.splitlines()
    listed = [line.split(", ")[:2] for line in told if ", " in line and "daily" not in line]
    assert listed == [
        ["2026-11-21T08:00:00Z", "1/3"],
        ["2026-11-21T09:00:00Z", "1/2"],
        ["2026-11-21T10:00:00Z", "1/1"],
    ]
    assert "2026-11-21T08:00:00Z, 1/3" in invoke("verify", "--from", storage.url).stdout


def test_a_database_that_was_put_back_by_hand_is_backed_up_as_the_newest(invoke, database, storage):
    assert ", 1/1, " in invoke("backup", "--to", storage.url).stdout
    before = database.read_bytes()
    assert ", 1/2, " in invoke("backup", "--to", storage.url).stdout
    database.write_bytes(before)
    assert ", 1/3, " in invoke("backup", "--to", storage.url).stdout
    assert ", 1/3, " in invoke("verify", "--from", storage.url).stdout


def test_a_backup_leaves_no_temporary_files(invoke, shop, storage):
    shop.database.with_name(".backup-killed").mkdir()
    shop.database.with_name(".backup-killed").joinpath("copy.db").write_bytes(b"half")
    invoke("backup", "--to", storage.url)
    invoke("verify", "--from", storage.url)
    assert [path.name for path in shop.database.parent.glob(".*")] == []
    assert [name for name in storage.names() if not re.match(r"0|daily/0|last/|lease/|verified/", name)] == []


def test_files_that_are_no_copies_are_not_listed(invoke, shop, storage):
    for name in (
        "notes.txt",
        "00000001/notes.txt",
        f"weekly/00000001/0000000009-20261121T100000Z-{SCHEMA}-1t-1b.db.gz",
    ):
        storage.put(name, b"?")
    invoke("backup", "--to", storage.url)
    assert len(invoke("backups", "--all", "--from", storage.url).stdout.splitlines()) == 3


def test_one_of_each_hour_is_listed_unless_all_are_wanted(invoke, clock, shop, storage):
    for _ in range(6):
        invoke("backup", "--to", storage.url)
        shop.take()
        clock.advance(minutes=20)
    listed = [line.split(", ")[0] for line in invoke("backups", "--from", storage.url).stdout.splitlines()]
    assert listed[:-1] == ["2026-11-21T11:40:00Z", "2026-11-21T10:40:00Z"]
    assert len(invoke("backups", "--all", "--from", storage.url).stdout.splitlines()) == 8


def test_a_directory_keeps_recent_copies_2_days_hourly_7_daily_35(invoke, shop, clock, stick):
    invoke("backup", "--to", stick.url)
    for kind in ("", "hourly/", "daily/"):
        for number, day in enumerate(["1001", "1001", "1110", "1110", *["1117"] * 6]):
            stick.put(f"{kind}00000000/{number:010}-2026{day}T100000Z-{SCHEMA}-1t-1b.db.gz", b"?")
    invoke("backup", "--to", stick.url)
    left = {kind: len(stick.names(kind)) for kind in ("0", "hourly/", "daily/")}
    assert left == {"0": 0 + 2, "hourly/": 6, "daily/": 8 + 1}  # and the new ones
    clock.advance(days=60)
    invoke("backup", "--to", stick.url)
    assert len(stick.names("daily/")) == 10  # a clock that is far ahead doesn't remove everything at once
    invoke("backup", "--to", stick.url)
    left = {kind: len(stick.names(kind)) for kind in ("0", "hourly/", "daily/")}
    assert left == {"0": 2, "hourly/": 0, "daily/": 5}  # the minimum that is always kept


# ----- backups of several shops


def make_another_shop(path):
    """Give a database a secret key of its own: tests start with copies of one database."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE fact SET value = 'another' WHERE name = 'secret_key'")
        db.commit()


def test_two_shops_never_mix_their_backups(invoke, start, shop, storage, tmp_path):
    assert invoke("backup", "--to", storage.url).returncode == 0
    start(data=tmp_path / "other").extensions["takeanumber"].database.close()
    make_another_shop(tmp_path / "other" / "takeanumber.db")
    said = invoke("backup", "--to", storage.url, "--data", str(tmp_path / "other")).said
    assert "belong to another database" in said
    assert len(storage.copies()) == 1
    assert invoke("backup", "--to", storage.url).returncode == 0


def test_two_shops_never_mix_their_backups_after_restores(invoke, start, shop, storage, tmp_path):
    other, own_place = ("--data", str(tmp_path / "other")), tmp_path / "own"
    own_place.mkdir()
    start(data=tmp_path / "other").extensions["takeanumber"].database.close()
    make_another_shop(tmp_path / "other" / "takeanumber.db")
    assert invoke("backup", "--to", storage.url).returncode == 0
    invoke("backup", "--to", str(own_place), *other)
    for _ in range(2):
        assert invoke("restore", "--replace", "--from", str(own_place), *other).returncode == 0
        before = storage.names()
        assert "belong to another database" in invoke("backup", "--to", storage.url, *other).said
        assert storage.names() == before
    assert "1/1" in invoke("verify", "--from", storage.url).stdout


def test_a_shop_moves_to_a_new_place_and_back(invoke, shop, storage, tmp_path):
    new_place = tmp_path / "new"
    new_place.mkdir()
    for url in (storage.url, str(new_place), storage.url):
        ended = invoke("backup", "--to", url)
        assert (ended.returncode, ", 1/" in ended.stdout) == (0, True)
    assert len(storage.copies()) == 2


def test_a_restored_copy_is_not_backed_up_before_it_was_served(invoke, shop, storage, tmp_path):
    invoke("backup", "--to", storage.url)
    elsewhere = ("--data", str(tmp_path / "elsewhere"))
    assert invoke("restore", "--from", storage.url, *elsewhere).returncode == 0
    assert "Nothing to back up" in invoke("backup", "--to", storage.url, *elsewhere).stdout
    assert len(storage.copies()) == 1


def test_a_database_whose_lease_another_server_has_is_not_backed_up(invoke, shop, storage):
    invoke("backup", "--to", storage.url)
    (name, *_) = sorted(storage.names("lease/"), reverse=True)
    entry = json.loads(storage.read(name)) | {"state": "held", "holder": "another", "by": "another"}
    storage.put("lease/00000003.json", json.dumps(entry).encode())
    assert "out of date" in invoke("backup", "--to", storage.url).said
    assert len(storage.copies()) == 1


# ----- databases that can't be backed up


def test_a_database_of_a_newer_version_is_refused(invoke, shop, storage):
    with closing(sqlite3.connect(shop.database)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    before = dump(shop.database)
    assert "newer version" in invoke("backup", "--to", storage.url).said
    assert storage.names() == []
    assert dump(shop.database) == before


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_database_of_an_older_version_is_backed_up_and_not_upgraded(invoke, old_version, stick, revision):
    old = old_version(revision)
    tables = rows(old, "SELECT sql FROM sqlite_master ORDER BY name")
    ended = invoke("backup", "--to", stick.url, "--data", str(old.parent))
    assert f"schema {revision}" in ended.stdout
    assert invoke("verify", "--from", stick.url, "--data", str(old.parent)).returncode == 0
    assert rows(old, "SELECT sql FROM sqlite_master ORDER BY name") == tables
    assert sorted(path.name for path in old.parent.iterdir()) == ["takeanumber.db"]


def test_a_damaged_database_is_not_backed_up(invoke, database, stick):
    ((page, size),) = rows(
        database, "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'event_place'"
    )
    with database.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * (size - 8))
    said = invoke("backup", "--to", stick.url).said
    assert "damaged" in said
    assert stick.copies() == []


def test_a_file_that_is_no_database(invoke, stick, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "takeanumber.db").write_bytes(b"Dear diary, " * 1000)
    assert "no database" in invoke("backup", "--to", stick.url).said


def test_a_full_disk(stick, database, tmp_path):
    before = dump(database)
    ended = subprocess.run(
        [sys.executable, ROOT / "takeanumber.py", "backup", "--to", stick.url, "--data", database.parent],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"Error: The backup of .* failed: .*\.\n", ended.stderr)
    assert stick.copies() == []
    assert [line for line in dump(database) if "fact" not in line] == [
        line for line in before if "fact" not in line
    ]
    assert [path.name for path in database.parent.glob(".*")] == []


# ----- storage that fails

WRONG = [
    ((403, "AccessDenied"), "may not be used"),
    ((404, "NoSuchBucket"), "no bucket"),
    ((404, "404"), "answers 404"),
    ((503, "SlowDown"), "answers 503"),
    ("hangs", "can't be reached"),
    ("web", ""),
]


@pytest.mark.parametrize(("wrong", "word"), soak_after(1, WRONG), ids=str)
def test_a_failure_is_reported_and_never_taken_for_no_backup_yet(
    invoke, bucket, way, database, monkeypatch, wrong, word
):
    invoke("backup", "--to", bucket.url)
    stored, before = bucket.names(), dump(database)
    way.wrong = wrong
    if wrong == "hangs":
        monkeypatch.setattr(s3, "READ_TIMEOUT_S", 1)
    empty = str(database.parent.with_name("empty"))
    commands = [["backup", "--to"], ["restore", "--replace", "--from"]]
    commands += [["restore", "--or-new", "--hand-over", "--data", empty, "--from"]]
    if wrong == (403, "AccessDenied"):  # once for all commands
        commands += [["backups", "--from"], ["verify", "--from"], ["restore", "--data", empty, "--from"]]
    for words in commands:
        assert word in invoke(*words, bucket.url).said
    way.wrong = None
    way.freed.set()
    assert bucket.names() == stored
    after = [line for line in dump(database) if "backup_sequence" not in line]
    assert after == [line for line in before if "backup_sequence" not in line]
    assert not (database.parent.with_name("empty") / "takeanumber.db").exists()
    assert invoke("backup", "--to", bucket.url).returncode == 0


@pytest.mark.parametrize(
    "wrong", soak_after(1, ["cut", ((403, "AccessDenied"),), ((503, "SlowDown"),)]), ids=str
)
def test_only_reading_or_only_writing_fails(invoke, bucket, way, database, wrong):
    invoke("backup", "--to", bucket.url)
    before = dump(database)
    way.wrong, way.of = wrong, {"GET"}
    assert invoke("restore", "--replace", "--from", bucket.url).said
    assert dump(database) == before
    way.of = {"PUT"}
    assert invoke("backup", "--to", bucket.url).said
    way.wrong = None
    # the upload that was cut off isn't the newest copy
    assert invoke("backup", "--to", bucket.url).returncode == 0
    assert invoke("verify", "--from", bucket.url).returncode == 0


def test_a_missing_bucket(invoke, bucket, database):
    for words in (["backup", "--to"], ["restore", "--or-new", "--data", "elsewhere", "--from"]):
        assert "no bucket" in invoke(*words, f"s3://{bucket.name}-x/deli").said


def test_an_upload_that_is_cut_in_half(invoke, bucket, way, database):
    invoke("backup", "--to", bucket.url)
    way.wrong, way.of, way.where = "cut", {"PUT"}, ".db.gz"
    assert invoke("backup", "--to", bucket.url).said
    assert len(bucket.copies()) == 2  # the half
    listed = invoke("backups", "--from", bucket.url).stdout.splitlines()
    assert [line.endswith("broken") for line in listed] == [True, False, False]
    assert "broken" in invoke("verify", "--from", bucket.url).said
    way.wrong = None
    assert invoke("backup", "--to", bucket.url).returncode == 0
    assert invoke("verify", "--from", bucket.url).returncode == 0


def test_a_request_without_an_answer_is_sent_again(invoke, bucket, way, shop):
    way.wrong, way.of = "deaf", {"PUT"}
    for _ in range(3):  # the claim, its decision, the copy
        way.times = 1
        assert invoke("backup", "--to", bucket.url).returncode == 0
        way.times = 1
        assert invoke("verify", "--from", bucket.url).returncode == 0
    assert len(bucket.copies()) == 3


def test_storage_that_overwrites_what_is_there_is_not_used(invoke, bucket, way, shop):
    way.wrong = "careless"
    assert "If-None-Match" in invoke("backup", "--to", bucket.url).said
    assert bucket.copies() == []


def test_a_server_that_does_not_answer(invoke, bucket, shop, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert "can't be reached" in invoke("backup", "--to", bucket.url).said
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "nonsense")
    assert "can't be reached" in invoke("backup", "--to", bucket.url).said


def test_missing_credentials_are_reported(invoke, bucket, shop, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "credentials" in invoke("backup", "--to", bucket.url).said


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:/bucket",
        "s3://Bucket",
        "s3://a b",
        "s3://bucket/a b",
        "https://bucket.s3.amazonaws.com",
        "file:///tmp",
        "s3://bucket?x=1",
        " ",
    ],
)
def test_invalid_storage_urls(invoke, shop, url):
    said = invoke("backup", "--to", url).said
    assert "s3://bucket/prefix" in said or "TAKEANUMBER_BACKUP_URL" in said


def test_unusable_directories(invoke, shop, tmp_path):
    (tmp_path / "file").write_text("")
    for words in (["backup", "--to"], ["restore", "--or-new", "--data", str(tmp_path / "new"), "--from"]):
        # never created: the stick isn't plugged in
        assert "plug in" in invoke(*words, str(tmp_path / "stick")).said
        assert "no directory" in invoke(*words, str(tmp_path / "file")).said
    assert "can't be used" in invoke("backup", "--to", "/sys/kernel").said
    assert not (tmp_path / "new" / "takeanumber.db").exists()


def test_backups_in_a_directory_are_private(invoke, database, stick):
    assert invoke("backup", "--to", stick.url).returncode == 0
    for name in stick.names():
        assert (stick.path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_backups_by_root_belong_to_the_owner_of_the_directory(invoke, database, stick):
    os.chown(stick.path, 900, 900)
    assert invoke("backup", "--to", stick.url).returncode == 0
    assert {(stick.path / name).stat().st_uid for name in stick.names()} == {900}


def test_a_file_system_without_hard_links(invoke, shop, stick, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    for _ in range(2):
        assert invoke("backup", "--to", stick.url).returncode == 0
    assert len(stick.copies()) == 2
    assert invoke("verify", "--from", stick.url).returncode == 0
    assert [name for name in stick.names() if "/." in name] == []


# ----- without backups


def test_boto3_is_not_imported_without_backups(tmp_path):
    code = "import sys, takeanumber as t; t.create_app(data=sys.argv[1]); print('boto3' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "False\n"
