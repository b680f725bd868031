"""What a person reads where the API server's answer is no object."""

import pytest

from controller.kube.errors import of_no_object

NONE = "404 page not found\n"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (
            "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web",
            "httproutes.gateway.networking.k8s.io (v1)",
        ),
        ("/apis/gateway.networking.k8s.io/v1/gatewayclasses/public", "gatewayclasses.gateway.networking.k8s.io (v1)"),
        ("/apis/traefik.io/v1alpha1/traefikservices", "traefikservices.traefik.io (v1alpha1)"),
        ("/apis/pointsman.dev/v1alpha1/namespaces/shop/releases", "releases.pointsman.dev (v1alpha1)"),
    ],
)
def test_a_kind_that_the_cluster_has_not_is_named(path, named):
    group = path.split("/")[2]
    assert of_no_object(404, path, NONE) == {"message": f"the cluster has no {named}: install the CRDs of {group}"}


@pytest.mark.parametrize(
    ("status", "path"),
    [
        (404, "/api/v1/namespaces/shop/pods/x"),
        (404, "/apis"),
        (404, "/apis/apps/v1"),
        (502, "/apis/apps/v1/deployments"),
    ],
)
def test_any_other_is_shown_as_it_is(status, path):
    assert of_no_object(status, path, "said") == {"message": "said"}
    assert of_no_object(status, path, "") == {}
