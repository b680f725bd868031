"""Who a client is, and how little is remembered of one."""

import base64
import json

import pytest

from tests.invitation_service import signed_in
from workloads.common.http_metrics import Identity
from workloads.invitations import clients
from workloads.invitations.clients import Clients, authorization_of


def of_token(claims: object) -> bytes:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    return b"Bearer e30." + body + b".c2ln"


def counting() -> Clients:
    return Clients(Identity("invitations", "aaaaaaaaaa", "pod-1"), b"k" * 32, seconds=30, clock=lambda: 1000)


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic dXNlcjpwYXNz",
        b"Bearer",
        b"Bearer a.b",
        b"Bearer a.!!!.c",
        b"Bearer a." + base64.urlsafe_b64encode(b"[" * 6000) + b".c",
        b"Bearer " + b"a" * 9000,
        of_token([]),
        of_token({"sub": 7}),
        of_token({"sub": ""}),
        of_token({"sub": "x" * 201}),
        of_token({"name": "ana"}),
    ],
)
def test_what_names_no_user_is_no_client(authorization):
    found = counting()
    found.answered(authorization, 500)
    assert not found._unwritten


def test_a_token_that_is_refused_is_no_client_and_every_other_answer_is_one():
    found = counting()
    header = signed_in("u1")["Authorization"].encode()
    found.answered(header, 401)
    assert not found._unwritten
    for code in (201, 409, 499, 503, 500, 200):
        found.answered(header, code)
    (note,) = found._unwritten.values()
    assert (note.seen_at, note.bad_at) == (1000, 1000)
    (client,) = found._unwritten
    assert b"u1" not in client


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(clients, "_MOST_KNOWN", 10)
    monkeypatch.setattr(clients, "_MOST_UNWRITTEN", 5)
    found = counting()
    for number in range(100):
        found.answered(of_token({"sub": f"user-{number}"}), 200)
    assert (len(found._known), len(found._unwritten), found.dropped) == (10, 5, 95)


def test_the_header_is_found_among_others():
    assert authorization_of([(b"host", b"x"), (b"authorization", b"Bearer y")]) == b"Bearer y"
    assert authorization_of([(b"host", b"x")]) == b""
