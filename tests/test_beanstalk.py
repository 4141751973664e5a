"""Elastic Beanstalk: the configuration files are valid, and deploys lose no data."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from copy import copy
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from helpers.beanstalk import BUNDLED, CONFIG, PROPERTIES, Aborted, properties_of
from helpers.forks import ROOT
from helpers.soak import soak_after
from helpers.storage import ENVIRONMENT, Bucket
from helpers.versions import NEXT, REBUILDS_PLACE, rows
from helpers.waiting import wait_for

from app.settings import Settings, variable
from app.storage.schema import SCHEMA
from takeanumber import WAITRESS

TOOLS = Path(sys.executable).parent
HOOKS = sorted((ROOT / ".platform").glob("*hooks/*/*"))
SCRIPTS = [ROOT / ".platform" / "takeanumber", *HOOKS]
BUCKET = "elasticbeanstalk-eu-central-1-123456789012"
FORMER = sorted(path.stem for path in (ROOT / "migrations" / "versions").glob("*.py"))[:-1]


# ----- its files


# Let git read a repository of another user, as in CI.
ANYBODYS = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


def run(*words, cwd=ROOT):
    """Run a program that must succeed, and return its output."""
    env = {**os.environ, **ANYBODYS}
    return subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def git(*words, cwd=ROOT):
    return run("git", *words, cwd=cwd)


@pytest.fixture(scope="module")
def template():
    class Loader(yaml.SafeLoader):
        pass

    def function(loader, name, node):
        kind = type(node).__name__.removesuffix("Node").lower()
        more = {} if kind == "scalar" else {"deep": True}
        return {name: getattr(loader, f"construct_{kind}")(node, **more)}

    Loader.add_multi_constructor("!", function)
    return yaml.load((ROOT / "deploy" / "takeanumber.yaml").read_text(), Loader)


def options_of(template, namespace):
    settings = template["Resources"]["Environment"]["Properties"]["OptionSettings"]
    return {each["OptionName"]: each["Value"] for each in settings if each.get("Namespace") == namespace}


def test_hooks_can_be_run_wherever_they_were_checked_out():
    kinds = [f"{hook.parent.parent.name}/{hook.parent.name}" for hook in HOOKS]
    assert kinds == [
        "confighooks/postdeploy",
        "confighooks/predeploy",
        "hooks/postdeploy",
        *["hooks/prebuild"] * 3,
        "hooks/predeploy",
    ]
    modes = {line.split("\t")[1]: line.split()[0] for line in git("ls-files", "-s", ".platform").splitlines()}
    for script in SCRIPTS:
        assert modes[str(script.relative_to(ROOT))] == "100755"
        assert re.match(rb"#!/usr/bin/env (-S )?bash\n", script.read_bytes())
        assert b"\r" not in script.read_bytes()
    paths = [str(path.relative_to(ROOT)) for path in SCRIPTS]
    assert {line.split(": ")[2] for line in git("check-attr", "eol", "--", *paths).splitlines()} == {"lf"}


def test_shellcheck_passes():
    ended = subprocess.run([TOOLS / "shellcheck", *SCRIPTS], capture_output=True, text=True, check=False)
    assert ended.stdout + ended.stderr == ""


def test_configuration_files_name_only_existing_settings():
    known = {variable(name) for name in Settings.__dataclass_fields__}
    deploy = [path for path in (ROOT / "deploy").iterdir() if path.is_file()]
    files = [*deploy, *SCRIPTS, ROOT / ".ebextensions" / "takeanumber.config"]
    for path in files:
        assert set(re.findall(r"\bTAKEANUMBER_[A-Z_]+", path.read_text())) <= known, path


def test_environment_properties_are_valid_settings(template):
    properties = properties_of("my-shop")
    assert properties["TAKEANUMBER_BACKUP_URL"] == f"s3://{BUCKET}/takeanumber/my-shop"
    settings = Settings.read(properties)
    assert (settings.require_database, settings.proxies) == (1, 1)
    assert Path(settings.data).is_absolute()
    assert not Path(settings.data).is_relative_to("/var/app")
    over = dict.fromkeys(options_of(template, PROPERTIES).keys() - {"NGINX_ORIGIN_SECRET"}, "x" * 10)
    assert set(over) <= {variable(name) for name in Settings.__dataclass_fields__}
    over["TAKEANUMBER_BACKUP_URL"] = "s3://bucket/takeanumber"
    for proxies, url in (
        ("2", "https://d111111abcdef8.cloudfront.net"),
        ("1", "http://takeanumber-51af3dc0-da77-11e4-872e-1234567db123.eu-central-1.elasticbeanstalk.com"),
    ):
        over |= {"TAKEANUMBER_PROXIES": proxies, "TAKEANUMBER_URL": url}
        assert Settings.read(properties | over).proxies == int(proxies)


def test_nginx_asks_where_the_app_listens_and_lets_through_what_it_takes():
    (program,) = re.findall("^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert program.split()[:2] == ["python3", "takeanumber.py"]
    nginx = {path.name: path.read_text() for path in (ROOT / ".platform" / "nginx").rglob("*.conf")}
    asked = re.findall(r"proxy_pass ([^;]+);", "".join(nginx.values()))
    assert set(asked) == {f"http://127.0.0.1:{Settings().port}"}
    most = re.search(r"client_max_body_size (\d+)m;", nginx["takeanumber.conf"])[1]
    assert int(most) * 2**20 == WAITRESS["max_request_body_size"]
    stream = re.search(r"location ~ (\S+) {", nginx["takeanumber.conf"])[1]
    urls = ("/corner-deli/live", "/corner-deli", "/corner-deli/t/live", "/static/live.js")
    assert [bool(re.search(stream, url)) for url in urls] == [True, False, False, False]
    assert "proxy_set_header" not in nginx["00_application.conf"]


def test_nginx_leaves_the_tokens_of_all_links_out_of_its_logs(app):
    files = (ROOT / ".platform" / "nginx").rglob("*.conf")
    nginx = re.sub(r"(?m)^ *#.*\n", "", "".join(path.read_text() for path in files))
    ((mask, shown),) = re.findall(r'default \$uri;\s+"~(\S+)" "(\S+)";', nginx)
    mask, shown = mask.replace("(?<", "(?P<"), re.sub(r"\$([a-z_]+)", r"\\g<\1>", shown)
    for rule in app.url_map.iter_rules():
        url = rule.rule.replace("<place>", "t").replace("<token>", "AbCd-_fGhIjKlMnOpQrStU")
        assert re.sub(mask, shown, url) == url.replace("AbCd-_fGhIjKlMnOpQrStU", "*")

    forms = dict(re.findall(r"log_format (\w+)\s+('[^;]*');", nginx))
    read_by_health = '$msec"$uri"$status"$request_time"$upstream_response_time"$http_x_forwarded_for'
    assert forms["takeanumber_healthd"] == f"'{read_by_health}'".replace("$uri", "$takeanumber_path")
    for form in forms.values():
        assert not re.search(r"\$(request|request_uri|uri|args|query_string|http_referer)\b", form)
    assert 'proxy_set_header X-Takeanumber-Origin "";' in nginx
    places = re.findall(r"location [^{]+{([^}]*)}", nginx)
    health, *others = sorted(places, key=lambda place: "access_log off;" not in place)
    assert len(others) == nginx.count("proxy_pass") - 1 == 2
    assert "access_log" not in health.replace("access_log off;", "")
    for place in others:
        logs = re.findall(r"access_log (\S+) (\w+);", place)
        assert [form for _, form in logs] == list(forms)
        assert re.sub(r"\.\$\w+", "", logs[1][0]) == "/var/log/nginx/healthd/application.log"
        assert "error_log /var/log/nginx/error.log crit;" in place
        # Not in the server block, where a refused request would be logged with its token.
        assert place.index("include /etc/takeanumber/nginx/*.conf;") < place.index("proxy_pass")


def test_the_template_and_the_bundle_agree(template):
    for namespace in CONFIG.keys() - {PROPERTIES}:
        for name, value in options_of(template, namespace).items():
            if "If" in value:
                value = value["If"][2]  # of one instance, without PostgreSQL
            parameter = template["Parameters"].get(value["Ref"]) if "Ref" in value else None
            said = CONFIG[namespace].get(name)
            assert said in (None, parameter["Default"] if parameter else value)
    text = (ROOT / "deploy" / "lifecycle.json").read_text().replace("PREFIX", "takeanumber")
    by_hand = {rule["ID"]: rule for rule in json.loads(text)["Rules"]}
    bucket = template["Resources"]["Backups"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert by_hand.keys() == {rule["Id"] for rule in bucket}
    for rule in bucket:
        other = by_hand[rule["Id"]]
        assert rule["Prefix"] == other["Filter"]["Prefix"]
        assert rule.get("ExpirationInDays") == other.get("Expiration", {}).get("Days")
        assert rule["NoncurrentVersionExpiration"] == other["NoncurrentVersionExpiration"]
    assert [rule.get("ExpirationInDays") for rule in bucket] == [2, 7, 35, 35, None]
    assert template["Parameters"]["SetupCode"].keys() & {"Default"} == set()


def test_the_other_ways_to_run_it_take_the_same_files_and_settings():
    image, unit = ((ROOT / "deploy" / name).read_text() for name in ("Dockerfile", "takeanumber.service"))
    assert set(re.findall(r"^COPY (\S+) ", image, re.MULTILINE)) == {
        name for name in BUNDLED if not name.startswith(".") and name not in ("LICENSE", "Procfile")
    }
    (data,) = re.findall(r"TAKEANUMBER_DATA=(\S+)", image)
    assert re.findall(r"^VOLUME (.*)$", image, re.MULTILINE) == [data]
    (state,) = re.findall(r"^StateDirectory=(.*)$", unit, re.MULTILINE)
    assert f"Environment=TAKEANUMBER_DATA=/var/lib/{state}\n" in unit
    page = (ROOT / "docs" / "deploying.md").read_text()
    (user,) = re.findall(r"^User=(.*)$", unit, re.MULTILINE)  # by name: this user owns the backups on a stick
    assert re.search(rf"sudo useradd --system .*{user}\n", page)
    assert re.findall(r"^ReadWritePaths=(.*)$", unit, re.MULTILINE) == ["-/media -/mnt"]
    restoring = re.search(r"sudo systemd-run (.+\\\n.+)\n", page)[1].split()
    program = re.search(r"^ExecStart=(.+) serve$", unit, re.MULTILINE)[1].split()
    told = {*program, f"--uid={user}", "EnvironmentFile=-/etc/takeanumber.env", f"/var/lib/{state}"}
    assert told <= set(restoring)
    assert f"EXPOSE {Settings().port}\n" in image


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_systemd_unit_gives_away_few_rights():
    unit = ROOT / "deploy" / "takeanumber.service"
    rating = run("systemd-analyze", "security", "--offline=true", str(unit))
    assert float(re.search(r"Overall exposure level for takeanumber.service: ([0-9.]+)", rating)[1]) <= 2


def test_only_what_runs_is_sent(tmp_path):
    git("init", "--quiet", cwd=tmp_path)
    for name in (
        "data/takeanumber.db",
        "tests/test_x.py",
        "app/new.py",
        "app/__pycache__/new.pyc",
        ".env",
        "notes",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sent = git("ls-files", "--others", f"--exclude-from={ROOT / '.ebignore'}", cwd=tmp_path)
    assert sent.split() == ["app/new.py"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = tmp_path_factory.mktemp("bundle") / "takeanumber.zip"
    run("make", "bundle", f"BUNDLE={made}")
    return made


def test_the_bundle_holds_what_was_committed_and_no_more(bundle):
    with zipfile.ZipFile(bundle) as zipped:
        held = {item.filename: item.external_attr >> 16 for item in zipped.infolist() if not item.is_dir()}
    committed = set(git("ls-tree", "-r", "--name-only", "HEAD").split("\n")) - {""}
    ignored = set(git("ls-files", "--cached", "--ignored", "--exclude-from=.ebignore").split("\n"))
    assert set(held) == committed - ignored
    assert {name.split("/")[0] for name in held} == set(BUNDLED)
    for script in SCRIPTS:
        assert held[str(script.relative_to(ROOT))] & 0o111 == 0o111


# ----- deploys


@pytest.fixture
def s3(s3_port):
    """A bucket of this test; only the properties of the environment lead there."""
    return Bucket(f"http://127.0.0.1:{s3_port}")


@pytest.fixture
def new_instance(instances, s3, s3_port):
    """Return a function that makes an instance of the same environment."""
    given = ENVIRONMENT | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3_port}"}
    given |= {"TAKEANUMBER_BACKUP_URL": s3.url}
    return lambda **more: instances(**given | more)


@pytest.fixture
def instance(new_instance):
    return new_instance()


def schema_of(path):
    return rows(path, "SELECT version_num FROM alembic_version")[0][0]


class Customers:
    """Customers who keep taking numbers, each with retries until they get a response."""

    def __init__(self, shop, many=3):
        self.shop, self.numbers, self.over = shop, [], threading.Event()
        self.people = [threading.Thread(target=self._take) for _ in range(many)]

    def __enter__(self):
        for each in self.people:
            each.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for each in self.people:
            each.join()

    def _take(self):
        while not self.over.is_set():
            mine, answered = str(uuid4()), False
            while not answered:
                try:
                    answer = self.shop.take(request_id=mine)
                    assert answer.status in (200, 201, 503), answer
                    answered = answer.status != 503
                    if not answered:
                        time.sleep(0.05)
                except (OSError, HTTPException):
                    time.sleep(0.02)  # no server is listening right now
            self.numbers.append(answer.body["number"])
            time.sleep(0.05)

    def check(self):
        """Check that no number was lost and none was given twice."""
        there = [ticket["number"] for ticket in self.shop.tickets()]
        assert len(there) == len(set(there))
        assert len(self.numbers) == len(set(self.numbers))
        assert sorted(self.numbers) == sorted(there)


@pytest.mark.soak
def test_the_bundle_starts_and_can_be_asked_by_hand(new_instance, bundle, tmp_path, s3):
    s3.client.create_bucket(Bucket=BUCKET)
    instance = new_instance(TAKEANUMBER_BACKUP_URL=f"s3://{BUCKET}/takeanumber/shop")  # like .ebextensions
    with zipfile.ZipFile(bundle) as zipped:
        for item in zipped.infolist():
            path = zipped.extract(item, tmp_path / "bundle")
            os.chmod(path, item.external_attr >> 16 or os.stat(path).st_mode)  # like unzip
    instance.pauses = "0 1 2 3"
    instance.deploy(tmp_path / "bundle")
    assert instance.server.open_shop().take().body["number"] == "A1"
    assert "Verified" in instance.said
    assert instance.data.stat().st_mode & 0o777 == 0o700

    tool = tmp_path / "get-config"  # provided by the platform
    tool.write_text(
        f"#!/bin/sh\n[ \"$1\" = environment ] && cat <<'END'\n{json.dumps(instance.properties)}\nEND\n"
    )
    tool.chmod(0o755)
    none = dict.fromkeys(instance.properties, "")
    command = ["bash", str(instance.app / "current" / ".platform" / "takeanumber"), "backups"]
    assert "schema" in instance.run(*command, cwd=tmp_path, EB_GET_CONFIG=str(tool), **none)
    with pytest.raises(Aborted, match="TAKEANUMBER_DATA is not set"):
        instance.run(*command, cwd=tmp_path, EB_GET_CONFIG="/bin/true", **none)


@pytest.mark.soak
def test_files_from_windows_are_deployed(instance, version):
    made = version()
    for path in [made / "Procfile", made / "requirements.txt", *made.rglob("*.sh"), *made.rglob("*.conf"),
                 made / ".platform" / "takeanumber", made / "takeanumber.py"]:  # fmt: skip
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        is_hook = "hooks" in path.parent.parent.name
        path.chmod(0o755 if is_hook else 0o644)  # the platform makes hooks executable, and nothing else
    instance.deploy(made)
    assert instance.server.open_shop().take().body["number"] == "A1"
    instance.configure(TAKEANUMBER_MAX_WAITING="7")
    instance.deploy(made)


@pytest.mark.soak
def test_nginx_refuses_what_does_not_come_through_cloudfront(instance, version):
    file = Path(instance.roots["EB_NGINX"]) / "origin.conf"
    instance.properties["NGINX_ORIGIN_SECRET"] = "abc_DEF-123"
    instance.deploy(version())
    assert file.read_text() == 'if ($http_x_takeanumber_origin != "abc_DEF-123") { return 403; }\n'
    assert file.stat().st_mode & 0o777 == 0o600
    instance.configure(NGINX_ORIGIN_SECRET="none")
    assert not file.exists()
    with pytest.raises(Aborted, match="NGINX_ORIGIN_SECRET may only contain"):
        instance.configure(NGINX_ORIGIN_SECRET='"; return 200 "')


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_deploys_lose_nothing_and_give_nothing_twice(instance, version, s3, times):
    instance.deploy(version())
    with Customers(instance.server.open_shop()) as customers:
        for _ in range(times):
            before = len(customers.numbers)
            instance.deploy(version())
            time.sleep(0.3)
            assert len(customers.numbers) > before
    customers.check()
    assert "A1" in customers.numbers
    instance.stop()
    assert f"-{len(customers.numbers)}t-" in s3.copies()[-1]  # a last one at the end


BROKEN = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, {"TAKEANUMBER_BACKUP_URL": "s3://not-there/shop"}


@pytest.mark.parametrize("broken", soak_after(1, BROKEN), ids=["storage", "bucket"])
def test_a_deploy_without_a_backup_is_aborted_and_the_old_version_goes_on(instance, version, broken):
    instance.deploy(version())
    shop, server = instance.server.open_shop(), instance.server.process.pid
    instance.properties |= broken
    with pytest.raises(Aborted, match=r"^Error: .*\.\n$"):
        instance.deploy(version(REBUILDS_PLACE))
    assert shop.take().status == 201
    schema = schema_of(instance.data / "takeanumber.db")
    assert (instance.server.process.pid, schema) == (server, SCHEMA)


@pytest.mark.soak
def test_an_earlier_version_is_not_deployed_on_the_database_of_a_newer_one(instance, version):
    instance.deploy(version(REBUILDS_PLACE))
    shop, database = instance.server.open_shop(), instance.data / "takeanumber.db"
    assert schema_of(database) == NEXT
    with pytest.raises(Aborted, match="newer version"):
        instance.deploy(version())
    assert shop.take().body["number"] == "A1"
    assert schema_of(database) == NEXT


@pytest.mark.soak
@pytest.mark.parametrize(
    "schema", [FORMER[0], *(pytest.param(each, marks=pytest.mark.soak) for each in FORMER[1:])]
)
def test_a_database_of_an_earlier_schema_is_upgraded_by_deploying(old_version, instance, version, s3, schema):
    shutil.copytree(old_version(schema).parent, instance.data)
    instance.deploy(version())
    assert schema_of(instance.data / "takeanumber.db") == SCHEMA
    assert rows(instance.data / "takeanumber.db", "SELECT number FROM ticket") == [("A1",), ("A2",)]
    (line,) = instance.server.get("/corner-deli").body["queues"]
    assert [called["number"] for called in line["called"]] == ["A1"]
    assert f"-{schema}-2t-" in s3.copies()[0]  # as it was before


def test_a_new_instance_takes_over_from_the_old_one(instance, new_instance, version):
    instance.deploy(version())
    shop, new = instance.server.open_shop(), new_instance()
    with Customers(shop) as customers:
        new.deploy(version())
        before = len(customers.numbers)
        assert shop.take().status == 201  # the old one serves while customers reach it
        customers.shop = copy(shop)
        customers.shop.client = new.server  # as the load balancer routes them
        wait_for(lambda: len(customers.numbers) > before + 10, within=60)
    there = {ticket["number"] for ticket in customers.shop.tickets()}
    assert len(customers.numbers) == len(set(customers.numbers))
    assert set(customers.numbers) <= there
    assert shop.take().status == 503  # only one of the two may write
    assert instance.server.get(shop.links["board"]).status == 503  # otherwise it would show a stale line


@pytest.mark.soak
def test_an_instance_of_a_cloned_environment_is_refused(instance, new_instance, version):
    instance.deploy(version())
    assert instance.server.open_shop().take().status == 201
    clone = new_instance()
    clone.environment = "shop-clone"
    with pytest.raises(Aborted, match="The environment 'shop' keeps its backups at"):
        clone.deploy(version())
    assert list(clone.data.glob("*.db")) == []
    clone.properties["TAKEANUMBER_BACKUP_URL"] += "-clone"
    clone.deploy(version())
    assert clone.server.open_shop().take().body["number"] == "A1"


@pytest.mark.soak
def test_a_lost_file_is_an_error_and_no_empty_shop(instance, version):
    instance.deploy(version())
    instance.server.open_shop().take()
    instance.stop()
    for path in instance.data.glob("takeanumber.db*"):
        path.unlink()
    with pytest.raises(AssertionError, match="There is no database at"):
        instance.serve()
    assert list(instance.data.glob("takeanumber.db*")) == []
    instance.deploy(version())
    assert instance.server.get("/corner-deli").body["queues"][0]["waiting"] == ["A1"]


@pytest.mark.soak
def test_storage_that_does_not_answer_is_not_taken_for_a_new_shop(instance, version):
    instance.properties["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    with pytest.raises(Aborted, match=r"^Error: .*\.\n$"):
        instance.deploy(version())
    assert list(instance.data.glob("takeanumber.db*")) == []


@pytest.mark.soak
def test_changed_properties_are_backed_up_before(instance, version, s3):
    instance.deploy(version())
    shop = instance.server.open_shop()
    shop.take()
    instance.configure(TAKEANUMBER_MAX_WAITING="7")
    assert "-1t-" in s3.copies()[-1]
    assert shop.waiting() == ["A1"]
    with pytest.raises(Aborted):
        instance.configure(TAKEANUMBER_BACKUP_URL="s3://not-there/shop")
    assert shop.take().body["number"] == "A2"
    # to another storage, and backups go on there
    instance.configure(TAKEANUMBER_BACKUP_URL=f"{s3.url}/moved")
    assert shop.take().body["number"] == "A3"
    instance.stop()
    assert "-3t-" in s3.names("moved/0")[-1]


@pytest.mark.parametrize("data", soak_after(2, ["", "data", "{app}", "{app}/current/data"]))
def test_data_that_a_deploy_would_replace_is_refused(instance, version, data):
    instance.properties["TAKEANUMBER_DATA"] = data.format(app=instance.app)
    with pytest.raises(Aborted, match="TAKEANUMBER_DATA"):
        instance.deploy(version())


@pytest.mark.soak
def test_what_root_makes_belongs_to_the_app(instance, version):
    user = "nobody" if os.geteuid() == 0 else instance.roots["EB_APP_USER"]
    instance.roots["EB_APP_USER"] = user
    for _ in range(2):  # restored, and then backed up while no server has its WAL open
        instance.run_hooks(version(), "hooks/prebuild")
        instance.run_hooks(version(), "hooks/predeploy")
        there = [instance.data, *instance.data.iterdir()]
        assert {path.name: path.owner() for path in there} == {path.name: user for path in there}
        assert instance.data / "takeanumber.db" in there
