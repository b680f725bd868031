"""What a friend reads."""


def referral_url(public_url: str, code: str) -> str:
    return f"{public_url}/invite/{code}"


def text(*, inviter: str, app: str, url: str) -> str:
    """`inviter`: a cleaned name."""
    return f"{inviter} invited you to try {app}. Sign up using this link: {url}"
