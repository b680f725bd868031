"""What Twilio signed, and nothing else.

The signature is checked for the very address that Twilio was given. Where Twilio is not the provider there is none,
so nothing is let in.
"""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from workloads.invitations.parts import parts_of
from workloads.invitations.problems import Code, ProblemError
from workloads.invitations.sending.signature import Parameters, is_signed
from workloads.invitations.sending.twilio import Account

_MOST_PARAMETERS = 200


async def signed_form(request: Request, address: Callable[[Account], str]) -> Mapping[str, str]:
    """Raises ProblemError: 403."""
    account = parts_of(request).settings.sending.to
    parameters = _parameters(await request.body())
    signed = request.headers.get("X-Twilio-Signature", "")
    if (
        not isinstance(account, Account)
        or parameters is None
        or not is_signed(signed, token=account.token, url=address(account), parameters=parameters)
    ):
        raise ProblemError(Code.FORBIDDEN, "X-Twilio-Signature is not Twilio's for this address and this body")
    return dict(parameters)


def _parameters(body: bytes) -> Parameters | None:
    """None for what is no form."""
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None
