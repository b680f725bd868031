"""Who wrote a route last, as its managedFields tell."""

from controller.kube.writers import other_writer, spec_writer


def entry(manager, time, **more):
    return {"manager": manager, "operation": "Update", "time": time, **more}


def test_the_latest_writer_beside_pointsman_is_named_and_who_writes_the_status_is_not():
    fields = [
        entry("argocd-controller", "2026-01-31T12:00:00Z"),
        entry("kubectl-edit", "2026-01-31T12:00:05Z"),
        entry("pointsman", "2026-01-31T12:00:06Z"),
        entry("traefik", "2026-01-31T12:00:07Z", subresource="status"),
    ]
    assert other_writer({"managedFields": fields}) == "kubectl-edit"


def test_where_nobody_else_wrote_nobody_is_named():
    assert other_writer({}) == ""
    assert other_writer({"managedFields": [entry("pointsman", "2026-01-31T12:00:06Z")]}) == ""


def test_who_only_annotates_has_not_changed_the_spec():
    controller = {**entry("kube-controller-manager", "2026-01-31T12:00:09Z"), "fieldsV1": {"f:metadata": {}}}
    person = {**entry("kubectl-set", "2026-01-31T12:00:08Z"), "fieldsV1": {"f:spec": {"f:template": {}}}}
    assert spec_writer({"managedFields": [person, controller]}) == "kubectl-set"
    assert spec_writer({"managedFields": [controller]}) == ""
