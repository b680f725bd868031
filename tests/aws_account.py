"""Whether tests are to use an account of AWS: only where somebody has said so."""

import os

import boto3.session


def on_aws_itself() -> bool:
    return os.environ.get("AWS_ENDPOINT_URL") == "" and boto3.session.Session().get_credentials() is not None
