"""PostgreSQL: what is refused, several instances, lost connections, and moving there and back."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import yaml
from helpers.client import AppClient
from helpers.forks import ROOT
from helpers.places import Desk, Place, open_deli
from helpers.receivers import Subscriber
from helpers.server import Server, free_port
from helpers.streams import Stream
from helpers.versions import HEAD, NEXT
from helpers.waiting import wait_for
from test_mail import FROM, URL, Post

import takeanumber
from app.errors import CannotStart
from app.settings import Settings, variable
from app.storage.engine import OUTBOX
from app.storage.move_mark import was_moved
from app.storage.schema import SCHEMA
from app.storage.sql import driver_connection

PG_DUMP = "pg_dump"


def again(place, server):
    """The same place through another instance."""
    other = Place(server, {"slug": place.slug, "links": place.links})
    other.take_links = dict(place.take_links)
    return other


@pytest.fixture
def instances(start_server, postgres_url, tmp_path):
    """Start instances on one database."""

    def start(count=2, **settings):
        with ThreadPoolExecutor(count) as threads:
            return list(
                threads.map(
                    lambda number: start_server(
                        "--threads", "80", data=tmp_path / f"instance{number}",
                        database_url=postgres_url, places="open", **settings
                    ),
                    range(count),
                )
            )  # fmt: skip

    return start


# ----- starting


def refusal_of(url, **settings):
    """Return the sentence with which the program refuses to start."""
    with pytest.raises(CannotStart) as refused:
        takeanumber.create_app(database_url=url, **settings)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:secret@localhost/shop", "must look like postgresql://"),
        ("postgresql://user:secret@localhost", "must look like postgresql://"),
        ("postgresql://user:sec/ret@localhost/shop", "must look like postgresql://"),
        ("postgresql://user:secret@localhost:99999/shop", "must look like postgresql://"),
        ("postgresql://user:secret@localhost:{unused}/shop", "can't be reached"),
        ("postgresql://user:secret@nowhere.invalid/shop", "can't be found"),
        ("postgresql://u:secret@127.0.0.1:{unused},127.0.0.1:{unused}/shop", "can't be reached"),
        ("postgresql://postgres:secret@127.0.0.1:{port}/nothing", "no database of that name"),
        ("postgresql://nobody:secret@127.0.0.1:{port}/postgres", "doesn't know the user"),
        ("postgresql://postgres:secret@127.0.0.1:{port}/postgres?what=ever", "can't be used"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_in_one_sentence(cluster, url, words):
    sentence = refusal_of(url.format(port=cluster.port, unused=free_port()))
    assert words in sentence
    assert "?." not in sentence
    assert "secret" not in sentence
    assert "sec/ret" not in sentence


def asks_for_a_password(url):
    """Return whether PostgreSQL refuses a connection without a password."""
    import psycopg

    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return True
    return False


def test_a_wrong_password_is_said_and_not_shown(command, cluster):
    cluster.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    hba = cluster.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    cluster.execute("SELECT pg_reload_conf()")
    wait_for(lambda: asks_for_a_password(cluster.url(user="guarded")))  # once it has read the file
    try:
        url = f"postgresql://guarded:wr0ng@127.0.0.1:{cluster.port}/postgres"
        refused = command("serve", TAKEANUMBER_DATABASE_URL=url, PORT=str(free_port()))
    finally:
        hba.write_text(before)
        cluster.execute("SELECT pg_reload_conf()")
        cluster.execute("DROP ROLE guarded")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "refuses the user or the password" in refused.stderr
    assert "wr0ng" not in refused.stderr


def test_databases_that_are_not_fit_are_refused(cluster, postgres_url):
    name = postgres_url.rpartition("/")[2]
    together = refusal_of(postgres_url, backup_url="/somewhere")
    assert "TAKEANUMBER_BACKUP_URL" in together
    assert PG_DUMP in together
    cluster.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert "synchronous_commit" in refusal_of(postgres_url)
    cluster.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
    cluster.execute("UPDATE alembic_version SET version_num = '9999'", name)
    assert "newer version" in refusal_of(postgres_url)
    other = cluster.create_database()
    cluster.execute("CREATE TABLE customers (id int)", other.rpartition("/")[2])
    assert "another application" in refusal_of(other)
    cluster.drop_database(other)
    latin = cluster.url("latin")
    cluster.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "UTF8" in refusal_of(latin)
    cluster.drop_database(latin)


@pytest.mark.parametrize(
    "words", [["backup", "--to", "there"], ["restore", "--from", "there"], ["backups"], ["verify"]]
)
def test_backup_commands_name_what_makes_the_backups(invoke, monkeypatch, words):
    monkeypatch.setenv("TAKEANUMBER_DATABASE_URL", "postgresql://user:secret@localhost/shop")
    refused = invoke(*words).said
    assert PG_DUMP in refused
    assert "snapshots" in refused


def test_the_compose_file_names_settings_and_instances_that_exist():
    deploy = ROOT / "deploy"
    services = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]
    instances = [name for name, each in services.items() if "build" in each]
    assert len(instances) == 2
    assert (
        f"reverse_proxy {' '.join(f'{name}:8000' for name in instances)} {{"
        in (deploy / "Caddyfile.compose").read_text()
    )
    for name in instances:
        environment = dict.fromkeys(services[name]["environment"], "")  # what isn't set is empty
        assert set(environment) <= {variable(field.name) for field in fields(Settings)}
        url = services[name]["environment"]["TAKEANUMBER_DATABASE_URL"]
        assert Settings.read(environment | {"TAKEANUMBER_DATABASE_URL": url}).database_url == url


def test_without_a_url_the_driver_is_not_imported(tmp_path):
    code = (
        "import sys, takeanumber; takeanumber.create_app(data=sys.argv[1]); print('psycopg' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "data"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "False"


def test_two_instances_that_start_at_once_create_the_tables_once(start_server, cluster, tmp_path):
    url = cluster.create_database()
    urls = [url, url.replace("@", f"@127.0.0.1:{free_port()},")]  # the first host isn't there
    servers: list[Server] = []
    threads = [
        threading.Thread(
            target=lambda number=number: servers.append(
                start_server(data=tmp_path / str(number), database_url=urls[number], places="open")
            )
        )
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, two = servers
    place = one.open_shop()
    place.customer()
    assert again(place, two).picture()["queues"][0]["waiting"] == ["A1"]
    name = url.rpartition("/")[2]
    assert cluster.execute("SELECT version_num FROM alembic_version", name) == [(SCHEMA,)]
    for server in servers:
        server.kill()
    cluster.drop_database(url)


ADDS_A_COLUMN = f"""
import sqlalchemy as sa
from alembic import op
{HEAD}
def upgrade() -> None:
    op.add_column("ticket", sa.Column("colour", sa.Text(), nullable=False, server_default="red"))
