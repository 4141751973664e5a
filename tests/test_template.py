"""The CloudFormation template: its parameters, its permissions, and the function that fetches a release."""

import hashlib
import io
import re
import subprocess
import sys
import tomllib
import types
import urllib.error
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve().parent.parent
TEMPLATE = HERE / "deploy" / "takeanumber.yaml"
CFN_LINT = Path(sys.executable).parent / "cfn-lint"
BRANCH = "Python 3.13 running on 64bit Amazon Linux 2023"


def load_template():
    """Return the template as a dictionary, where `!Ref X` is {"Ref": "X"}."""

    class Loader(yaml.SafeLoader):
        pass

    def construct(loader, name, node):
        kind = type(node).__name__.removesuffix("Node").lower()
        options = {} if kind == "scalar" else {"deep": True}
        return {name: getattr(loader, f"construct_{kind}")(node, **options)}

    Loader.add_multi_constructor("!", construct)
    return yaml.load(TEMPLATE.read_text(), Loader)


@pytest.fixture(scope="module")
def template():
    return load_template()


@pytest.fixture(scope="module")
def resources(template):
    return template["Resources"]


@pytest.mark.soak
def test_cfn_lint_finds_nothing():
    ended = subprocess.run([CFN_LINT, TEMPLATE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_the_cli_can_send_it_without_a_bucket():
    assert TEMPLATE.stat().st_size <= 51_200


# ----- parameters


def test_only_the_setup_code_has_no_default(template):
    assert [name for name, item in template["Parameters"].items() if "Default" not in item] == ["SetupCode"]


def test_no_default_is_a_placeholder_and_each_satisfies_its_own_pattern(template):
    for name, item in template["Parameters"].items():
        if "AllowedPattern" in item and "Default" in item:
            assert re.fullmatch(item["AllowedPattern"], item["Default"]), name
    for placeholder in ("REGION", "BUCKET", "ACCOUNT", "example.org"):
        assert placeholder not in TEMPLATE.read_text()


def test_the_default_version_is_that_of_the_project(template):
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    assert template["Parameters"]["Version"]["Default"] == project["version"]


def test_every_parameter_is_shown_in_a_group(template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("k7fm-2xqd-9hwt-c4pz", True),
        ("A_b.c:d/e=f+g@h-i", True),
        ("with spaces in it", False),
        ("`backticks`backticks", False),
        ("quote'quote\"", False),
        ("back\\slash\\slash", False),
        ("dollar$dollar", False),
    ],
)
def test_a_setup_code_has_only_characters_that_the_platform_leaves_alone(template, code, allowed):
    assert bool(re.fullmatch(template["Parameters"]["SetupCode"]["AllowedPattern"], code)) == allowed


# ----- resources


def options_of(resources, several=False):
    """Return the options of one instance, or of several."""
    settings = resources["Environment"]["Properties"]["OptionSettings"]
    chosen = [item["If"][1 if several else 2] if "If" in item else item for item in settings]
    given = [item for item in chosen if item != {"Ref": "AWS::NoValue"}]
    return {(item["Namespace"], item["OptionName"]): item["Value"] for item in given}


def test_the_platform_can_be_changed_without_replacing_the_environment(resources):
    properties = resources["Environment"]["Properties"]
    assert "SolutionStackName" not in properties
    assert properties["PlatformArn"] == {
        "If": ["FromRelease", {"GetAtt": "Release.PlatformArn"}, {"Ref": "PlatformArn"}]
    }
    assert resources["Release"]["Properties"]["PlatformBranch"] == BRANCH
    assert f'PLATFORM_BRANCH = "{BRANCH}"' in (HERE / "deploy" / "launch.py").read_text()


def test_managed_updates_have_a_role(resources):
    options = options_of(resources)
    role = {"GetAtt": "ServiceRole.Arn"}
    assert options["aws:elasticbeanstalk:managedactions", "ServiceRoleForManagedUpdates"] == role
    assert options["aws:elasticbeanstalk:environment", "ServiceRole"] == role


def test_nginx_and_cloudfront_know_the_same_secret(resources):
    options = options_of(resources)
    secret = {"If": ["FromRelease", {"GetAtt": "Release.OriginSecret"}, {"Ref": "OriginSecret"}]}
    namespace = "aws:elasticbeanstalk:application:environment"
    assert options[namespace, "NGINX_ORIGIN_SECRET"] == {"If": ["CloudFront", secret, "none"]}
    assert options[namespace, "TAKEANUMBER_PROXIES"] == {
        "If": ["CloudFront", {"If": ["Several", "3", "2"]}, {"If": ["Several", "2", "1"]}]
    }
    (origin,) = resources["Front"]["Properties"]["DistributionConfig"]["Origins"]
    (header,) = origin["OriginCustomHeaders"]
    assert header == {"HeaderName": "X-Takeanumber-Origin", "HeaderValue": secret}
    variable = "$http_" + header["HeaderName"].lower().replace("-", "_")
    assert variable in (HERE / ".platform/hooks/prebuild/02_nginx.sh").read_text()


def test_with_a_database_several_instances_share_it_behind_a_balancer(resources):
    one, several = options_of(resources), options_of(resources, several=True)
    namespace = "aws:elasticbeanstalk:application:environment"
    assert (namespace, "TAKEANUMBER_DATABASE_URL") not in one
    assert several[namespace, "TAKEANUMBER_DATABASE_URL"] == {"Ref": "DatabaseUrl"}
    assert several[namespace, "TAKEANUMBER_BACKUP_URL"]["If"][:2] == ["Several", "none"]
    assert several["aws:elasticbeanstalk:environment", "EnvironmentType"] == {
        "If": ["Several", "LoadBalanced", "SingleInstance"]
    }
    for name in ("MinSize", "MaxSize"):
        assert ("aws:autoscaling:asg", name) not in one
        assert several["aws:autoscaling:asg", name] == {"Ref": name.replace("Size", "Instances")}
    assert several["aws:elasticbeanstalk:environment:process:default", "HealthCheckPath"] == "/healthz"


def test_the_backups_outlive_the_stack_and_nothing_in_them_is_overwritten(resources):
    for name in ("Backups", "BackupsPolicy"):
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    (statement,) = resources["BackupsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:PutObject")
    assert statement["NotResource"]["Sub"].endswith(":s3:::${Backups}/takeanumber/last/*")
    assert statement["Condition"]["Null"] == {"s3:if-none-match": "true"}


def test_the_last_backup_and_the_lease_never_expire(resources):
    properties = resources["Backups"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = properties["LifecycleConfiguration"]["Rules"]
    for key in ("takeanumber/last/database.db.gz", "takeanumber/lease/00000001.json"):
        for rule in rules:
            assert not (key.startswith(rule["Prefix"]) and "ExpirationInDays" in rule)
    for rule in rules:  # what has expired is also removed, and not only hidden
        assert rule["NoncurrentVersionExpiration"]


def test_the_instance_may_not_delete(resources):
    (policy,) = resources["InstanceRole"]["Properties"]["Policies"]
    actions = [s["Action"] for s in policy["PolicyDocument"]["Statement"]]
    assert actions == ["s3:ListBucket", ["s3:GetObject", "s3:PutObject"]]


def test_only_a_launch_by_link_gets_the_function(resources):
    conditional = {name for name, item in resources.items() if item.get("Condition") == "FromRelease"}
    assert conditional == {"Bundles", "ReleaseRole", "ReleaseLog", "ReleaseFunction", "Release"}
    role = resources["ReleaseRole"]["Properties"]
    assert "Backups" not in str(role)


# ----- the function that fetches a release

URL = "https://releases.example.org/takeanumber"
ZIP = b"the release"
DIGEST = hashlib.sha256(ZIP).hexdigest()


class Amazon:
    """Stands in for boto3, cfnresponse and the network."""

    SUCCESS, FAILED = "SUCCESS", "FAILED"

    def __init__(self):
        self.web = {f"{URL}/takeanumber-1.0.0.zip": ZIP}
        self.web[f"{URL}/takeanumber-1.0.0.zip.sha256"] = f"{DIGEST}  takeanumber-1.0.0.zip\n".encode()
        self.stored, self.environments, self.versions, self.sent = {}, [], ["4.9.0", "4.10.1"], []

    # boto3
    def client(self, _):
        return self

    def resource(self, _):
        return self

    Bucket = resource

    @property
    def objects(self):
        return types.SimpleNamespace(all=lambda: types.SimpleNamespace(delete=self.stored.clear))

    def put_object(self, **request):
        self.stored[request["Bucket"], request["Key"]] = request["Body"]

    def describe_environments(self, **request):
        assert request == {"EnvironmentNames": ["takeanumber"], "IncludeDeleted": False}
        return {"Environments": self.environments}

    def list_platform_versions(self, **request):
        assert [each["Values"] for each in request["Filters"]] == [[BRANCH], ["Recommended"]]
        found = [{"PlatformVersion": v, "PlatformArn": f"arn:platform/{BRANCH}/{v}"} for v in self.versions]
        return {"PlatformSummaryList": found}

    # cfnresponse
    def send(self, event, context, status, data, physical_id, reason=None, **options):
        hidden = options == {"noEcho": True}
        answer = types.SimpleNamespace(status=status, data=data, id=physical_id, reason=reason, hidden=hidden)
        self.sent.append(answer)

    # urllib.request
    def urlopen(self, url, timeout):
        if url not in self.web:
            raise urllib.error.HTTPError(url, 404, "Not Found", {}, None)
        if self.web[url] is None:
            raise urllib.error.URLError("no route")
        return io.BytesIO(self.web[url])


@pytest.fixture
def amazon():
    return Amazon()


@pytest.fixture
def release(template, amazon, monkeypatch):
    """Call the function as CloudFormation does, and return its response."""
    monkeypatch.setitem(sys.modules, "boto3", amazon)
    monkeypatch.setitem(sys.modules, "cfnresponse", amazon)
    monkeypatch.setattr("urllib.request.urlopen", amazon.urlopen)
    source = template["Resources"]["ReleaseFunction"]["Properties"]["Code"]["ZipFile"]
    module = {}
    exec(compile(source, "index.py", "exec"), module)
    assert template["Resources"]["ReleaseFunction"]["Properties"]["Handler"] == "index.handler"

    def call(request="Create", physical_id=None, **properties):
        wanted = {"Version": "1.0.0", "ReleaseUrl": URL, "Sha256": "", "Bucket": "bundles"}
        wanted |= {"Environment": "takeanumber", "PlatformBranch": BRANCH}
        assert wanted.keys() == template["Resources"]["Release"]["Properties"].keys() - {
            "ServiceToken",
            "ServiceTimeout",
        }
        event = {"RequestType": request, "ResourceProperties": wanted | properties}
        if physical_id:
            event["PhysicalResourceId"] = physical_id
        module["handler"](event, None)
        return amazon.sent[-1]

    return call


def test_a_release_is_stored_under_a_name_of_its_own(release, amazon):
    answer = release()
    assert answer.status == "SUCCESS"
    assert amazon.stored == {("bundles", answer.data["BundleKey"]): ZIP}
    assert DIGEST[:12] in answer.data["BundleKey"]
    assert answer.data["PlatformArn"] == f"arn:platform/{BRANCH}/4.10.1"
    assert answer.hidden  # it contains the secret


def test_the_secret_stays_the_same_in_updates(release, template):
    first = release()
    assert re.fullmatch(template["Parameters"]["OriginSecret"]["AllowedPattern"], first.data["OriginSecret"])
    second = release("Update", first.id)
    assert second.data["OriginSecret"] == first.data["OriginSecret"]
    assert second.id == first.id
    assert release().id != first.id


def test_a_running_environment_keeps_its_platform(release, amazon):
    amazon.environments = [{"PlatformArn": f"arn:platform/{BRANCH}/4.11.0"}]
    assert release("Update", "secret").data["PlatformArn"].endswith("/4.11.0")


def test_a_trailing_slash_does_not_matter(release):
    assert release(ReleaseUrl=f"{URL}/").status == "SUCCESS"


@pytest.mark.parametrize("digest", ["0" * 64, DIGEST[:-1] + "x"])
def test_a_release_with_another_checksum_is_not_stored(release, amazon, digest):
    answer = release(Sha256=digest)
    assert answer.status == "FAILED"
    assert "It was not installed" in answer.reason
    assert amazon.stored == {}
    amazon.web[f"{URL}/takeanumber-1.0.0.zip.sha256"] = digest.encode()
    assert release().status == "FAILED"
    assert release(Sha256=DIGEST).status == "SUCCESS"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"Version": "9.9.9"}, "takeanumber-9.9.9.zip answers 404. Check Version and ReleaseUrl."),
        ({"ReleaseUrl": "https://gone.example.org"}, "can't be reached"),
    ],
)
def test_a_release_that_can_not_be_fetched_fails_with_a_sentence(release, amazon, properties, reason):
    amazon.web["https://gone.example.org/takeanumber-1.0.0.zip"] = None
    answer = release(**properties)
    assert answer.status == "FAILED"
    assert reason in answer.reason
    assert answer.id


def test_a_region_without_the_platform_fails_with_a_sentence(release, amazon):
    amazon.versions = []
    assert "Choose another region" in release().reason


def test_deleting_the_stack_empties_the_bucket(release, amazon):
    secret = release().id
    assert amazon.stored
    assert release("Delete", secret).status == "SUCCESS"
    assert amazon.stored == {}
