"""What a friend reads."""


def referral_url(public_url: str, code: str) -> str:
    return f"{public_url}/invite/{code}"


def friends_url(public_url: str, code: str, *, secret: str) -> str:
    """The referral URL as it stands in the text message: with what opts out, which nobody but the friend has."""
    return f"{referral_url(public_url, code)}?o={secret}"


def text(*, inviter: str, app: str, url: str) -> str:
    """`inviter`: a cleaned name."""
    return f"{inviter} invited you to try {app}. Sign up using this link: {url} Reply STOP to opt out."
