"""Takes out of log lines what looks like a credential, or names a person, before anybody keeps them.

| masked | how it is found |
|---|---|
| private keys | PEM blocks, also where only one end of the block is there |
| credentials by name | the values of `password=`, `"token": "…"`, `authorization:`, `--secret …` and the like |
| environment variables | `value` beside a `name` of that kind |
| credentials by shape | bearer and basic tokens, JWTs, keys of AWS, GitHub, GitLab, Google, Slack, Stripe and others |
| credentials in URLs | what stands before the `@`, also in `user:password@tcp(host)` |
| long random text | 32 characters and more of capitals, small letters and digits |
| persons | e-mail addresses; phone numbers that begin with `+` |

Hashes and ids in hexadecimal stay, and so do phone numbers without `+`: nothing tells those from ids. Numbers stay
where a name counts tokens (`max_tokens`). It is a net and not a proof: a secret that looks like a word passes.
"""

from __future__ import annotations

import re

MASK = "[masked]"
_TERMINAL = re.compile(r"\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]|[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Colors, and what else a terminal does not show: they may stand in the middle of what is looked for."""

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}\s*$")

_QUOTED = r"""\\"(?:[^"\\]|\\[^"])*(?:\\")?|"(?:[^"\\]|\\.)*"?|'[^']*'?"""
_SEPARATOR = r"""[\\"'\]]{0,4}\s{0,3}(?>=>|[:=])\s{0,3}+"""
_HEADERS = re.compile(
    rf"(?i)((?:authorization|cookie|x-api-key|x-auth-token){_SEPARATOR})(?!\[masked\])(?:{_QUOTED}|[^\r\n]+)"
)
_NAMES = (
    r"pass[-_ ]?word|passwd|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|signing[-_]?key"
    r"|credential|session[-_]?id|signature|\bsig\b|\botp\b|\bpin\b|\bauth\b"
    r"|(?<!by)(?<!com)pass(?![\w.-])"
)
_VALUE = rf"(?!\[masked\])(?:{_QUOTED}|[^\s,;&\"'}})\]]+)"
_NAMED = re.compile(rf"(?i)((?:{_NAMES})[\w.-]{{0,40}}{_SEPARATOR})({_VALUE})")
_VARIABLES = re.compile(
    rf"""(?i)(\bname{_SEPARATOR}[\\"']{{0,2}}[\w.-]{{0,40}}(?:{_NAMES})[\w.-]{{0,40}}[\\"']{{0,2}}[,;\s]{{1,4}}+"""
    rf"""[\\"']{{0,2}}value{_SEPARATOR}){_VALUE}"""
)
_COUNTS = re.compile(r"(?i)tokens|token[-_]?(?:count|limit|budget|usage)")
_NUMBER = re.compile(r"\d{1,9}")
_OPTIONS = re.compile(rf"(?i)(--?[\w-]{{0,40}}(?:{_NAMES})[\w-]{{0,40}}\s++)(?!\[masked\])[^\s-]\S*")
_SCHEMES = re.compile(r"\b([Bb]earer|[Bb]asic|BEARER|BASIC)(\s+)(?=\S*(?:[a-z][A-Z]|[0-9=]))[A-Za-z0-9._~+/=-]{6,}")
_IN_URLS = (
    re.compile(r"(?<=://)[^\s/\"'<>@]{1,512}@"),
    re.compile(r"(?<=://)[^\s/\"'<>:]{0,256}:[^\s\"'<>@]{1,512}@"),  # a password with a slash in it
    re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}:[^\s\"'<>]{1,256}@(?=(?:tcp|udp|unix)\()"),  # as Go's MySQL driver has it
)
_SHAPES = re.compile(
    r"\b(?:"
    r"(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}"
    r"|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}|hooks\.slack\.com/services/\S+"
    r"|[srp]k_(?:live|test)_\w{8,}|whsec_\w{8,}|sk-[\w-]{20,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{10,}"
    r"|npm_\w{30,}|hf_\w{20,}|dop_v1_\w{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{6,}(?:\.[\w-]*){0,4}"
    r")"
)
_MAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(r"(?<![\w.])\+\d[\d ()./-]{6,18}\d")
_LONG = re.compile(r"[A-Za-z0-9_-]{32,}|[A-Za-z0-9+/]{40,}={0,2}")
_FEW, _MANY = 2, 4


def without_keys(text: str) -> str:
    """Of a whole log: a private key has many lines, of which some may be cut off."""
    text = _KEY_BLOCK.sub(f"{MASK} (a private key)", _TERMINAL.sub("", text))
    if not _KEY_END.search(text):
        return text
    kept: list[str] = []
    for line in text.split("\n"):
        if not _KEY_END.search(line):
            kept.append(line)
            continue
        del kept[-1:]  # the last line of a key may be short
        while kept and _KEY_LINE.search(kept[-1]):
            kept.pop()
        kept.append(f"{MASK} (the end of a private key)")
    return "\n".join(kept)


def masked(line: str) -> str:
    """Of one line without its private keys."""
    line = _HEADERS.sub(rf"\1{MASK}", line)
    line = _SCHEMES.sub(rf"\1\2{MASK}", line)
    line = _VARIABLES.sub(rf"\1{MASK}", line)
    line = _NAMED.sub(_named, line)
    line = _OPTIONS.sub(rf"\1{MASK}", line)
    for pattern in _IN_URLS:
        line = pattern.sub(f"{MASK}@", line)
    line = _SHAPES.sub(MASK, line)
    line = _MAIL.sub("[e-mail]", line)
    line = _PHONE.sub("[phone]", line)
    return _LONG.sub(_random, line)


def _named(found: re.Match[str]) -> str:
    """Tokens that are counted are no credentials."""
    name, value = found.groups()
    return found.group() if _COUNTS.match(name) and _NUMBER.fullmatch(value) else f"{name}{MASK}"


def _random(found: re.Match[str]) -> str:
    """A name in CamelCase, a path and a hash have too few of one kind of letter."""
    text = found.group()
    least = _MANY if "/" in text or "+" in text else _FEW
    kinds = (sum(map(is_one, text)) for is_one in (str.isupper, str.islower, str.isdigit))
    return MASK if min(kinds) >= least else text
