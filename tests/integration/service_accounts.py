"""Service accounts of a test's namespace, and their tokens."""

from contextlib import suppress

from controller.api.resources import Resource
from controller.kube.client import ConflictError, KubeClient

_SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
_NAME = "worker"


async def token_for(kube: KubeClient, namespace: str, *, audience: str) -> str:
    """As kubelet would project it into a pod."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _NAME}}
    with suppress(ConflictError):  # made for an earlier token
        await kube.create(_SERVICE_ACCOUNTS, namespace, account)
    path = _SERVICE_ACCOUNTS.path(namespace, _NAME, "token")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
    answer = await kube.request("POST", path, body=request)
    return str(answer["status"]["token"])
