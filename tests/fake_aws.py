#!/usr/bin/env python3
"""A stand-in for the AWS CLI. It keeps the state of one account in a file and records every call.

FAKE_AWS names the file, which tests/test_launch.py writes. Answers and failures have the form of real ones.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

STATE = Path(os.environ["FAKE_AWS"])
REGION, ACCOUNT = "eu-central-1", "123456789012"
BRANCH = "Python 3.13 running on 64bit Amazon Linux 2023"
NOT_VERIFIED = (
    "Resource handler returned message: \"Access denied for operation 'AWS::CloudFront::Distribution: Your "
    "account must be verified before you can add new CloudFront resources. To verify your account, please "
    "contact AWS Support (https://console.aws.amazon.com/support/home#/) and include this error message. "
    "(Service: CloudFront, Status Code: 403, Request ID: 40a4b8e1-5b2b-4a52-a0f5-1c5b4a3b5f11)'.\" "
    "(RequestToken: 0d7c6e5f-0a8b-4c1d-9e2f-3a4b5c6d7e8f, HandlerErrorCode: AccessDenied)"
)


class Failure(Exception):
    """What the AWS CLI prints when a call fails."""


def arn_of_platform(version):
    return f"arn:aws:elasticbeanstalk:{REGION}::platform/{BRANCH}/{version}"


class Account:
    def __init__(self):
        self.__dict__ = json.loads(STATE.read_text())

    def save(self):
        new = STATE.with_suffix(".new")
        new.write_text(json.dumps(self.__dict__))
        new.replace(STATE)  # another call may be reading it

    # ----- simple answers

    def sts_get_caller_identity(self, _):
        return {"UserId": "AIDA", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann"}

    def s3api_list_buckets(self, _):
        buckets = [{"Name": name, "CreationDate": "2026-11-01T09:00:00+00:00"} for name in self.buckets]
        return {"Buckets": buckets, "Owner": {"ID": "64characters"}}

    def elasticbeanstalk_create_storage_location(self, _):
        bucket = f"elasticbeanstalk-{REGION}-{ACCOUNT}"
        if bucket not in self.buckets:
            self.buckets.append(bucket)
        return {"S3Bucket": bucket}

    def s3_cp(self, words):
        self.store(words[2], words[3])

    def store(self, source, url):
        """Keep a copy of an uploaded file for the tests."""
        content = Path(source).read_bytes()
        self.objects[url] = len(content)
        STATE.with_name("uploaded").mkdir(exist_ok=True)
        STATE.with_name("uploaded").joinpath(url.split("/")[-1]).write_bytes(content)

    def s3api_put_object(self, words):
        url = f"s3://{option(words, 'bucket')}/{option(words, 'key')}"
        if option(words, "if-none-match") == "*" and url in self.objects:
            raise Failure(
                "An error occurred (PreconditionFailed) when calling the PutObject operation: At least one "
                "of the pre-conditions you specified did not hold"
            )
        self.store(option(words, "body"), url)
        return {"ETag": '"5eb63bbbe01eeed093cb22bb8f5acdc3"', "ServerSideEncryption": "AES256"}

    def s3api_head_bucket(self, words):
        if option(words, "bucket") not in self.buckets:
            raise Failure("An error occurred (404) when calling the HeadBucket operation: Not Found")
        return {"BucketRegion": REGION, "AccessPointAlias": False}

    def s3api_create_bucket(self, words):
        self.buckets.append(option(words, "bucket"))
        return {"Location": f"http://{option(words, 'bucket')}.s3.amazonaws.com/"}

    def s3api_put_public_access_block(self, words):
        pass

    def s3api_put_bucket_policy(self, words):
        assert json.loads(option(words, "policy"))["Statement"]

    def s3_rm(self, words):
        assert "--recursive" in words
        self.objects = {key: size for key, size in self.objects.items() if not key.startswith(words[2])}

    def elasticbeanstalk_list_platform_versions(self, words):
        assert json.loads(option(words, "filters")) == [
            {"Type": "PlatformBranchName", "Operator": "=", "Values": [BRANCH]},
            {"Type": "PlatformLifecycleState", "Operator": "=", "Values": ["Recommended"]},
        ]
        return {
            "PlatformSummaryList": [
                {
                    "PlatformArn": arn_of_platform(version),
                    "PlatformOwner": "AWSElasticBeanstalk",
                    "PlatformStatus": "Ready",
                    "PlatformCategory": "Python",
                    "OperatingSystemName": "Amazon Linux",
                    "OperatingSystemVersion": "64bit/2023",
                    "SupportedTierList": ["WebServer/Standard", "Worker/SQS/HTTP"],
                    "SupportedAddonList": ["Log/S3", "WorkerDaemon/SQSD"],
                    "PlatformLifecycleState": "Recommended",
                    "PlatformVersion": version,
                    "PlatformBranchName": BRANCH,
                    "PlatformBranchLifecycleState": "Supported",
                }
                for version in self.recommended
            ]
        }

    def elasticbeanstalk_describe_environments(self, words):
        there = (
            self.stack and self.environment and option(words, "environment-names") == self.stack["StackName"]
        )
        return {"Environments": [self.environment] if there else []}

    def elasticbeanstalk_describe_configuration_settings(self, words):
        space = "aws:elasticbeanstalk:application:environment"
        return {
            "ConfigurationSettings": [
                {
                    "PlatformArn": self.environment["PlatformArn"],
                    "ApplicationName": option(words, "application-name"),
                    "EnvironmentName": option(words, "environment-name"),
                    "DeploymentStatus": "deployed",
                    "OptionSettings": [
                        {
                            "Namespace": "aws:elasticbeanstalk:command",
                            "OptionName": "BatchSize",
                            "Value": "100",
                        },
                        {
                            "Namespace": space,
                            "OptionName": "TAKEANUMBER_SETUP_CODE",
                            "Value": self.setup_code,
                        },
                        {"Namespace": "aws:ec2:vpc", "OptionName": "Subnets"},
                    ],
                }
            ]
        }

    # ----- the stack

    def cloudformation_describe_stacks(self, words):
        wanted = option(words, "stack-name")
        for stack in [self.stack, *self.deleted]:
            if stack and wanted in (stack["StackId"], stack["StackName"] if stack is self.stack else ""):
                answer = json.loads(json.dumps(stack))
                self.go_on(stack)
                return {"Stacks": [answer]}
        raise Failure(
            "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id "
            f"{wanted} does not exist"
        )

    def go_on(self, stack):
        """Let a change of the stack end after it was looked at twice."""
        state = stack["StackStatus"]
        if not state.endswith("_IN_PROGRESS") or state == "REVIEW_IN_PROGRESS":
            return
        self.looks += 1
        if self.looks < 3:
            return
        self.looks = 0
        if state == "DELETE_IN_PROGRESS":
            if self.delete_fails:
                reason, self.delete_fails = self.delete_fails, ""
                self.event("ServiceRole", "DELETE_FAILED", reason)
                stack["StackStatus"] = "DELETE_FAILED"
                return
            self.event("Environment", "DELETE_COMPLETE")
            self.deleted.append(stack)
            self.stack = None
        stack["StackStatus"] = state.replace("_IN_PROGRESS", "_COMPLETE")

    def cloudformation_describe_stack_events(self, words):
        wanted = option(words, "stack-name")
        known = [stack for stack in [self.stack, *self.deleted] if stack]
        if not any(wanted in (stack["StackId"], stack["StackName"]) for stack in known):
            raise Failure(
                "An error occurred (ValidationError) when calling the DescribeStackEvents operation: Stack "
                f"[{wanted}] does not exist"
            )
        return {"StackEvents": self.events[::-1][: int(option(words, "max-items"))]}

    def event(self, resource, status, reason=""):
        stack = self.stack or self.deleted[-1]
        event = {
            "StackId": stack["StackId"],
            "EventId": f"{resource}-{status}-{len(self.events)}",
            "StackName": stack["StackName"],
            "LogicalResourceId": resource,
            "PhysicalResourceId": stack["StackId"] if resource == stack["StackName"] else "",
            "ResourceType": "AWS::CloudFormation::Stack"
            if resource == stack["StackName"]
            else "AWS::S3::Bucket",
            "Timestamp": "2026-11-26T12:00:00.000000+00:00",
            "ResourceStatus": status,
        }
        self.events.append(event | ({"ResourceStatusReason": reason} if reason else {}))
        self.save()
        time.sleep(0.02)

    def cloudformation_delete_stack(self, _):
        self.stack["StackStatus"] = "DELETE_IN_PROGRESS"
        self.event("Environment", "DELETE_IN_PROGRESS")

    def cloudformation_continue_update_rollback(self, _):
        self.stack["StackStatus"] = "UPDATE_ROLLBACK_IN_PROGRESS"
        return {}

    def cloudformation_deploy(self, words):
        template, name = Path(option(words, "template-file")).read_text(), option(words, "stack-name")
        assert option(words, "capabilities") == "CAPABILITY_IAM"
        start = words.index("--parameter-overrides") + 1
        overrides = dict(word.split("=", 1) for word in words[start:-2])
        parameters = self.parameters_of(template, overrides)
        new = self.stack is None
        action = "CREATE" if new else "UPDATE"
        if new:
            self.serial += 1
            stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/0000-{self.serial}"
            self.stack = {"StackId": stack_id, "StackName": name, "CreationTime": "2026-11-26T12:00:00+00:00"}
            self.stack |= {"DisableRollback": False, "Parameters": []}
        elif parameters == self.parameters:
            return  # "No changes to deploy"
        self.stack["StackStatus"] = f"{action}_IN_PROGRESS"
        self.event(name, f"{action}_IN_PROGRESS", "User Initiated")
        secure = parameters["Https"] == "cloudfront"
        failing = dict(self.resource_fails)
        if secure and not self.cloudfront_verified:
            failing = {"Front": NOT_VERIFIED}
        for resource in ["Backups", "ServiceRole", *(["Front"] if secure else []), "Environment"]:
            self.event(resource, f"{action}_IN_PROGRESS")
            if resource in failing:
                self.event(resource, f"{action}_FAILED", failing[resource])
                self.event("Application", f"{action}_FAILED", f"Resource {action.lower()} cancelled")
                self.stack["StackStatus"] = "ROLLBACK_IN_PROGRESS" if new else "UPDATE_ROLLBACK_IN_PROGRESS"
                self.resource_fails = {}
                self.save()
                raise Failure(
                    "Failed to create/update the stack. Run the following command\nto fetch the list of "
                    "events leading up to the failure\naws cloudformation describe-stack-events "
                    f"--stack-name {name}"
                )
            self.event(resource, f"{action}_COMPLETE")
        self.finish(name, action, parameters)

    def finish(self, name, action, parameters):
        self.parameters = parameters
        self.setup_code = parameters["SetupCode"]
        bucket = parameters["BackupBucket"] or f"{name}-backups-1a2b3c4d5e6f"
        if bucket not in self.buckets:
            self.buckets.append(bucket)
        host = "d111111abcdef8.cloudfront.net"
        if parameters["Https"] == "none":
            host = f"takeanumber-0000.{REGION}.elasticbeanstalk.com"
        address = f"{'http' if parameters['Https'] == 'none' else 'https'}://{host}"
        outputs = {"Address": address, "BackupBucket": bucket, "BackupLocation": f"s3://{bucket}/takeanumber"}
        hidden = {"SetupCode", "OriginSecret"}
        self.stack |= {
            "StackStatus": f"{action}_COMPLETE",
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": "****" if key in hidden else value}
                for key, value in parameters.items()
            ],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        }
        self.environment = {
            "EnvironmentName": name,
            "EnvironmentId": "e-abcdefghij",
            "ApplicationName": f"{name}-Application-1A2B3C",
            "VersionLabel": f"{name}-applicationversion-1a2b3c",
            "PlatformArn": parameters["PlatformArn"],
            "EndpointURL": "203.0.113.7",
            "CNAME": f"takeanumber-0000.{REGION}.elasticbeanstalk.com",
            "Status": "Ready",
            "AbortableOperationInProgress": False,
            "Health": "Green",
            "HealthStatus": "Ok",
        }
        self.event(name, f"{action}_COMPLETE")

    def parameters_of(self, template, overrides):
        """Return the values of all parameters, after the checks of CloudFormation."""
        section = re.search(r"^Parameters:\n(.*?)^\S", template, re.DOTALL | re.MULTILINE)[1]
        values = {}
        for name, text in re.findall(r"^  (\w+):\n((?:    .*\n)+)", section, re.MULTILINE):
            default = re.search(r'^    Default: "?(.*?)"?(?: +#.*)?$', text, re.MULTILINE)
            if name in overrides:
                values[name] = overrides.pop(name)
            elif self.stack and name in self.parameters:
                values[name] = self.parameters[name]
            elif default:
                values[name] = default[1]
            else:
                raise invalid(f"Parameters: [{name}] must have values")
            pattern = re.search(r'^    AllowedPattern: "(.*)"$', text, re.MULTILINE)
            if pattern and not re.fullmatch(pattern[1].replace("\\\\", "\\"), values[name]):
                raise invalid(f"Parameter '{name}' must match pattern {pattern[1]}")
        if overrides:
            raise invalid(f"Parameters: {sorted(overrides)} do not exist in the template")
        return values


def invalid(message):
    return Failure(
        f"An error occurred (ValidationError) when calling the CreateChangeSet operation: {message}"
    )


def option(words, name):
    return words[words.index(f"--{name}") + 1]


def main(words):
    call = " ".join(words[:2])
    if call == "configure get":
        return 1  # prints nothing when no region is configured
    account = Account()
    answer = None
    try:
        if call in account.call_fails:
            raise Failure(account.call_fails[call])
        answer = getattr(account, call.replace(" ", "_").replace("-", "_"))(words)
        status = 0
    except Failure as failure:
        print(f"\naws: [ERROR]: {failure}", file=sys.stderr)
        status = 254
    if words[1] != "describe-stack-events":  # called while `deploy` is changing the state
        account.save()
    with STATE.with_name("calls").open("a") as calls:
        print(json.dumps({"words": words, "status": status, "answer": answer}), file=calls)
    if answer is not None:
        print(json.dumps(answer, indent=4))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
