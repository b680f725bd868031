"""Where the API server is, and what opens it: a kubeconfig, or the service account of the pod that this runs in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies

from controller.kube.errors import UnavailableError

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, Configuration
    from kubernetes.aio.client.rest import RESTClientObject

_CONNECTIONS = 64


async def connection(kubeconfig: str | None) -> tuple[ApiClient, str]:
    """A connection pool, and the namespace that the kubeconfig's context names. Raises UnavailableError."""
    # a fifth of a second, which commands without a cluster need not pay
    from kubernetes.aio import client, config  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    configuration = client.Configuration()
    namespace = "default"
    try:
        if kubeconfig is None and _in_pod():
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
            _, context = config.list_kube_config_contexts(config_file=kubeconfig)
            namespace = context.get("context", {}).get("namespace") or namespace
    except (
        config.ConfigException,
        YAMLError,
        OSError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
    ) as error:
        raise UnavailableError(0, "NoConfig", _without_cluster(kubeconfig, error)) from error
    configuration.connection_pool_maxsize = _CONNECTIONS
    # otherwise it looks for a proxy, and reads the user's .netrc, at each request: a tenth of a busy operator's time
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    api = client.ApiClient(configuration)
    api.rest_client = _rest_client(configuration)
    return api, namespace


def _rest_client(configuration: Configuration) -> RESTClientObject:
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415 - as above

    from controller.kube.connector import Connector  # noqa: PLC0415 - as above

    class Rest(RESTClientObject):
        def _create_connector(self) -> Connector:
            return Connector(limit=self.maxsize, ssl=self.ssl_context)

    return Rest(configuration)


def _in_pod() -> bool:
    """In a pod, and not told to look elsewhere."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ


def _without_cluster(kubeconfig: str | None, error: Exception) -> str:
    """The loader fails in many ways for a file that is none, and says nothing of one that is missing."""
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    if named and os.pathsep not in named:
        problem = "cannot be used as a kubeconfig" if Path(named).exists() else "does not exist"
        return f"no cluster: {named} {problem}; name another file with KUBECONFIG"
    return f"no cluster: set KUBECONFIG, or run in a pod with a service account ({error})"
