"""Nothing that is kept of a log holds what looks like a credential, or names a person."""

import time

import pytest

from controller.effects.masking import masked, without_keys

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY = "\n".join(
    ["-----BEGIN RSA PRIVATE KEY-----", *["MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun"] * 4]
)
END = "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("GET / Authorization: Bearer abc.def-123", "abc.def-123"),
        ("retry with bearer 0a1b2c3d4e", "0a1b2c3d4e"),
        ("header Basic dXNlcjpwYXNz sent", "dXNlcjpwYXNz"),
        ('{"authorization": "Token s3cr3t", "path": "/x"}', "s3cr3t"),
        ('{"msg": "{\\"Authorization\\": \\"Basic dXNlcg==\\"}"}', "dXNlcg"),
        ("Cookie: session=abc; theme=dark", "session=abc"),
        ("Set-Cookie: sid=abcdef; Path=/", "abcdef"),
        ("x-api-key: k-1", "k-1"),
        ("password=hunter2 user=ana", "hunter2"),
        ("DB_PASSWORD='two words here'", "two words"),
        ('{"clientSecret":"a\\"b c"}', "b c"),
        ('{"password":"cut off in the mid', "cut off"),
        ("passwd : hunter2", "hunter2"),
        ("{'api_key' => 'k-1'}", "k-1"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrX"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfi4YEX4MPL3K3Y", "wJalrX"),
        ("AKIAIOSFODNN7EXAMPLE is not valid", "AKIAIOSFODNN7EXAMPLE"),
        ("run --password hunter2 --port 80", "hunter2"),
        ("run --db-token=hunter2", "hunter2"),
        (f"user {JWT} expired", "eyJ"),
        (f"cut {JWT[:40]}", "eyJ"),
        ("postgres://ana:hunter2@db:5432/shop", "hunter2"),
        ("redis://:p/w@cache:6379", "p/w"),
        ("https://ghp_@github.com/x", "ghp_"),
        ("amqp://ana@mq", "ana"),
        ("clone with ghp_0123456789abcdefABCDEF0123456789abcd", "ghp_0123"),
        ("slack xoxb-123456789012-abcdef", "xoxb-1"),
        ("POST https://hooks.slack.com/services/T0/B0/abc", "T0/B0"),
        ("stripe sk_live_0123456789", "sk_live_0"),
        ("GET /blob?sv=1&sig=abc%2Fdef&se=2", "abc%2F"),
        ("GET /o?X-Amz-Signature=0123abcd&x=1", "0123abcd"),
        ("nonce q8Zr2LkP0vXw7TnYb4Jd9HsG1fCe5UaM", "q8Zr2LkP"),
        ("mail to ana.maria+x@example.co.uk failed", "ana.maria"),
        ("sms to +49 170 1234567 failed", "1234567"),
        ("sms to +4917012345678", "17012345678"),
        ("smtp login with user=ana pass=hunter2", "hunter2"),
        ("DB_PASS: hunter2", "hunter2"),
        ('{"dbPass":"hunter2"}', "hunter2"),
        ('env: [{"name": "DB_PASSWORD", "value": "hunter2"}]', "hunter2"),
        ('{\\"name\\":\\"API_TOKEN\\",\\"value\\":\\"hunter2\\"}', "hunter2"),
        ("- name: DB_PASSWORD value: hunter2", "hunter2"),
        ("ana:hunter2@tcp(db:3306)/shop?parseTime=true", "hunter2"),
        ("ana:p@ss:w/rd@unix(/run/mysql.sock)/shop", "w/rd"),
        ("token_budget=s3cr3t", "s3cr3t"),
        ("pass\x1b[Kword=hunter2", "hunter2"),
        ("AKIA\x00IOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("\x1b[31mpassword\x1b[0m=\x1b[1mhunter2", "hunter2"),
    ],
)
def test_a_secret_is_masked(line, secret):
    found = masked(without_keys(line))
    assert secret not in found
    assert masked(found) == found, "twice is harmless"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29T12:00:00.123+00:00 ERROR connection refused to 10.0.0.1:5432",
        "commit 8f14e45fceea167a5a36dedd4bea2543abcdef01 deployed",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7",
        'File "/usr/lib/python3.13/site-packages/invitations/sending/provider_answers.py", line 12, in read',
        "at com.example.InvitationServiceControllerAdvice.handleTimeoutException(Advice.java:42)",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pod invitation-api-7d9f8b6c5d-x2x4z of invitation-api-aaaaaaaaaa is OOMKilled",
        "GET https://api.example.com:8443/v1/friends?page=2 500 in 12 ms",
        "550e8400-e29b-41d4-a716-446655440000 not found",
        "basic authentication failed for the bearer",
        "at /app/node_modules/express@4.19.2/lib/router.js:12 com.example.Order@1a2b3c",
        "image registry.example.com/app@sha256:9f86d081884c7d659a2feaa0c55ad015 was not found",
        "exit code 137, 1700000000 ns, +12 more, 3+4=7",
        'max_tokens=4096 prompt_tokens: 812, {"total_tokens": 913} token_count=7',
        "bypass=true compass=north 12 passed: all 3 passes",
        "- name: LOG_LEVEL value: debug",
    ],
)
def test_what_helps_stays(line):
    assert masked(without_keys(line)) == line


def test_a_private_key_goes_whole_or_cut_at_either_end():
    whole = without_keys(f"before\n{KEY}\n{END}\nafter")
    assert whole == "before\n[masked] (a private key)\nafter"
    assert without_keys(f"before\n{KEY}") == "before\n[masked] (a private key)"
    tail = "\n".join([*KEY.splitlines()[2:], "u5q=", END, "after"])
    assert "MIIE" not in without_keys(tail)
    assert without_keys(tail).endswith("\nafter")
    in_json = '{"key": "' + f"{KEY}\n{END}".replace("\n", "\\n") + '", "port": 80}'
    assert "MIIE" not in without_keys(in_json)


@pytest.mark.parametrize(
    "letter",
    [
        "a",
        "-",
        "name:",
        "a:",
        "pass",
        "value",
        "+",
        "@",
        "=",
        ":",
        '"',
        "\\",
        "password",
        "eyJ",
        "://",
        "+1",
        "a@a.",
        "Aa1/",
    ],
)
def test_no_line_is_expensive(letter):
    line = (letter * 4096)[:4096]
    began = time.process_time()
    for _ in range(10):
        masked(without_keys(line))
    assert time.process_time() - began < 2, "0.2 s a line"
