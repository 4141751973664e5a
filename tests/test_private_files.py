"""The files of the server: nobody else on the machine can read them."""

import os
import stat

import pytest


def modes(directory):
    """Return the modes of a directory and of each file in it."""
    return {
        path.name: oct(stat.S_IMODE(path.stat().st_mode))
        for path in (directory, *sorted(directory.iterdir()))
    }


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0o000)
    yield
    os.umask(before)


def test_serving_creates_private_files(start_server, tmp_path):
    server = start_server(data=tmp_path / "data")
    server.open_shop().take()
    found = modes(server.data)
    assert {"takeanumber.db", "takeanumber.db-wal", "takeanumber.db-shm"} <= found.keys()
    assert found.pop("data") == "0o700"
    assert set(found.values()) == {"0o600"}


def test_restoring_creates_private_files(start_server, command, tmp_path):
    (tmp_path / "backups").mkdir()
    server = start_server(backup_url=tmp_path / "backups")
    server.open_shop().take()
    server.stop()
    kept = {"TAKEANUMBER_BACKUP_URL": str(tmp_path / "backups"), "TAKEANUMBER_DATA": str(tmp_path / "new")}
    answer = command("restore", **kept)
    assert answer.returncode == 0, answer.stderr
    assert modes(tmp_path / "new") == {"new": "0o700", "takeanumber.db": "0o600"}
    answer = command("restore", "--or-new", **kept | {"TAKEANUMBER_DATA": str(tmp_path / "third")})
    assert answer.returncode == 0, answer.stderr
    assert set(modes(tmp_path / "third").values()) == {"0o700", "0o600"}


def test_the_copy_before_an_upgrade_is_private(tmp_path):
    from app.storage.upgrade import _copy_beside, create_database

    path = tmp_path / "takeanumber.db"
    create_database(path).close()
    _copy_beside(path)
    (copy,) = tmp_path.glob("*.before-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
