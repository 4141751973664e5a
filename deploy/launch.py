"""Creates, updates, reports on or deletes a shop on AWS.

`deploy/launch` starts it in AWS CloudShell, which has git, the AWS CLI (version 2) and Python 3.9. It uses
nothing else. docs/deploying.md describes it for its users.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from advice import CLOUDFRONT_NOT_VERIFIED, VERIFY_CLOUDFRONT, advice_for

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "deploy" / "takeanumber.yaml"
PLATFORM_BRANCH = "Python 3.13 running on 64bit Amazon Linux 2023"
VERSIONS_PREFIX = "takeanumber-versions"  # in Elastic Beanstalk's bucket of the account
DEFAULT_NAME = "takeanumber"
# The stack's name is also the environment's name, which has 4 to 40 characters and no hyphen at the end.
SHOP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,38}[A-Za-z0-9]")
POLL_S = float(os.environ.get("LAUNCH_POLL_S", "5"))  # tests set it to almost nothing
SILENCE_S = 60  # after this time without news, say what is still being waited for
# In US dollars. docs/deploying.md shows the calculation.
MONTHLY_COST = {"t3.micro": "13 to 14", "t3.small": "21 to 22", "t3.medium": "36 to 37"}

# AWS accepts nothing but deletion in these states of a stack.
UNUSABLE_STATES = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")

# The template's resources that are worth reporting. The second value is a remark about slow ones.
RESOURCES = {
    "Backups": ("bucket for backups", ""),
    "InstanceRole": ("permissions of the server", ""),
    "ServiceRole": ("permissions of Elastic Beanstalk", ""),
    "Application": ("application", ""),
    "ApplicationVersion": ("version", ""),
    "Front": ("CloudFront, for HTTPS", "this takes about 5 minutes"),
    "Environment": ("server", "this takes about 5 minutes"),
}
PROGRESS = {"CREATE": "creating", "UPDATE": "updating", "DELETE": "deleting"}
RESULT = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted"}


class Problem(Exception):
    """Ends the command. The message says why, and what to do."""


class AwsError(Problem):
    """A call of the AWS CLI failed."""

    def __init__(self, message: str):
        super().__init__(f"AWS says: {message}\n{advice_for(message)}")
        self.aws_message = message


def say(text: str = "") -> None:
    print(text, flush=True)


def launch_command(name: str, option: str = "") -> str:
    """Return the command for a shop, as the user would enter it."""
    words = ["deploy/launch", "" if name == DEFAULT_NAME else f"--name {name}", option]
    return " ".join(word for word in words if word)


# ----- calling AWS and git


def aws_command(*words: str) -> list[str]:
    return ["aws", *words, "--output", "json"]


def aws_environment() -> dict[str, str]:
    return {**os.environ, "AWS_PAGER": "", "AWS_CLI_AUTO_PROMPT": "off"}


def error_of(stderr: str) -> str:
    """Return the message in the error output of the AWS CLI."""
    message = " ".join(stderr.split()).removeprefix("aws: [ERROR]: ")
    return message or "no reason was given"


def aws(*words: str) -> Any:
    """Call the AWS CLI and return its JSON, or {} if it prints nothing; raise AwsError if it fails."""
    ended = subprocess.run(
        aws_command(*words),
        env=aws_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise AwsError(error_of(ended.stderr))
    return json.loads(ended.stdout) if ended.stdout.strip() else {}


def git(*words: str) -> str:
    """Run git in this repository and return its output."""
    ended = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Problem(
            f"git says: {ended.stderr.strip()}\n"
            "Versions are named after commits, so these files must come from 'git clone'. Clone the "
            "repository again and run deploy/launch there."
        )
    return ended.stdout.strip()


def find_region() -> str:
    """Return the region that the AWS CLI will use; raise Problem if none is configured."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        configured = ["aws", "configure", "get", "region"]
        region = subprocess.run(configured, capture_output=True, text=True, check=False).stdout.strip()
    if not region:
        raise Problem("No region is chosen. Run 'export AWS_REGION=eu-central-1' and run it again.")
    os.environ["AWS_REGION"] = region
    return region


# ----- the stack


def describe_stack(name_or_id: str) -> dict[str, Any] | None:
    """Return the stack, or None if there is none. A deleted stack can only be found by its id."""
    try:
        answer = aws("cloudformation", "describe-stacks", "--stack-name", name_or_id)
    except AwsError as error:
        if "does not exist" in error.aws_message:
            return None
        raise
    stacks = answer.get("Stacks", [])
    return stacks[0] if stacks else None


