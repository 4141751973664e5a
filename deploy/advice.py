"""What to do about a message of AWS. Used by launch.py, so Python 3.9."""

from __future__ import annotations

import re

CLOUDFRONT_NOT_VERIFIED = re.compile(r"must be verified before you can add new CloudFront", re.IGNORECASE)
VERIFY_CLOUDFRONT = (
    "Ask AWS Support to verify your account for CloudFront. "
    "A support case of the type 'Account and billing' is free."
)

# The first pattern that matches decides. "It" is the command that the user has entered.
_ADVICE = {
    CLOUDFRONT_NOT_VERIFIED.pattern: VERIFY_CLOUDFRONT,
    r"locate credentials|ExpiredToken|InvalidClientTokenId|UnrecognizedClient|security token": (
        "Your session is not valid here. Sign in to the AWS console again, open CloudShell in a region that "
        "is enabled for your account, and run it again."
    ),
    r"OptInRequired|SubscriptionRequired|not subscribed|needs a subscription|pending verification": (
        "Your AWS account is not active yet. Finish the registration (payment card and phone number). AWS "
        "needs up to 24 hours to activate an account. Then run it again."
    ),
    r"AccessDenied|not authorized|UnauthorizedOperation|Forbidden|explicit deny": (
        "Your user may not do this. Sign in as a user with the policy AdministratorAccess and run it again."
    ),
    r"default VPC|default subnet|VPCIdNotSpecified": (
        "This region has no default network. Create one with 'aws ec2 create-default-vpc' and run it again."
    ),
    r"AddressLimitExceeded|maximum number of addresses": (
        "Your account uses all public IP addresses that it may have in this region. Release one in the EC2 "
        "console under 'Elastic IPs', or choose another region, and run it again."
    ),
    r"VcpuLimitExceeded|vCPU capacity|vCPU limit": (
        "Your account may not start more instances in this region. Ask for a higher quota of 'Running "
        "On-Demand Standard instances' in the Service Quotas console, or choose another region, and run it "
        "again."
    ),
    r"InsufficientInstanceCapacity|instance type.* not supported|Unsupported.*instance": (
        "AWS has no such instance here at the moment. Run it again with --instance-type t3.small, or choose "
        "another region."
    ),
    r"TooManyBuckets|TooManyApplication|TooManyEnvironments|LimitExceeded|quota": (
        "Your account has reached a limit. Remove what you don't need, or ask for more in the Service Quotas "
        "console, and run it again."
    ),
    r"Throttling|Rate exceeded|TooManyRequests|ServiceUnavailable|InternalFailure|InternalError": (
        "AWS is busy. Wait some minutes and run it again."
    ),
    r"Could not connect|Connection (was closed|reset|timed out)|timed out": (
        "AWS could not be reached. Check the network and the region, and run it again."
    ),
}
_OTHERWISE = "Run it again. If it fails in the same way, correct what AWS objects to."


def advice_for(message: str) -> str:
    """Return what to do about a message of AWS, in one or more sentences."""
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, message, re.IGNORECASE):
            return advice
    return _OTHERWISE
