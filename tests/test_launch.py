"""deploy/launch in an AWS account that tests/fake_aws.py stands in for."""

import ast
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from helpers.soak import soak_after

HERE = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
FAKE_AWS = HERE / "tests" / "fake_aws.py"
BUNDLED = [line[2:].rstrip("/") for line in (HERE / ".ebignore").read_text().splitlines() if line[0] == "!"]
BRANCH = "Python 3.13 running on 64bit Amazon Linux 2023"
BUCKET = "takeanumber-backups-1a2b3c4d5e6f"
STORAGE = "elasticbeanstalk-eu-central-1-123456789012"
DENIED = (
    "An error occurred (AccessDenied) when calling the Anything operation: User: "
    "arn:aws:iam::123456789012:user/ann is not authorized to perform: any:Thing"
)
# git also reads a repository that belongs to another user, as in CI.
GIT = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


def platform(version):
    return f"arn:aws:elasticbeanstalk:eu-central-1::platform/{BRANCH}/{version}"


def git(*words, cwd):
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    command = ["git", *identity, *words]
    ended = subprocess.run(
        command, cwd=cwd, env={**os.environ, **GIT}, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


class CloudShell:
    """A shell with a clone of the repository and a fake `aws`."""

    def __init__(self, directory):
        self.directory = directory
        self.clone = directory / "takeanumber"
        programs = directory / "bin"
        self.environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(directory),
            "AWS_REGION": "eu-central-1",
            "FAKE_AWS": str(directory / "state"),
            "LAUNCH_POLL_S": "0.05",
        } | GIT
        programs.mkdir()
        (programs / "git").symlink_to(shutil.which("git"))
        for name, words in (("python3", ""), ("aws", f"-ES {FAKE_AWS}")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
            (programs / name).chmod(0o755)

    def prepare(self):
        """Make the clone, and an account without a shop."""
        shutil.copytree(HERE / "deploy", self.clone / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
        for name in (".ebignore", "pyproject.toml"):
            shutil.copy(HERE / name, self.clone)
        for name in [*BUNDLED, "tests/test_x.py", "docs/api.md"]:
            path = self.clone / name
            if (HERE / name).is_dir():
                path = path / "file"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        git("init", "--quiet", cwd=self.clone)
        self.commit()
        self.account(
            stack=None, deleted=[], events=[], environment=None, parameters={}, setup_code="",
            serial=0, looks=0, buckets=[], objects={}, recommended=["4.7.2"], cloudfront_verified=True,
            call_fails={}, resource_fails={}, delete_fails="",
        )  # fmt: skip

    def copy_of(self, other):
        """Take over the clone and the account of another shell."""
        for path in other.directory.iterdir():
            if path.is_dir() and path.name != "bin":
                shutil.copytree(path, self.directory / path.name)
            elif path.is_file():
                shutil.copy(path, self.directory)
        return self

    def commit(self):
        git("add", ".", cwd=self.clone)
        git("commit", "--quiet", "--allow-empty", "--message", "A version", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone)

    def account(self, **changes):
        """Change the state of the account, and return it."""
        path = self.directory / "state"
        state = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(state | changes))
        return state | changes

    def change_stack(self, **changes):
        self.account(stack=self.account()["stack"] | changes)

    def uploaded(self, suffix):
        """The only uploaded file with this suffix."""
        (path,) = (self.directory / "uploaded").glob(f"*{suffix}")
        return path

    def run(self, *words, fails=False, program="deploy/launch"):
        """Run deploy/launch and return what it prints. If it is to fail, return its error message instead."""
        (self.directory / "calls").unlink(missing_ok=True)
        python = ["python3"] if program.endswith(".py") else []
        command = [*python, self.clone / program, *words]
        ended = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert (ended.returncode != 0) == fails, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        if fails:
            return ended.stderr.strip()
        assert ended.stderr == ""
        return ended.stdout

    def calls(self):
        """The calls of the last run."""
        path = self.directory / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(self):
        """The calls of the last run that change something."""
        reads = re.compile("describe-|list-|get-")
        return [" ".join(c["words"][:2]) for c in self.calls() if not reads.match(c["words"][1])]

    def overrides(self):
        """The parameters that the last deploy has set."""
        words = [call["words"] for call in self.calls() if call["words"][1] == "deploy"][-1]
        return dict(word.split("=", 1) for word in words[words.index("--parameter-overrides") + 1 : -2])


@pytest.fixture(scope="module")
def new_account(tmp_path_factory):
    prepared = CloudShell(tmp_path_factory.mktemp("new"))
    prepared.prepare()
    return prepared


@pytest.fixture(scope="module")
def account_with_shop(tmp_path_factory, new_account):
    prepared = CloudShell(tmp_path_factory.mktemp("shop")).copy_of(new_account)
    prepared.run()
    return prepared


@pytest.fixture
def shell(tmp_path, new_account):
    """A shell in whose account there is no shop."""
    return CloudShell(tmp_path).copy_of(new_account)


@pytest.fixture
def shop(tmp_path, account_with_shop):
    """A shell in whose account there is a shop."""
    return CloudShell(tmp_path).copy_of(account_with_shop)


# ----- the script


def test_shellcheck_finds_nothing():
    ended = subprocess.run(
        [TOOLS / "shellcheck", HERE / "deploy" / "launch"], capture_output=True, check=False
    )
    assert ended.stdout + ended.stderr == b""


def test_the_syntax_of_the_scripts_in_deploy_is_that_of_python_3_9():  # which CloudShell has
    for path in (HERE / "deploy").glob("*.py"):
        source = path.read_text()
        ast.parse(source, feature_version=(3, 9))
        assert "from __future__ import annotations" in source


@pytest.mark.soak
def test_the_calls_and_the_answers_of_the_tests_are_those_of_aws(shell):
    shell.account(cloudfront_verified=False)
    shell.run()
    calls = shell.calls()
    for words in (["--status"], ["--https", "cloudfront"], ["--delete"]):
        shell.account(cloudfront_verified=True)
        shell.run(*words)
        calls += shell.calls()
    publish(shell)
    calls += shell.calls()
    session = botocore.session.get_session()
    seen = set()
    for call in calls:
        service, command, *rest = call["words"]
        assert rest[-2:] == ["--output", "json"]
        if (service, command) == ("cloudformation", "deploy") or service == "s3":
            continue  # commands of the CLI itself
        seen.add(command)
        model = session.get_service_model({"s3api": "s3"}.get(service, service))
        (name,) = [name for name in model.operation_names if xform_name(name, "-") == command]
        operation = model.operation_model(name)
        members = operation.input_shape.members if operation.input_shape else {}
        known = {xform_name(member, "-") for member in members} | {"max-items"}
        for option in [word[2:] for word in rest[:-2] if word.startswith("--")]:
            assert option.removeprefix("no-") in known, call
        if call["answer"]:
            assert operation.output_shape, call
            check_shape(call["answer"], operation.output_shape)
    assert len(seen) == 14


def check_shape(value, shape):
    if shape.type_name == "structure":
        for name, item in value.items():
            check_shape(item, shape.members[name])
    elif shape.type_name == "list":
        for item in value:
            check_shape(item, shape.member)


# ----- creating


def test_a_new_account_gets_a_shop(shell):
    shell.account(recommended=["4.9.1", "4.10.0"])
    printed = shell.run()
    assert shell.changes() == ["elasticbeanstalk create-storage-location", "s3 cp", "cloudformation deploy"]
    commit = git("rev-parse", "HEAD", cwd=shell.clone)
    given = shell.overrides()
    assert given.keys() == {"SetupCode", "OriginSecret", "PlatformArn", "BundleBucket", "BundleKey"}
    assert given["PlatformArn"] == platform("4.10.0")
    assert given["BundleBucket"] == STORAGE
    assert given["BundleKey"] == f"takeanumber-versions/takeanumber/{commit}.zip"
    assert f"s3://{STORAGE}/{given['BundleKey']}" in shell.account()["objects"]
    assert re.fullmatch("([a-z2-9]{4}-){3}[a-z2-9]{4}", given["SetupCode"])
    assert "https://d111111abcdef8.cloudfront.net" in printed
    assert f"Setup code   {given['SetupCode']}" in printed
    assert f"s3://{BUCKET}/takeanumber" in printed
    assert "13 to 14 US dollars a month" in printed
    assert printed.index(given["SetupCode"]) < printed.index("server: created")  # the session may end early
    assert "creating CloudFront, for HTTPS; this takes about 5 minutes" in printed
    with zipfile.ZipFile(shell.uploaded(".zip")) as bundle:
        assert {name.split("/")[0] for name in bundle.namelist()} == set(BUNDLED)


@pytest.mark.soak
def test_two_shops_have_different_codes(shell):
    shell.run()
    first = shell.overrides()
    shell.account(stack=None, events=[])
    shell.run("--backups", "new")
    second = shell.overrides()
    assert first["SetupCode"] != second["SetupCode"]
    assert first["OriginSecret"] != second["OriginSecret"]


def test_without_cloudfront_the_shop_is_created_over_http(shell):
    shell.account(cloudfront_verified=False)
    printed = shell.run()
    assert shell.changes()[2:] == [
        "cloudformation deploy",
        "cloudformation delete-stack",
        "cloudformation deploy",
    ]
    assert shell.overrides()["Https"] == "none"
    assert "AWS has not verified your account for CloudFront yet" in printed
    assert "http://takeanumber-0000.eu-central-1.elasticbeanstalk.com" in printed
    assert "no HTTPS" in printed
    assert "deploy/launch --https cloudfront" in printed

    shell.account(cloudfront_verified=True)
    printed = shell.run("--https", "cloudfront")
    assert "https://d111111abcdef8.cloudfront.net" in printed
    assert "no HTTPS" not in printed


@pytest.mark.soak
def test_a_shop_without_cloudfront_stays_so_when_it_is_updated(shell):
    shell.run("--https", "none")
    shell.commit()
    shell.run()
    assert "Https" not in shell.overrides()
    assert shell.account()["parameters"]["Https"] == "none"


@pytest.mark.soak
def test_cloudfront_that_is_still_refused_leaves_the_shop_as_it_is(shell):
    shell.account(cloudfront_verified=False)
    shell.run()
    error = shell.run("--https", "cloudfront", fails=True)
    assert "still runs its earlier version" in error
    assert "Ask AWS Support to verify your account" in error
    assert shell.account()["parameters"]["Https"] == "none"


@pytest.mark.parametrize(
    ("reason", "advice"),
    soak_after(
        1,
        [
            ("No default VPC for this user", "aws ec2 create-default-vpc"),
            ("The maximum number of addresses has been reached. (AddressLimitExceeded)", "Elastic IPs"),
            ("You have requested more vCPU capacity than your current vCPU limit of 0", "Service Quotas"),
            (
                "We currently do not have sufficient t3.micro capacity (InsufficientInstanceCapacity)",
                "t3.small",
            ),
            ("User is not authorized to perform: iam:CreateRole", "AdministratorAccess"),
            ("Something that nobody has seen before", "Run it again"),
        ],
    ),
)
def test_a_shop_that_can_not_be_created_says_what_to_do_and_the_next_run_starts_again(shell, reason, advice):
    shell.account(resource_fails={"Environment": reason})
    error = shell.run(fails=True)
    assert error.startswith(f"No shop was created. AWS says: {reason}\n")
    assert advice in error.splitlines()[1]
    assert shell.account()["stack"]["StackStatus"] == "ROLLBACK_COMPLETE"
    printed = shell.run()
    assert "Removing the remains of an earlier attempt." in printed
    assert shell.changes()[0] == "cloudformation delete-stack"
    assert "The shop is ready" in printed


def test_a_session_that_ended_early_is_continued(shop):
    code = shop.account()["setup_code"]
    shop.change_stack(StackStatus="CREATE_IN_PROGRESS")
    printed = shop.run()
    assert "Waiting until it has finished" in printed
    assert f"Setup code   {code}" in printed


@pytest.mark.soak
def test_backups_of_an_earlier_shop_are_not_forgotten(shop):
    shop.run("--delete")
    error = shop.run(fails=True)
    assert f"deploy/launch --backups {BUCKET}" in error
    assert shop.changes() == []
    shop.run("--backups", BUCKET)
    assert shop.overrides()["BackupBucket"] == BUCKET
    assert "only for a new shop" in shop.run("--backups", BUCKET, fails=True)


def test_a_second_shop_has_its_own_name(shop):
    shop.account(stack=None, events=[])  # the fake account holds one stack
    printed = shop.run("--name", "Bakery-2", "--instance-type", "t3.small")
    named = [
        call["words"][call["words"].index("--stack-name") + 1]
        for call in shop.calls()
        if "--stack-name" in call["words"]
    ]
    assert named
    assert not [name for name in named if "Bakery-2" not in name]
    assert shop.overrides()["InstanceType"] == "t3.small"
    assert "takeanumber-versions/Bakery-2/" in shop.overrides()["BundleKey"]
    assert "21 to 22 US dollars" in printed
    assert "deploy/launch --name Bakery-2 --status" in printed


# ----- updating


def test_running_it_again_updates(shop):
    before = shop.account()["parameters"]
    commit = shop.commit()
    printed = shop.run()
    assert shop.overrides().keys() == {"PlatformArn", "BundleBucket", "BundleKey"}
    assert commit in shop.overrides()["BundleKey"]
    assert "server: updated" in printed
    assert f"Setup code   {before['SetupCode']}" in printed
    after = shop.account()["parameters"]
    assert {key for key in after if after[key] != before[key]} == {"BundleKey"}


def test_an_update_keeps_the_platform_that_managed_updates_have_brought(shop):
    shop.account(environment=shop.account()["environment"] | {"PlatformArn": platform("4.8.0")})
    shop.account(recommended=["4.9.0"])
    shop.run()
    assert shop.overrides()["PlatformArn"] == platform("4.8.0")


def test_an_update_leaves_an_older_branch(shop):
    old = platform("4.8.0").replace("3.13", "3.11")
    shop.account(environment=shop.account()["environment"] | {"PlatformArn": old})
    shop.run()
    assert shop.overrides()["PlatformArn"] == platform("4.7.2")


@pytest.mark.soak
def test_nothing_to_update_is_no_failure(shop):
    assert "The shop is ready" in shop.run()
    shop.change_stack(StackStatus="UPDATE_ROLLBACK_COMPLETE")
    assert "The shop is ready" in shop.run()


@pytest.mark.soak
def test_an_update_that_fails_leaves_the_earlier_version(shop):
    before = shop.account()["parameters"]
    shop.commit()
    shop.account(resource_fails={"Environment": "Failed to deploy application."})
    error = shop.run(fails=True)
    assert error.startswith(
        "The shop still runs its earlier version. AWS says: Failed to deploy application."
    )
    assert shop.account()["parameters"] == before
    assert "The last update failed" in shop.run("--status")
    assert "The shop is ready" in shop.run()


@pytest.mark.soak
def test_a_rollback_that_failed_is_finished_first(shop):
    shop.change_stack(StackStatus="UPDATE_ROLLBACK_FAILED")
    shop.commit()
    printed = shop.run()
    assert shop.changes()[0] == "cloudformation continue-update-rollback"
    assert "The shop is ready" in printed


def test_what_is_not_committed_is_not_deployed(shop):
    (shop.clone / "takeanumber.py").write_text("changed")
    assert "some changes are not committed" in shop.run()
    with zipfile.ZipFile(shop.uploaded(".zip")) as bundle:
        assert bundle.read("takeanumber.py") == b"takeanumber.py"


def test_a_shop_launched_by_link_is_not_changed(shop):
    shop.change_stack(Parameters=[{"ParameterKey": "BundleKey", "ParameterValue": ""}])
    assert "CloudFormation console" in shop.run(fails=True)
    assert shop.changes() == []


# ----- status


def test_status_of_a_shop(shop):
    printed = shop.run("--status")
    assert shop.changes() == []
    for text in ("CREATE_COMPLETE", "Ready, Ok", f"{BRANCH}/4.7.2", "https://d111111abcdef8.cloudfront.net"):
        assert text in printed
    assert git("rev-parse", "HEAD", cwd=shop.clone) in printed
    assert shop.account()["setup_code"] in printed
    assert "All is well" in printed


@pytest.mark.parametrize(
    ("stack", "environment", "advice"),
    [
        ({"StackStatus": "UPDATE_IN_PROGRESS"}, {}, "AWS is working on it"),
        ({"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, {}, "The last update failed"),
        ({"StackStatus": "DELETE_FAILED"}, {}, "The last change failed"),
        ({}, {"HealthStatus": "Severe", "Health": "Red"}, "The server has a problem"),
        ({}, None, "The server is missing"),
    ],
)
def test_status_says_what_to_do(shop, stack, environment, advice):
    shop.change_stack(**stack)
    now = shop.account()["environment"]
    shop.account(environment=None if environment is None else now | environment)
    assert advice in shop.run("--status")


def test_status_without_a_shop(shell):
    assert "There is no shop 'takeanumber' in eu-central-1" in shell.run("--status", fails=True)


# ----- deleting


def test_delete_removes_everything_but_the_backups(shop):
    printed = shop.run("--delete")
    assert shop.changes() == ["cloudformation delete-stack", "s3 rm"]
    account = shop.account()
    assert account["stack"] is None
    assert account["objects"] == {}
    assert BUCKET in account["buckets"]
    assert f"deploy/launch --backups {BUCKET}" in printed
    assert "nothing was deleted" in shop.run("--delete")


@pytest.mark.soak
def test_what_can_not_be_deleted_is_reported_and_tried_again(shop):
    shop.account(delete_fails="Cannot delete entity, must detach all policies first.")
    error = shop.run("--delete", fails=True)
    assert "Not everything could be deleted. AWS says: Cannot delete entity" in error
    assert "The shop is deleted" in shop.run("--delete")


@pytest.mark.parametrize(("answer", "deleted"), [("takeanumber", True), ("no", False)])
def test_a_person_is_asked_before_deleting(shop, answer, deleted):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [shop.clone / "deploy" / "launch", "--delete"], env=shop.environment, stdin=theirs,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.write(ours, f"{answer}\n".encode())
    assert process.wait(timeout=60) == (0 if deleted else 1)
    os.close(ours)
    os.close(theirs)
    assert (shop.account()["stack"] is None) == deleted


# ----- failures of single calls


CALLS = [
    (["--status"], "cloudformation describe-stacks"),
    (["--status"], "elasticbeanstalk describe-environments"),
    (["--status"], "elasticbeanstalk describe-configuration-settings"),
    (["--delete"], "cloudformation delete-stack"),
    (["--delete"], "s3 rm"),
    ([], "sts get-caller-identity"),
    ([], "elasticbeanstalk create-storage-location"),
    ([], "s3 cp"),
    ([], "cloudformation deploy"),
]


@pytest.mark.parametrize(("words", "call"), soak_after(5, CALLS))
def test_a_call_that_is_denied_ends_with_a_sentence_that_says_what_to_do(shop, words, call):
    shop.account(call_fails={call: DENIED})
    if call == "s3 rm":
        shop.account(buckets=[BUCKET])
    error = shop.run(*words, fails=True)
    assert f"AWS says: {DENIED}" in error
    assert "AdministratorAccess" in error.splitlines()[-1]


@pytest.mark.parametrize("call", ["s3api list-buckets", "elasticbeanstalk list-platform-versions"])
def test_a_call_that_is_denied_before_the_shop_exists_creates_nothing(shell, call):
    shell.account(call_fails={call: DENIED})
    assert "AdministratorAccess" in shell.run(fails=True)
    assert "cloudformation deploy" not in shell.changes()


@pytest.mark.parametrize(
    ("message", "advice"),
    soak_after(
        3,
        [
            (
                "Unable to locate credentials. You can configure credentials by running 'aws login'.",
                "Sign in to",
            ),
            (
                "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: expired",
                "Sign in to",
            ),
            (
                "An error occurred (OptInRequired): The AWS Access Key Id needs a subscription",
                "Finish the regist",
            ),
            (
                "An error occurred (Throttling) when calling the X operation: Rate exceeded",
                "Wait some minutes",
            ),
            ('Could not connect to the endpoint URL: "https://sts.xx-1.amazonaws.com/"', "Check the network"),
            ("An error occurred (LimitExceededException) when calling the X operation: too many", "limit"),
        ],
    ),
)
def test_known_messages_of_aws_are_explained(shell, message, advice):
    shell.account(call_fails={"sts get-caller-identity": message})
    error = shell.run(fails=True)
    assert error.splitlines()[0] == f"AWS says: {message}"
    assert advice in error.splitlines()[1]


def test_a_region_without_the_platform_is_refused(shell):
    shell.account(recommended=[])
    assert f"AWS recommends no version of the platform '{BRANCH}'" in shell.run(fails=True)


def test_a_region_must_be_chosen(shell):
    del shell.environment["AWS_REGION"]
    assert "export AWS_REGION=" in shell.run(fails=True)


def test_a_directory_that_is_no_clone_is_refused(shell):
    shutil.rmtree(shell.clone / ".git")
    assert "git clone" in shell.run(fails=True)


def test_a_computer_without_the_aws_cli_is_refused(shell):
    (shell.directory / "bin" / "aws").unlink()
    assert "needs aws" in shell.run(fails=True)


@pytest.mark.parametrize(
    "words", [["--name", "a"], ["--name", "1234"], ["--delete", "--status"], ["--https", "x"]]
)
def test_invalid_options_are_refused(shell, words):
    assert "deploy/launch: error:" in shell.run(*words, fails=True)
    assert shell.calls() == []


# ----- the documents


def commands_of(page, heading):
    """The commands in a section of a page."""
    text = (HERE / page).read_text()
    section = re.search(rf"^{heading}\n(.*?)^##", text, re.DOTALL | re.MULTILINE)[1]
    return re.findall(r"^    (.+)$", section, re.MULTILINE)


def test_a_new_user_can_follow_the_documents(shell):
    origin = shell.directory / "origin"
    shell.clone.rename(origin)
    shell.account(cloudfront_verified=False)

    def run(command):
        command = command.replace("git clone URL", f"git clone --quiet {origin}")
        ended = subprocess.run(
            ["bash", "-c", command], cwd=shell.directory, env=shell.environment, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    paste, update, status, delete, resume, https = commands_of("docs/deploying.md", "### One paste")
    assert commands_of("README.md", "## On AWS") == [paste]
    printed = run(paste)
    assert "over HTTP" in printed
    code = re.search("Setup code +(.+)", printed)[1]
    assert "13 to 14 US dollars" in printed
    (origin / "takeanumber.py").write_text("newer")
    shell.clone = origin
    commit = shell.commit()
    assert "server: updated" in run(update)
    assert commit in run(status)
    assert code in run(status)
    assert resume in run(delete).replace("deploy/launch", "takeanumber/deploy/launch")
    assert "The shop is ready" in run(resume)
    shell.account(cloudfront_verified=True)
    assert "Address      https://" in run(https)


def test_the_cost_is_that_of_the_documents():
    page = (HERE / "docs" / "deploying.md").read_text()
    total = re.search(r"^\| \*\*total\*\* \| \| \*\*(.*)\*\* \|$", page, re.MULTILINE)[1]
    assert f'"t3.micro": "{total}"' in (HERE / "deploy" / "launch.py").read_text()
    assert f"{total} US dollars" in (HERE / "README.md").read_text().replace("\n", " ")


# ----- publishing a release


def publish(shell, **options):
    return shell.run("my-releases", program="deploy/publish.py", **options)


def test_a_published_release_can_be_launched_by_the_link_that_is_printed(shell):
    printed = publish(shell)
    version = re.search('^version = "(.*)"$', (HERE / "pyproject.toml").read_text(), re.MULTILINE)[1]
    home = "https://my-releases.s3.eu-central-1.amazonaws.com/takeanumber"
    assert f"templateURL={home}/takeanumber.yaml&stackName=takeanumber" in printed
    assert shell.account()["objects"].keys() == {
        f"s3://my-releases/takeanumber/{name}"
        for name in (f"takeanumber-{version}.zip", f"takeanumber-{version}.zip.sha256", "takeanumber.yaml")
    }
    bundle, checksum = shell.uploaded(".zip"), shell.uploaded(".sha256").read_text()
    assert checksum == f"{hashlib.sha256(bundle.read_bytes()).hexdigest()}  {bundle.name}\n"
    with zipfile.ZipFile(bundle) as zipped:
        assert {name.split("/")[0] for name in zipped.namelist()} == set(BUNDLED)
    ours = (HERE / "deploy" / "takeanumber.yaml").read_text().splitlines()
    theirs = shell.uploaded(".yaml").read_text().splitlines()
    assert [line for line in theirs if line not in ours] == [f"    Default: {home}"]
    assert len(theirs) == len(ours)


def test_a_published_release_is_not_replaced(shell):
    publish(shell)
    shell.commit()
    error = publish(shell, fails=True)
    assert "is published already. Choose a higher one." in error
    assert not any(call["words"][:2] == ["s3", "cp"] for call in shell.calls())


def test_a_release_needs_one_version(shell):
    path = shell.clone / "pyproject.toml"
    path.write_text(path.read_text().replace("version = ", 'version = "9.9.9" #'))
    assert "different versions" in publish(shell, fails=True)
    assert shell.calls() == []
