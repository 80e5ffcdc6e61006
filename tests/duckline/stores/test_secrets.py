"""Secrets are kept for some minutes, and both values of one that is being rotated are good."""

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from duckline.errors import SettingMissing
from duckline.stores import NotReached
from duckline.stores.secrets import KEPT_MS, SPARED_MS, Secrets


class Clock:
    def __init__(self):
        self.ms = 0.0

    def __call__(self):
        return self.ms


class Counted:
    """The client of Secrets Manager, counting what it is asked; with `failure` set it fails so."""

    def __init__(self, client):
        self.client, self.asked, self.failure = client, 0, None

    def get_secret_value(self, **arguments):
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.client.get_secret_value(**arguments)


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        client.create_secret(Name="token", SecretString="first\n")
        yield client


@pytest.fixture
def client(manager):
    return Counted(manager)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def secrets(client, clock):
    return Secrets(client, clock)


def refusal(code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetSecretValue")


def test_a_secret_is_asked_for_once_in_five_minutes(secrets, client, clock):
    assert [secrets.values("token") for _ in range(3)] == [("first",)] * 3
    assert client.asked == 1
    clock.ms += KEPT_MS
    assert secrets.values("token") == ("first",)
    assert client.asked == 2


def test_a_secret_that_was_changed_is_known_five_minutes_later(secrets, manager, clock):
    secrets.values("token")
    manager.put_secret_value(SecretId="token", SecretString="second")
    assert secrets.values("token") == ("first",)
    clock.ms += KEPT_MS
    assert secrets.values("token") == ("second",)


def test_after_a_mismatch_both_values_of_a_rotated_secret_are_good(secrets, manager):
    secrets.values("token")
    manager.put_secret_value(SecretId="token", SecretString="second")
    assert secrets.fresh("token") == ("second", "first")
    assert secrets.values("token") == ("second", "first")


def test_a_secret_that_was_never_rotated_has_one_value(secrets):
    assert secrets.fresh("token") == ("first",)


def test_a_stranger_makes_nobody_ask_more_often_than_every_ten_seconds(secrets, client, clock):
    secrets.fresh("token")
    asked = client.asked
    assert [secrets.fresh("token") for _ in range(100)] == [("first",)] * 100
    assert client.asked == asked
    clock.ms += SPARED_MS
    secrets.fresh("token")
    assert client.asked > asked


def test_the_older_value_is_found_again_after_the_minutes_that_it_was_kept(secrets, manager, clock):
    manager.put_secret_value(SecretId="token", SecretString="second")
    secrets.fresh("token")
    clock.ms += KEPT_MS
    secrets.values("token")
    assert secrets.fresh("token") == ("second", "first")


def test_what_is_known_stands_while_the_service_cannot_be_reached(secrets, client, clock):
    secrets.values("token")
    clock.ms += KEPT_MS
    client.failure = ConnectTimeoutError(endpoint_url="https://secretsmanager")
    assert secrets.values("token") == secrets.fresh("token") == ("first",)
    asked = client.asked
    secrets.values("token")
    secrets.fresh("token")
    assert client.asked == asked


@pytest.mark.parametrize(
    "failure",
    [
        ConnectTimeoutError(endpoint_url="https://secretsmanager"),
        refusal("InternalServiceError", 500),
        refusal("ThrottlingException", 400),
    ],
)
def test_a_service_that_does_not_answer_is_told_apart_from_a_wrong_setting(secrets, client, failure):
    client.failure = failure
    for ask in (secrets.values, secrets.fresh):
        with pytest.raises(NotReached, match="secret token"):
            ask("token")


def test_a_refusal_is_not_hidden(secrets, client):
    client.failure = refusal("AccessDeniedException", 400)
    with pytest.raises(ClientError, match="AccessDenied"):
        secrets.values("token")


def test_a_secret_that_there_is_not_is_named(secrets):
    with pytest.raises(SettingMissing, match="the secret nothing does not exist"):
        secrets.values("nothing")


def test_an_empty_secret_signs_nothing(secrets, manager):
    manager.create_secret(Name="empty", SecretString=" ")
    with pytest.raises(SettingMissing, match="the secret empty is empty"):
        secrets.values("empty")