def outputs_of(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def parameters_of(stack: dict[str, Any]) -> dict[str, str]:
    return {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", [])}


def is_changing(stack: dict[str, Any]) -> bool:
    """Return whether AWS is working on the stack. In REVIEW_IN_PROGRESS it waits for us."""
    state = str(stack["StackStatus"])
    return state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS"


class Progress:
    """Prints what happens to a stack, and collects the reasons of failures."""

    def __init__(self, stack: str):
        self.stack = stack
        self.started = self.last_news = time.monotonic()
        self.working: dict[str, str] = {}  # resource → "creating", …
        self.failures: list[str] = []
        self.changed = False
        self.seen = {event["EventId"] for event in self._events()}

    def _events(self) -> list[dict[str, Any]]:
        """Return the last events, the oldest first."""
        words = ["cloudformation", "describe-stack-events", "--stack-name", self.stack, "--max-items", "200"]
        try:
            events = aws(*words).get("StackEvents", [])
        except AwsError:  # there is no stack yet, or AWS is busy: the next poll returns them
            events = []
        return list(reversed(events))

    def poll(self) -> None:
        """Print what has happened since the last call."""
        for event in self._events():
            if event["EventId"] not in self.seen:
                self.seen.add(event["EventId"])
                self.changed = True
                self._show(event)
        if self.working and time.monotonic() - self.last_news >= SILENCE_S:
            names = [f"{verb} {RESOURCES[resource][0]}" for resource, verb in self.working.items()]
            self._print("still " + ", ".join(names))

    def _show(self, event: dict[str, Any]) -> None:
        resource = event["LogicalResourceId"]
        action, _, result = event["ResourceStatus"].partition("_")
        label, remark = RESOURCES.get(resource, (resource, ""))
        if result == "FAILED" and event.get("PhysicalResourceId") != event["StackId"]:
            self.working.pop(resource, None)
            reason = event.get("ResourceStatusReason", "no reason was given")
            if "cancelled" not in reason:  # because another resource failed
                self.failures.append(reason)
                self._print(f"{label}: failed")
        elif resource not in RESOURCES or action not in PROGRESS:
            return
        elif result == "COMPLETE":
            self.working.pop(resource, None)
            self._print(f"{label}: {RESULT[action]}")
        elif resource not in self.working:
            self.working[resource] = PROGRESS[action]
            if remark:
                self._print(f"{PROGRESS[action]} {label}; {remark}")

    def _print(self, text: str) -> None:
        self.last_news = time.monotonic()
        minutes, seconds = divmod(int(self.last_news - self.started), 60)
        say(f"  {minutes:2}:{seconds:02}  {text}")


def wait_until_settled(stack_id: str, progress: Progress) -> str:
    """Wait until AWS has finished working on a stack, and return its state."""
    while True:
        progress.poll()
        stack = describe_stack(stack_id)
        if stack is None:
            return "DELETE_COMPLETE"
        if not is_changing(stack):
            progress.poll()
            return str(stack["StackStatus"])
        time.sleep(POLL_S)


def deploy_stack(name: str, parameters: dict[str, str]) -> list[str]:
    """Create or update the stack.

    :param parameters: an existing stack keeps its other parameters.
    :return: the reasons why it failed, none if it succeeded.
    :raise AwsError: AWS refused before it changed anything.
    """
    progress = Progress(name)
    command = aws_command(
        *("cloudformation", "deploy", "--stack-name", name, "--template-file", str(TEMPLATE)),
        *("--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", *[f"{key}={value}" for key, value in parameters.items()]),
    )
    with tempfile.TemporaryFile("w+") as stderr:
        nothing = subprocess.DEVNULL
        with subprocess.Popen(
            command, env=aws_environment(), stdin=nothing, stdout=nothing, stderr=stderr
        ) as process:
            while process.poll() is None:
                time.sleep(POLL_S)
                progress.poll()
        stderr.seek(0)
        message = error_of(stderr.read())
    # The command ends while AWS is still rolling back, or early if its connection broke.
    stack = describe_stack(name)
    state = wait_until_settled(stack["StackId"], progress) if stack else ""
    finished = progress.changed and state in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    if process.returncode == 0 or finished:
        return []
    if not progress.failures:
        raise AwsError(message)
    return progress.failures


def delete_stack(stack: dict[str, Any]) -> None:
    """Delete a stack and wait until it is gone; raise Problem if something remains."""
    progress = Progress(stack["StackId"])
    aws("cloudformation", "delete-stack", "--stack-name", stack["StackName"])
    state = wait_until_settled(stack["StackId"], progress)
    if state != "DELETE_COMPLETE":
        reason = progress.failures[0] if progress.failures else f"the state of the stack is {state}"
        raise Problem(f"Not everything could be deleted. AWS says: {reason}\n{advice_for(reason)}")


# ----- what the stack needs


def make_bundle(path: str) -> None:
    """Write a zip with what the server needs of the current commit. `make bundle` makes the same."""
    lines = (ROOT / ".ebignore").read_text().splitlines()
    names = [line[2:].rstrip("/") for line in lines if line.startswith("!/")]
    if git("status", "--porcelain", "--", *names):
        say("Note: some changes are not committed. They are left out.")
    git("archive", "--format=zip", f"--output={path}", "HEAD", *names)


def upload_bundle(bucket: str, name: str) -> str:
    """Upload the current commit, and return the key of the zip."""
    commit = git("rev-parse", "HEAD")
    key = f"{VERSIONS_PREFIX}/{name}/{commit}.zip"
    say(f"Uploading version {commit[:10]}.")
    with tempfile.TemporaryDirectory() as directory:
        bundle = f"{directory}/{commit}.zip"
        make_bundle(bundle)
        aws("s3", "cp", bundle, f"s3://{bucket}/{key}", "--only-show-errors")
    return key


def find_environment(name: str) -> dict[str, Any] | None:
    """Return the Elastic Beanstalk environment, or None if there is none."""
    words = ["elasticbeanstalk", "describe-environments", "--environment-names", name, "--no-include-deleted"]
    environments = aws(*words).get("Environments", [])
    return environments[0] if environments else None


def choose_platform(environment: dict[str, Any] | None) -> str:
    """Return the ARN of the platform version to use.

    An environment keeps its version. Managed updates replace it in the quiet window, and another version
    would replace the instance now. A new environment gets the version that AWS recommends: an account can
    use an older one only if it has used it within the last 30 days.
    """
    if environment and f"/{PLATFORM_BRANCH}/" in environment.get("PlatformArn", ""):
        return str(environment["PlatformArn"])
    filters = [
        {"Type": "PlatformBranchName", "Operator": "=", "Values": [PLATFORM_BRANCH]},
        {"Type": "PlatformLifecycleState", "Operator": "=", "Values": ["Recommended"]},
    ]
    answer = aws("elasticbeanstalk", "list-platform-versions", "--filters", json.dumps(filters))
    platforms = answer.get("PlatformSummaryList", [])
    if not platforms:
        raise Problem(
            f"AWS recommends no version of the platform '{PLATFORM_BRANCH}' in this region. Run 'git pull' "
            "to get a newer version of Take A Number, or choose another region, and run it again."
        )
    newest = max(platforms, key=lambda platform: [int(n) for n in platform["PlatformVersion"].split(".")])
    return str(newest["PlatformArn"])


def new_setup_code() -> str:
    """Return a random code of 79 bits, without letters that look alike."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def setup_code_of(environment: dict[str, Any]) -> str:
    """Return the setup code from the server's settings. CloudFormation does not reveal it."""
    names = {"application": environment["ApplicationName"], "environment": environment["EnvironmentName"]}
    words = [word for kind, name in names.items() for word in (f"--{kind}-name", name)]
    answer = aws("elasticbeanstalk", "describe-configuration-settings", *words)
    for settings in answer.get("ConfigurationSettings", []):
        for option in settings.get("OptionSettings", []):
            if option["OptionName"] == "TAKEANUMBER_SETUP_CODE":
                return str(option.get("Value", ""))
    return ""


def check_for_earlier_backups(name: str) -> None:
    """Raise Problem if a deleted shop has left backups, which an empty shop would seem to have lost."""
    buckets = [bucket["Name"] for bucket in aws("s3api", "list-buckets").get("Buckets", [])]
    left = sorted(bucket for bucket in buckets if bucket.startswith(f"{name.lower()}-backups-"))
    if left:
        raise Problem(
            f"There are backups of an earlier shop: {', '.join(left)}\n"
            f"To continue it, run '{launch_command(name, f'--backups {left[0]}')}'. "
            f"To start with an empty shop, run '{launch_command(name, '--backups new')}'."
        )


# ----- the commands


def settle(name: str) -> dict[str, Any] | None:
    """Finish what an earlier run has left unfinished. Return the stack, or None if it must be created."""
    stack = describe_stack(name)
    if stack and is_changing(stack):
        say("AWS is still working on this shop. Waiting until it has finished.")
        wait_until_settled(stack["StackId"], Progress(stack["StackId"]))
        stack = describe_stack(name)
    if stack and stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        say("An earlier update failed and could not be rolled back. Trying to roll it back again.")
        progress = Progress(stack["StackId"])
        aws("cloudformation", "continue-update-rollback", "--stack-name", name)
        state = wait_until_settled(stack["StackId"], progress)
        if state != "UPDATE_ROLLBACK_COMPLETE":
            reason = progress.failures[0] if progress.failures else f"the state of the stack is {state}"
            raise Problem(f"The rollback failed. AWS says: {reason}\n{advice_for(reason)}")
    if stack and stack["StackStatus"] in UNUSABLE_STATES:
        say("Removing the remains of an earlier attempt.")
        delete_stack(stack)
        return None
    if stack and stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # it has no resources yet
        return None
    return stack


def launch(options: argparse.Namespace) -> None:
    """Create the shop, or update it."""
    name, region = options.name, find_region()
    account = aws("sts", "get-caller-identity")["Account"]
    stack = settle(name)
    is_new = stack is None
    say(f"{'Creating' if is_new else 'Updating'} the shop '{name}' in {region}, account {account}.")

    if stack is None:
        parameters = parameters_of_new_shop(name, options.backups)
    else:
        check_update(stack, options.backups)
        parameters = {}
    if options.https:
        parameters["Https"] = options.https
    if options.instance_type:
        parameters["InstanceType"] = options.instance_type
    parameters["PlatformArn"] = choose_platform(None if is_new else find_environment(name))
    parameters["BundleBucket"] = aws("elasticbeanstalk", "create-storage-location")["S3Bucket"]
    parameters["BundleKey"] = upload_bundle(parameters["BundleBucket"], name)
    if is_new:
        say("AWS now creates the server and what belongs to it. This takes about 10 minutes.")
        # Also shown at the end, but this session may end before.
        say(f"The setup code will be {parameters['SetupCode']}")

    failures = deploy_stack(name, parameters)
    if is_new and any(CLOUDFRONT_NOT_VERIFIED.search(reason) for reason in failures):
        say("AWS has not verified your account for CloudFront yet. Starting again without it, over HTTP.")
        remains = describe_stack(name)
        if remains:
            delete_stack(remains)
        failures = deploy_stack(name, {**parameters, "Https": "none"})
    if failures:
        result = "No shop was created." if is_new else "The shop still runs its earlier version."
        raise Problem(f"{result} AWS says: {failures[0]}\n{advice_for(failures[0])}")
    report(name)


def parameters_of_new_shop(name: str, backups: str | None) -> dict[str, str]:
    """Return the parameters that only a new shop needs.

    :param backups: bucket of a shop to continue; "new" to ignore earlier backups; None to raise Problem if
        there are any.
    """
    parameters = {"SetupCode": new_setup_code(), "OriginSecret": secrets.token_urlsafe(32)}
    if backups is None:
        check_for_earlier_backups(name)
    elif backups != "new":
        parameters["BackupBucket"] = backups
    return parameters


def check_update(stack: dict[str, Any], backups: str | None) -> None:
    """Raise Problem if the shop can't be updated in this way."""
    if not parameters_of(stack).get("BundleKey"):
        raise Problem(
            "This shop was launched by a link. To update it, open its stack in the CloudFormation console, "
            "choose 'Update' and change its Version."
        )
    if backups is not None:
        raise Problem("--backups is only for a new shop. This one exists and keeps its backups.")


def report(name: str) -> None:
    """Print what the owner needs to know."""
    stack = describe_stack(name)
    environment = find_environment(name)
    if stack is None or environment is None:
        raise Problem("The shop was deleted in the meantime. Run it again.")
    outputs, parameters = outputs_of(stack), parameters_of(stack)
    say()
    say("The shop is ready. Open the address and enter the setup code.")
    say()
    say(f"  Address      {outputs['Address']}")
    say(f"  Setup code   {setup_code_of(environment)}")
    say(f"  Backups      {outputs['BackupLocation']}")
    say(f"  Cost         about {MONTHLY_COST[parameters['InstanceType']]} US dollars a month")
    say()
    say("Keep the setup code: whoever has it gets the links of the owner.")
    if parameters["Https"] == "none":
        say()
        say(
            "This shop has no HTTPS, so others in the same network may read its links, and may then use them."
        )
        say(VERIFY_CLOUDFRONT)
        say(f"Then run '{launch_command(name, '--https cloudfront')}'. The address changes,")
        say("so print the poster again.")
    say()
    say(f"To update the shop, run 'git pull' and '{launch_command(name)}'.")
    say(f"To see how it is, run '{launch_command(name, '--status')}'.")


def show_status(options: argparse.Namespace) -> None:
    """Print the state of the shop."""
    name, region = options.name, find_region()
    stack = describe_stack(name)
    if stack is None:
        raise Problem(
            f"There is no shop '{name}' in {region}. Run '{launch_command(name)}' to create it, or change "
            "the region."
        )
    outputs, parameters = outputs_of(stack), parameters_of(stack)
    environment = find_environment(name)
    say(f"The shop '{name}' in {region}:")
    say()
    say(f"  State        {stack['StackStatus']}")
    say(f"  Version      {Path(parameters.get('BundleKey', '')).stem or parameters.get('Version', '')}")
    if environment:
        say(f"  Server       {environment['Status']}, {environment['HealthStatus']}")
        say(f"  Platform     {environment['PlatformArn'].partition('/')[2]}")
        say(f"  Setup code   {setup_code_of(environment)}")
    say(f"  Address      {outputs.get('Address', 'none')}")
    say(f"  Backups      {outputs.get('BackupLocation', 'none')}")
    say()
    say(next_step(name, stack, environment))


def next_step(name: str, stack: dict[str, Any], environment: dict[str, Any] | None) -> str:
    """Return a sentence that says what to do in the present state."""
    state = stack["StackStatus"]
    command, delete_command = launch_command(name), launch_command(name, "--delete")
    if is_changing(stack):
        return f"AWS is working on it. Run '{command}' to wait until it has finished."
    if state == "UPDATE_ROLLBACK_COMPLETE":
        return f"The last update failed, so the earlier version is running. Run '{command}' to update again."
    if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return f"The last change failed. Run '{command}' to try again."
    if environment is None:
        return f"The server is missing. Run '{delete_command}', then '{command}' to create it again."
    if environment["HealthStatus"] not in ("Ok", "Info"):
        events = f"aws elasticbeanstalk describe-events --environment-name {name} --max-items 20"
        return f"The server has a problem. To see its last events, run '{events}'."
    return f"All is well. Run '{command}' to update it, or '{delete_command}' to delete it."


def delete(options: argparse.Namespace) -> None:
    """Delete everything but the backups."""
    name, region = options.name, find_region()
    stack = describe_stack(name)
    if stack is None:
        say(f"There is no shop '{name}' in {region}, so nothing was deleted.")
        return
    if sys.stdin.isatty() and not options.yes:
        say(f"This deletes the shop '{name}' in {region}, but not its backups.")
        if input("Type its name to continue: ").strip() != name:
            raise Problem("Nothing was deleted.")
    outputs, parameters = outputs_of(stack), parameters_of(stack)
    say(f"Deleting the shop '{name}' in {region}. This takes about 10 minutes.")
    delete_stack(stack)
    if parameters.get("BundleBucket"):
        versions = f"s3://{parameters['BundleBucket']}/{VERSIONS_PREFIX}/{name}/"
        aws("s3", "rm", versions, "--recursive", "--only-show-errors")
    say("The shop is deleted.")
    if "BackupBucket" in outputs:
        bucket = outputs["BackupBucket"]
        say(f"Its backups remain in the bucket {bucket} and cost some cents a month.")
        say(f"To continue the shop later, run '{launch_command(name, f'--backups {bucket}')}'.")
        say("To remove them for ever, empty and delete the bucket in the S3 console.")


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/launch",
        description="Create a shop on AWS, or update it to the current commit. Made for AWS CloudShell.",
    )
    parser.add_argument("--status", action="store_true", help="show the state of the shop")
    parser.add_argument("--delete", action="store_true", help="delete everything but the backups")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"name of the shop (default: {DEFAULT_NAME})")
    parser.add_argument("--https", choices=["cloudfront", "none"], help="for a new shop: cloudfront")
    parser.add_argument("--instance-type", choices=MONTHLY_COST, help="for a new shop: t3.micro")
    parser.add_argument("--backups", metavar="BUCKET", help="continue from these backups, or 'new'")
    options = parser.parse_args(arguments)
    if not SHOP_NAME.fullmatch(options.name):
        parser.error("--name must have 4 to 40 letters, digits and hyphens, and begin with a letter.")
    if options.status and options.delete:
        parser.error("Use --status or --delete, not both.")
    return options


def main(arguments: list[str]) -> int:
    options = parse_options(arguments)
    try:
        if options.status:
            show_status(options)
        elif options.delete:
            delete(options)
        else:
            launch(options)
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. AWS continues. Run it again to wait for the result.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
