"""The commands of `python takeanumber.py`."""

import os
import re
import signal
import socket
import sqlite3
import urllib.request

import pytest


@pytest.fixture
def one_sentence():
    """Check that a command ended with status 1 and one sentence that holds these words."""

    def check(ended, *words):
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith("Error: ")
        assert ended.stderr.count("\n") == 1
        assert "Traceback" not in ended.stderr
        for word in words:
            assert word in ended.stderr

    return check


@pytest.fixture
def database(tmp_path):
    """The path of the database of this test."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "takeanumber.db"


# ----- help


def test_help_names_each_command_and_reads_well(command):
    ended = command("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for word in ("serve", "links", "backup", "restore", "backups", "verify", "demo"):
        assert re.search(rf"^  {word}  +[A-Z].*\.?$", ended.stdout, re.MULTILINE)
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("serve", "--host --port --data --threads"),
        ("links", "--data"),
        ("backup", "--to --data"),
        ("restore", "--from --at --copy --replace --or-new --hand-over --take-over --data"),
        ("demo", "--url --speed"),
    ],
)
def test_help_of_each_command(invoke, word, options):
    ended = invoke(word, "--help")
    assert ended.returncode == 0
    assert [option for option in options.split() if option not in ended.stdout] == []


@pytest.mark.parametrize(
    "words", [["nonsense"], ["--nonsense"], ["serve", "--threads", "many"], ["serve", "--threads", "1"]]
)
def test_unknown_words_are_an_error(invoke, words):
    ended = invoke(*words)
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert "Error: " in ended.stderr


def test_a_command_that_does_not_exist_is_named(invoke):
    assert "No such command 'bakcup'" in invoke("bakcup").stderr


# ----- serve


def test_serve_prints_its_address(start_server):
    server = start_server()
    assert f"http://127.0.0.1:{server.port}" in server.log
    assert "▄" in server.log or "█" in server.log  # the QR code
    assert "Traceback" not in server.log


def test_serve_promises_no_address_to_phones_that_only_this_computer_can_open(start_server):
    server = start_server("--host", "127.0.0.1")
    assert f"Here: http://127.0.0.1:{server.port}\n" in server.log
    assert "On phones nearby" not in server.log
    assert "Phones can’t open that. For them, set HOST=0.0.0.0 or TAKEANUMBER_URL." in server.log


def test_serve_prints_first_what_phones_can_open(start_server):
    log = start_server("--host", "0.0.0.0").log
    if "On phones nearby" in log:  # this machine may have no network
        assert log.index("On phones nearby") < log.index("Here: http://127.0.0.1:")


def test_links_to_an_ipv6_address_are_as_browsers_take_them(start_server, invoke, monkeypatch):
    start_server().open_shop()
    monkeypatch.setenv("HOST", "fd00::2")
    assert "http://[fd00::2]:8000/corner-deli/manage/" in invoke("links").stdout


def test_serve_prints_the_configured_url(start_server):
    assert "https://queue.example.org" in start_server(url="https://queue.example.org").log


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_cleanly(start_server, by):
    server = start_server()
    server.open_shop().take()
    assert server.stop(by) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_while_a_stream_is_open(start_server, by):
    server = start_server()
    stream = server.open_shop().watch()
    stream.next()
    assert server.stop(by) == 0
    assert stream.ends(5)


def test_serve_ends_when_ctrl_c_is_pressed_again_and_again(start_server):
    server = start_server()
    stream = server.open_shop().watch()
    stream.next()
    for _ in range(300):
        os.kill(server.process.pid, signal.SIGINT)
    assert server.ends(15) == 0
    assert "Traceback" not in server.log


def test_the_log_holds_no_links(start_server):
    server = start_server()
    shop = server.open_shop()
    ticket = shop.take().body["links"]["ticket"]
    desk = shop.desk()
    desk.post("next", finished="A9")
    server.get(shop.links["manage"] + "x")
    secret = [url.rsplit("/", 1)[1] for url in (ticket, desk.link, shop.links["staff"], shop.links["manage"])]
    assert [token for token in secret if token in server.log] == []


def test_options_override_the_environment(start_server, tmp_path):
    server = start_server("--data", str(tmp_path / "elsewhere"))
    server.open_shop()
    assert (tmp_path / "elsewhere" / "takeanumber.db").exists()
    assert not (tmp_path / "data" / "takeanumber.db").exists()


def test_a_port_in_use(command, one_sentence):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        one_sentence(command("--host", "127.0.0.1", "--port", port), port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_of_another_machine(invoke, one_sentence, host):
    one_sentence(invoke("--host", host, "--port", "0"), host)


def test_an_invalid_port(invoke, one_sentence):
    one_sentence(invoke("--port", "70000"), "PORT")


# ----- data that can't be used


def test_a_read_only_directory(command, one_sentence):
    one_sentence(command("--data", "/sys/kernel"), "/sys/kernel", "Permission denied")


def test_a_directory_that_is_a_file(invoke, one_sentence, tmp_path):
    (tmp_path / "data").write_text("hello")
    one_sentence(invoke(), str(tmp_path / "data"))


@pytest.mark.parametrize("words", [[], ["links"]])
@pytest.mark.parametrize("content", [b"This is a diary.\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_file_that_is_no_database(invoke, one_sentence, database, content, words):
    database.write_bytes(content)
    one_sentence(invoke(*words), str(database))
    assert database.read_bytes() == content


@pytest.mark.parametrize("words", [[], ["links"]])
def test_a_database_of_something_else(invoke, one_sentence, database, words):
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE recipe (name TEXT)")
    one_sentence(invoke(*words), str(database), "something else")


@pytest.mark.parametrize("words", [[], ["links"]])
def test_a_database_newer_than_the_code(invoke, one_sentence, database, start, words):
    start(data=database.parent)
    with sqlite3.connect(database) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    before = database.read_bytes()
    one_sentence(invoke(*words), str(database), "newer")
    assert database.read_bytes() == before


@pytest.mark.parametrize("words", [[], ["links"]])
def test_a_database_without_a_version(invoke, one_sentence, database, start, words):
    start(data=database.parent)
    with sqlite3.connect(database) as db:
        db.execute("DELETE FROM alembic_version")
    one_sentence(invoke(*words), str(database))


def test_an_empty_file_becomes_a_database(start_server, database):
    database.touch()
    assert start_server(data=database.parent).open_shop().take().status == 201


# ----- links


def test_links_prints_each_places_manage_link(command, place):
    ended = command("links", TAKEANUMBER_URL="https://queue.example.org")
    token = place.links["manage"].rsplit("/", 1)[1]
    assert ended.stdout == f"Corner Deli: https://queue.example.org/corner-deli/manage/{token}\n"
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_printed_links_work(command, server):
    server.open_shop()
    address = {"TAKEANUMBER_DATA": str(server.data), "HOST": "127.0.0.1", "PORT": str(server.port)}
    link = command("links", **address).stdout.split(": ")[1].strip()
    with urllib.request.urlopen(link) as page:
        assert page.status == 200


def test_links_of_a_replaced_bookmark_are_the_new_ones(invoke, place):
    new = place.owner_post("/links/manage/replace").body["links"]["manage"]
    assert new.rsplit("/", 1)[1] in invoke("links").stdout


def test_links_while_there_is_no_place(invoke, app):
    ended = invoke("links")
    assert (ended.returncode, ended.stdout.count("\n")) == (0, 1)
    assert "No place" in ended.stdout


def test_links_without_a_database(invoke, one_sentence, tmp_path):
    one_sentence(invoke("links"), "There is no database")
    assert not (tmp_path / "data").exists()


# ----- demo


def test_the_demo_plays_a_day(command, server):
    ended = command("demo", "--url", server.url, "--speed", "1000", "--hours", "0.3")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "/corner-deli/board" in ended.stdout
    picture = server.get("/corner-deli").body
    assert {queue["name"] for queue in picture["queues"]} == {"Deli", "Bakery"}
    assert picture["calls"]


def test_the_demo_needs_a_server(invoke, one_sentence):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # nothing listens there
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        one_sentence(invoke("demo", "--url", url), url)


def test_the_demo_needs_a_server_that_allows_another_place(invoke, one_sentence, server):
    server.open_shop()
    one_sentence(invoke("demo", "--url", server.url), "one place")


def test_the_demo_needs_the_setup_code(command, one_sentence, start_server):
    server = start_server(setup_code="open sesame")
    one_sentence(command("demo", "--url", server.url), "setup code")
    ended = command(
        "demo", "--url", server.url, "--setup-code", "open sesame", "--speed", "1000", "--hours", "0.02"
    )
    assert ended.returncode == 0


@pytest.mark.soak
def test_the_demo_goes_on_when_the_server_limits_how_many_take_numbers(command, start_server):
    server = start_server(takes_per_minute=5)
    ended = command("demo", "--url", server.url, "--speed", "1000", "--hours", "0.3")
    assert (ended.returncode, ended.stderr) == (0, "")
    links = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    tickets = server.get(f"{links['manage']}/tickets.csv").body
    assert tickets.count("\n") > 6, "only as many as may take a number themselves"
