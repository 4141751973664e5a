"""Settings from the environment, and the errors for invalid ones."""

import pytest
from helpers.client import AppClient
from helpers.places import open_deli

NONSENSE = [
    ("TAKEANUMBER_PLACES", "many"),
    ("TAKEANUMBER_PLACES", "ONE"),
    ("TAKEANUMBER_DATABASE_URL", "postgresql://localhost"),
    ("TAKEANUMBER_DATABASE_POOL", "0"),
    ("TAKEANUMBER_URL", "queue.example.org"),
    ("TAKEANUMBER_URL", "ftp://queue.example.org"),
    ("TAKEANUMBER_URL", "https://"),
    ("TAKEANUMBER_URL", "https://queue.example.org/deli"),
    ("TAKEANUMBER_URL", "https://queue.example.org?x=1"),
    ("TAKEANUMBER_URL", "https://queue.example.org/#deli"),
    ("TAKEANUMBER_URL", "https://queue.example.org:port"),
    ("TAKEANUMBER_URL", "https://queue.example.org:99999"),
    ("TAKEANUMBER_URL", "http://[::1"),
    ("TAKEANUMBER_URL", "https://my queue.example.org"),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "0"),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "many"),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "-1"),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "1.5"),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "9" * 40),
    ("TAKEANUMBER_TAKES_PER_MINUTE", "１２"),
    ("TAKEANUMBER_MAX_WAITING", "0"),
    ("TAKEANUMBER_STREAMS_PER_ADDRESS", "0"),
    ("TAKEANUMBER_PROXIES", "-1"),
    ("TAKEANUMBER_PROXIES", "yes"),
    ("TAKEANUMBER_KEEP_PERSONAL_DAYS", "-1"),
    ("TAKEANUMBER_KEEP_PERSONAL_DAYS", "forever"),
    ("TAKEANUMBER_REQUIRE_DATABASE", "2"),
    ("TAKEANUMBER_REQUIRE_DATABASE", "yes"),
    ("TAKEANUMBER_BACKUP_URL", "https://bucket.example.org/shop"),
    ("TAKEANUMBER_BACKUP_URL", "s3://"),
    ("PORT", "http"),
    ("PORT", "65536"),
    ("PORT", "-1"),
]


@pytest.mark.parametrize(("name", "value"), NONSENSE)
def test_an_invalid_value_stops_the_start_with_a_sentence(invoke, monkeypatch, tmp_path, name, value):
    monkeypatch.setenv(name, value)
    ended = invoke("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.endswith(".\n")
    assert ended.stderr.count("\n") == 1
    assert name in ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("TAKEANUMBER_PLACES", "many"), ("TAKEANUMBER_PROXIES", "x"), ("TAKEANUMBER_URL", "example")],
)
@pytest.mark.parametrize("word", ["links", "serve"])
def test_an_invalid_value_stops_every_command(invoke, monkeypatch, word, name, value):
    monkeypatch.setenv(name, value)
    assert name in invoke(word).said


def test_settings_come_from_the_environment(monkeypatch, start):
    monkeypatch.setenv("TAKEANUMBER_URL", "https://queue.example.org/")
    monkeypatch.setenv("TAKEANUMBER_MAX_WAITING", " 1 ")
    monkeypatch.setenv("TAKEANUMBER_SETUP_CODE", "")
    place = open_deli(AppClient(start()))
    assert place.links["board"] == "https://queue.example.org/corner-deli/board"
    assert [place.take().status for _ in range(2)] == [201, 409]


def test_an_empty_value_means_the_default(monkeypatch, start):
    for name in ("PLACES", "URL", "PROXIES", "MAX_WAITING", "DATABASE_URL"):
        monkeypatch.setenv(f"TAKEANUMBER_{name}", "")
    assert open_deli(AppClient(start())).take().status == 201


def test_the_required_database_must_be_there(command, tmp_path):
    ended = command(TAKEANUMBER_REQUIRE_DATABASE="1")
    assert ended.returncode == 1
    assert "takeanumber.db" in ended.stderr
    assert not (tmp_path / "data" / "takeanumber.db").exists()


def test_the_required_database_is_enough(start):
    open_deli(AppClient(start()))
    assert AppClient(start(require_database=1)).get("/corner-deli").status == 200
