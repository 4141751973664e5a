"""Publishes a release, so that others can launch a shop by a link. Python 3.9.

    python3 deploy/publish.py BUCKET

The bucket is created if there is none. Everybody can read what is published in it. See docs/deploying.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path

from launch import ROOT, TEMPLATE, AwsError, Problem, aws, find_region, make_bundle, say

PREFIX = "takeanumber"


def read_version() -> str:
    """Return the version of the project; raise Problem if the template has another one."""
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    default = r"^  Version:\n    Type: String\n    Default: (\S+)$"
    template = re.search(default, TEMPLATE.read_text(), re.MULTILINE)
    if not project or not template or project[1] != template[1]:
        raise Problem(
            "pyproject.toml and deploy/takeanumber.yaml have different versions. Change one of them."
        )
    return project[1]


def prepare_bucket(bucket: str, region: str) -> None:
    """Create the bucket if there is none, and let everybody read what is published in it."""
    try:
        aws("s3api", "head-bucket", "--bucket", bucket)
    except AwsError as error:
        if "404" not in error.aws_message:
            raise
        words = ["s3api", "create-bucket", "--bucket", bucket]
        if region != "us-east-1":  # which S3 refuses to be told
            words += ["--create-bucket-configuration", f"LocationConstraint={region}"]
        aws(*words)
    access = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=false,RestrictPublicBuckets=false"
    words = ["s3api", "put-public-access-block", "--bucket", bucket]
    aws(*words, "--public-access-block-configuration", access)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{PREFIX}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", policy)


def template_for(release_url: str) -> str:
    """Return the template with the address of the releases as its default."""
    line = re.compile(r'^(  ReleaseUrl:\n    Type: String\n    Default:) "".*$', re.MULTILINE)
    text, count = line.subn(rf"\1 {release_url}", TEMPLATE.read_text())
    if count != 1:
        raise Problem(
            "deploy/takeanumber.yaml has no empty default of ReleaseUrl. Restore that file with git."
        )
    return text


def publish(bucket: str) -> None:
    """Upload the release and print the link that launches it."""
    region, version = find_region(), read_version()
    url = f"https://{bucket}.s3.{region}.amazonaws.com/{PREFIX}"
    prepare_bucket(bucket, region)
    name = f"takeanumber-{version}.zip"
    with tempfile.TemporaryDirectory() as directory:
        bundle, checksum, template = (
            Path(directory, n) for n in (name, f"{name}.sha256", "takeanumber.yaml")
        )
        make_bundle(str(bundle))
        checksum.write_text(f"{hashlib.sha256(bundle.read_bytes()).hexdigest()}  {name}\n")
        template.write_text(template_for(url))
        # A published version never changes; the template is that of the newest one.
        words = [
            "s3api",
            "put-object",
            "--bucket",
            bucket,
            "--key",
            f"{PREFIX}/{name}",
            "--body",
            str(bundle),
        ]
        try:
            aws(*words, "--if-none-match", "*")
        except AwsError as error:
            if "PreconditionFailed" in error.aws_message:
                raise Problem(f"Version {version} is published already. Choose a higher one.") from error
            raise
        for path in (checksum, template):
            aws("s3", "cp", str(path), f"s3://{bucket}/{PREFIX}/{path.name}", "--only-show-errors")
    page = "https://console.aws.amazon.com/cloudformation/home#/stacks/create/review"
    say(f"Version {version} is published. This link launches a shop:")
    say()
    say(f"{page}?templateURL={url}/takeanumber.yaml&stackName=takeanumber")


def main(arguments: list[str]) -> int:
    description = "Publish the current commit as a release."
    parser = argparse.ArgumentParser(prog="deploy/publish.py", description=description)
    parser.add_argument("bucket", help="bucket on S3, which everybody will be able to read")
    options = parser.parse_args(arguments)
    try:
        publish(options.bucket)
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