"""


def test_a_new_version_upgrades_once_while_the_previous_one_serves(
    start_server, next_version, cluster, postgres_url, tmp_path
):
    old = start_server(database_url=postgres_url, places="open")
    place = old.open_shop()
    place.customer()
    program = next_version(ADDS_A_COLUMN)

    def start(number):
        return start_server(
            data=tmp_path / f"new{number}",
            command=[sys.executable, str(program / "takeanumber.py"), "serve"],
            database_url=postgres_url,
            places="open",
        )

    with ThreadPoolExecutor(2) as threads:
        servers = list(threads.map(start, range(2)))
    for server in (old, *servers):
        again(place, server).customer()
    assert place.waiting() == ["A1", "A2", "A3", "A4"]
    name = postgres_url.rpartition("/")[2]
    assert cluster.execute("SELECT version_num FROM alembic_version", name) == [(NEXT,)]
    assert cluster.execute("SELECT DISTINCT colour FROM ticket", name) == [("red",)]
    assert "newer version" in refusal_of(postgres_url)


# ----- pages


@pytest.fixture
def database_settings(postgres_url):
    """All tests here that use an application in this process run on PostgreSQL."""
    return {"database_url": postgres_url, "database_pool": 2}


def test_the_owners_page_and_health_say_who_makes_the_backups(place):
    assert place.owner_get()["backup"]["word"] == "By PostgreSQL"
    assert PG_DUMP in place.client.get("/healthz?verbose=1").body["backup"]["said"]
    page = place.client.get(place.links["manage"] + "/settings", Accept="text/html").body
    assert PG_DUMP in page
    assert "Not backed up" not in page


def test_a_nul_in_a_url_or_a_text_is_answered_in_a_sentence(place):
    assert place.client.get(f"/{place.slug}%00/").status == 404
    assert place.client.get(place.links["manage"] + "/contacts?q=a%00b").status in (200, 400)


def test_long_names_and_texts_can_be_stored(clinic):
    letters = random.Random(1)  # random, since PostgreSQL compresses what is in an index
    text = "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(2000))
    contact = {"name": text[:100], "phone": "030 1234567", "notes": text, "address": text[:200]}
    assert clinic.add_contacts(contact)["added"] == 1
    assert clinic.contacts(q=text[:2])["contacts"][0]["name"] == text[:100]


def test_a_lost_connection_is_answered_503_and_the_service_resumes(place, cluster, postgres_url):
    name = postgres_url.rpartition("/")[2]
    place.customer()
    cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert place.customer().number == "A2"  # tried again
    assert place.waiting() == ["A1", "A2"]
    cluster.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        for refused in (place.take(), place.client.get(place.links["customers"])):
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
    finally:
        cluster.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    assert place.customer().number == "A3"


def test_a_connection_that_is_lost_once_everything_was_read_leaves_no_traceback(
    place, app, cluster, postgres_url, caplog
):
    with app.extensions["takeanumber"].database.read() as db:
        assert driver_connection(db).execute("SELECT slug FROM place").fetchone() == (place.slug,)
        cluster.end_connections(postgres_url.rpartition("/")[2])
    assert place.customer().number == "A1"
    assert "Traceback" not in caplog.text


def test_a_commit_whose_answer_is_lost_counts_once(place, app, monkeypatch):
    import psycopg

    from app.storage import postgres

    original, lost = postgres._execute, []

    def lose(db, statement):
        result = original(db, statement)
        if statement == "COMMIT" and not lost:
            lost.append(True)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return result

    monkeypatch.setattr(postgres, "_execute", lose)
    assert place.customer().number == "A1"
    assert lost
    assert place.customer().number == "A2"


def test_what_is_in_the_outbox_is_sent_once_by_several_instances(instances, receiver):
    receiver.status, receiver.delay_s = 200, 0.02
    with Post() as post:
        settings = {"url": URL, "push_hosts": receiver.url, "webhook_hosts": receiver.url}
        servers = instances(2, smtp_url=post.url, smtp_from=FROM, **settings)
        place = servers[0].open_shop()
        assert place.owner_post("/webhooks", url=f"{receiver.url}/hook").status == 201
        customers = [place.customer() for _ in range(12)]
        for number, customer in enumerate(customers):
            links = customer.ticket["links"]["ticket"]
            phone = Subscriber(receiver.url, f"phone-{number}")
            assert servers[1].post(f"{links}/notify", phone.subscription).status == 200
            assert servers[0].post(f"{links}/email", {"email": f"{number}@example.org"}).status == 200
        assert place.owner_post("/messages", text="We close at noon", push=True).status == 200
        desks = [again(place, server).desk(f"Desk {n}", f"{n}") for n in range(6) for server in servers]
        assert {desk.call_next()["number"] for desk in desks} == {each.number for each in customers}
        deadline = time.monotonic() + 30
        while place.export().get("mail"):
            assert time.monotonic() < deadline, place.export()["mail"]
            time.sleep(0.2)
        mails = [mail["Message-ID"] for mail in post.mails()]
        to = Counter(mail["To"] for mail in post.mails() if ": almost your turn" not in mail["Subject"])
        post.shutdown()
    assert len(set(mails)) == len(mails)
    assert to == {f"{number}@example.org": 1 for number in range(12)}
    posts = Counter(each.headers["webhook-id"] for each in receiver.got if each.path == "/hook")
    assert set(posts.values()) == {1}
    assert len(posts) >= 24  # each was taken and called
    pushes = Counter((each.path, each.body) for each in receiver.got if each.path != "/hook")
    assert set(pushes.values()) == {1}
    paths = Counter(path for path, _ in pushes)
    assert len(paths) == 12
    assert max(paths.values()) <= 3  # the message to everybody, "almost", and "now"


def test_a_place_does_not_wait_for_another(start):
    """Writes about one place, and those of the outbox, go on while one about another place takes long."""
    database = start().extensions["takeanumber"].database
    lane = database.engine.lane_of("a", is_internal=False)
    other = next(name for name in "bcdefg" if database.engine.lane_of(name, is_internal=False) != lane)
    begun, ends = threading.Event(), threading.Event()

    def wait(db):
        begun.set()
        assert ends.wait(20)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(database.write_in, "a", wait)
        assert begun.wait(20)
        database.write_in(other, lambda db: None)
        database.write_in(OUTBOX, lambda db: None)
        assert not slow.done()
        ends.set()


def test_an_import_fails_when_the_instance_that_reads_it_ends(start, monkeypatch):
    from app import clock
    from app.core import import_upkeep, imports

    one = start()
    two = start().extensions["takeanumber"].database
    place = open_deli(AppClient(one), timezone="Europe/Berlin")
    began, ends = threading.Event(), threading.Event()

    def stage(database, *_):
        began.set()
        ends.wait(20)

    monkeypatch.setattr(imports, "stage_sheet", stage)
    monkeypatch.setattr(imports, "MAX_ROWS_IN_REQUEST", 0)
    upload = place.owner_post("/contacts/import", text="Name,Phone\nAna,030 1234567\n").body
    assert began.wait(20)

    def state():
        import_upkeep.fail_lost_imports(two, clock.now() + 60)
        return again(place, AppClient(one)).client.get(upload["links"]["import"]).body["state"]

    assert state() == "reading"
    one.extensions["takeanumber"].database.engine.locks.close()  # as when its process ends
    wait_for(lambda: state() == "failed")  # PostgreSQL notices the end a moment later
    ends.set()


def test_a_mail_is_claimed_by_one_instance(start, database_settings):
    from app.core.outbox import claim
    from app.storage.sql import insert

    one, two = (start().extensions["takeanumber"].database for _ in range(2))

    def queue(db):
        place_id = db.exec_driver_sql(
            "INSERT INTO place (slug, name, timezone, country, manage_token, staff_token, series, day_starts,"
            " wait_goal_minutes, created_at) VALUES ('s', 'S', 'UTC', '', 'm', 't', '', 4, 10, 0)"
            " RETURNING id"
        ).scalar()
        insert(db, "mail", place_id=place_id, recipient="a@example.org", subject="s", content="c", tries=0,
               due_at=5.0, created_at=5.0)  # fmt: skip

    one.write(queue)
    with one.read() as db:
        mails = list(db.exec_driver_sql("SELECT id FROM mail").scalars())
    assert one.write(claim, 10.0, mails, "one") == mails
    assert two.write(claim, 10.0, mails, "two") == []


def test_a_job_is_done_by_one_instance_until_that_ends(start):
    one, two = (start().extensions["takeanumber"].database for _ in range(2))
    assert one.engine.may_run_job("erase")
    assert one.engine.may_run_job("erase")
    assert not two.engine.may_run_job("erase")
    one.close()
    wait_for(lambda: two.engine.may_run_job("erase"))  # PostgreSQL notices the end a moment later


# ----- several instances


def test_eight_desks_press_at_once_and_each_gets_one_of_eight_tickets(instances):
    one, two = instances(2)
    place = one.open_shop()
    desks = [again(place, server).desk(f"Desk {n}", f"{n}") for n in range(4) for server in (one, two)]
    for _ in range(3):
        waiting = {place.customer().number for _ in range(8)}
        presses = [partial(desk.post, "next", finished=desk.current_number()) for desk in desks]
        got = one.at_once(*presses)
        assert {answer.status for answer in got} == {200}
        assert {answer.body["current"]["number"] for answer in got} == waiting


def test_one_desk_presses_next_through_two_instances_and_one_is_refused(instances):
    one, two = instances(2)
    place = one.open_shop()
    desk = place.desk()
    for _ in range(30):
        place.customer()
    for _ in range(6):
        finished = desk.current_number()
        same = [Desk(server, {"id": 0, "links": {"desk": desk.link}}) for server in (one, two)]
        press = [partial(each.post, "next", finished=finished) for each in same]
        got = one.at_once(*press)
        assert sorted(answer.status for answer in got) == [200, 409]


def test_a_press_that_fails_halfway_spoils_no_other(instances):
    one, two = instances(2)
    place = one.open_shop()
    desk = place.desk()
    gone = place.customer()
    place.take()
    assert desk.call_next(number="A2")["number"] == "A2"
    gone.cancel()
    # The desk's customer is finished before the desk finds out that A1 doesn't wait any more.
    presses = [partial(desk.post, "next", finished="A2", number="A1")] * 10
    takes = [place.take] * 15 + [again(place, two).take] * 15
    answers = one.at_once(*takes, *presses)
    assert [answer.status for answer in answers] == [201] * 30 + [409] * 10
    assert place.waiting() == [f"A{n}" for n in range(3, 33)]
    assert desk.current_number() == "A2"


def test_a_change_through_one_instance_is_on_the_pages_of_another_in_a_second(instances):
    one, two = instances(2)
    place = one.open_shop()
    url = place.links["live"].replace(str(one.port), str(two.port))
    stream = Stream(url, "127.0.0.1")
    stream.next()
    durations = []
    for number in range(1, 11):
        time.sleep(0.25)
        began = time.monotonic()
        place.customer()
        while len(stream.next().picture["queues"][0]["waiting"]) < number:
            pass
        durations.append(time.monotonic() - began)
    stream.close()
    assert sorted(durations)[-2] < 1, durations


# ----- moving


def tables(export):
    return {name: rows for name, rows in export.items() if name not in ("epoch", "exported_at")}


def test_a_shop_moves_to_postgresql_and_back_while_it_runs(start_server, command, cluster, tmp_path):
    server = start_server()
    place = server.open_shop()
    customer, ana = place.customer(name="Zoë\t\\ \n"), place.desk()
    place.customer()
    ana.call_next()
    before = place.export()
    url = cluster.create_database()
    moved = command("move", "--to", url)
    assert moved.returncode == 0, moved.stderr
    assert "Moved 2 tickets" in moved.stdout
    refused = place.take()
    assert (refused.status, refused.body["error"]) == (503, "Moving to a new server, a moment please.")
    assert int(refused.headers["Retry-After"]) > 0
    server.stop()
    old = command("serve", PORT=str(free_port()))
    assert (old.returncode, old.stderr.count("\n")) == (1, 1)
    assert "TAKEANUMBER_DATABASE_URL" in old.stderr

    there = start_server(data=tmp_path / "other", database_url=url)
    place = again(place, there)
    assert tables(place.export()) == tables(before)
    assert place.customer().number == "A3"
    before = place.export()
    assert command("move", "--to", url).returncode == 1  # it holds places
    back = command("move", "--from", url)
    assert back.returncode == 0, back.stderr
    assert place.take().status == 503
    there.stop()
    refused = command("serve", TAKEANUMBER_DATABASE_URL=url, PORT=str(free_port()))
    assert "was moved to a SQLite file" in refused.stderr

    server = start_server()
    place = again(place, server)
    assert tables(place.export()) == tables(before)
    assert place.customer().number == "A4"
    assert customer.number == "A1"
    cluster.drop_database(url)


def open_busy_shop(client):
    place = open_deli(client, timezone="Europe/Berlin")
    place.add_contacts({"name": "Zoë", "phone": "030 1234567"}, {"name": "Ben\\t", "phone": "030 1234568"})
    assert place.owner_post("/counters", name="Shop", capacity=10).status == 201
    file = {"text": "Name;Phone\nDan;030 1234569\n"}
    assert place.owner_post("/contacts/import", **file).status == 201
    place.door().tap(-1)
    place.customer()
    place.customer()
    place.desk().call_next()
    return place


def change_much(place):
    """Change rows that were copied, add some, and remove some."""
    desk = place.owner_get()["servicers"][0]
    Desk(place.client, desk).call_next()  # another ticket is at the same desk
    place.customer()
    place.door().tap(-1)
    contact = place.contacts()["contacts"][0]
    assert place.owner_post(f"/contacts/{contact['id']}/forget").status == 200


def test_what_changes_while_a_shop_is_copied_arrives_too(start, tmp_path, monkeypatch, cluster):
    from app.storage import move

    path = tmp_path / "data" / "takeanumber.db"
    place = open_busy_shop(AppClient(start(database_url=None)))
    url = cluster.create_database()

    def change_first(name, place):
        """Change the shop when this function is called first."""
        original, copied = getattr(move, name), []

        def changed(*arguments):
            if not copied:
                change_much(place)
                copied.append(place.export())
            return original(*arguments)

        monkeypatch.setattr(move, name, changed)
        return copied

    copied = change_first("marked", place)
    assert move.move_to_postgresql(path, url).rows["ticket"] == 3
    there = again(place, AppClient(start(database_url=url)))
    assert tables(there.export()) == tables(copied[0])
    assert there.customer().number == "A4"

    with monkeypatch.context() as broken:
        broken.setattr(move, "_copy_changes_out", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            move.move_to_sqlite(url, path)
    assert there.customer().number == "A5"  # it goes on
    copied = change_first("_store", there)
    with monkeypatch.context() as broken:
        broken.setattr(move.os, "replace", lambda *_: Path("/nowhere").stat())
        with pytest.raises(CannotStart, match="Give the same command again"):
            move.move_to_sqlite(url, path)
    assert there.take().status == 503
    assert move.move_to_sqlite(url, path).rows["ticket"] == 6
    back = again(place, AppClient(start(database_url=None)))
    assert tables(back.export()) == tables(copied[0])
    assert back.customer().number == "A7"
    cluster.drop_database(url)


@pytest.mark.soak
def test_a_move_that_is_killed_changes_nothing(start_server, cluster, tmp_path):
    server = start_server()
    place = server.open_shop()
    for _ in range(500):
        place.customer()
    url = cluster.create_database()
    name = url.rpartition("/")[2]

    def move_and_kill(*words):
        """Kill the command at ever later times until it comes to its end. The shop goes on after each."""
        after_s = 0.3
        while True:
            command = subprocess.Popen(
                [sys.executable, ROOT / "takeanumber.py", "move", *words, "--data", str(tmp_path / "data")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            deadline = time.monotonic() + after_s
            while time.monotonic() < deadline and command.poll() is None:
                taken = place.take().status
                assert taken in (201, 503)
                time.sleep(0.01)
            if command.poll() is not None:
                assert command.returncode == 0, command.stderr.read()
                return
            command.kill()
            command.wait()
            if words[0] == "--to" and cluster.execute("SELECT 1 FROM pg_class WHERE relname = 'fact'", name):
                if was_moved(tmp_path / "data" / "takeanumber.db"):
                    return  # it was killed when all was done
                # The copy is there, but the file is the shop.
                cluster.drop_database(url)
                cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            elif words[0] == "--from" and cluster.execute("SELECT 1 FROM fact WHERE name = 'moved'", name):
                continue  # it goes on there
            deadline = time.monotonic() + 5
            while place.take().status != 201:
                assert time.monotonic() < deadline, "the shop doesn't go on"
                time.sleep(0.05)
            after_s += random.uniform(0.1, 0.4)

    move_and_kill("--to", url)
    before = place.export()
    server.stop()
    place = again(place, start_server(data=tmp_path / "other", database_url=url, max_waiting=100_000))
    assert tables(place.export()) == tables(before)
    move_and_kill("--from", url)
    before = place.export()
    server.start()
    assert tables(again(place, server).export()) == tables(before)
    cluster.drop_database(url)


def test_a_move_that_is_interrupted_changes_nothing(server, command, cluster, tmp_path):
    place = server.open_shop()
    place.customer()
    url = cluster.create_database()
    name = url.rpartition("/")[2]
    # A table that can't be filled: the move fails in the middle.
    cluster.execute("CREATE TABLE place (id int)", name)
    failed = command("move", "--to", url)
    assert failed.returncode == 1
    assert place.customer().number == "A2"
    cluster.execute("DROP TABLE place", name)
    mark = tmp_path / "data" / "takeanumber.db.moving"
    mark.touch()  # as a move leaves it that was killed
    assert place.customer().number == "A3"
    assert not mark.exists()
    assert re.search(r"Moved 3 tickets", command("move", "--to", url).stdout)
    cluster.drop_database(url)
