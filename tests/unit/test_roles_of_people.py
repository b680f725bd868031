"""What the shipped roles let people do: reading, acting, approving and editing are apart."""

import pytest

from tests.unit.test_manifests import READING, rules, the


@pytest.mark.parametrize("name", ["operate", "approve"])
def test_acting_needs_no_right_to_edit(name: str) -> None:
    role = set(rules(the("ClusterRole", f"pointsman-{name}")))
    assert {(resource, verb) for _, resource, verb in role if verb not in READING} == {
        ("releaseactions", "create"),
        ("releases", name),
    }


def test_every_role_of_people_reads_the_same() -> None:
    roles = [set(rules(the("ClusterRole", f"pointsman-{name}"))) for name in ("view", "operate", "approve", "edit")]
    reading = [{rule for rule in role if rule[2] in READING and "/scale" not in rule[1]} for role in roles]
    assert reading == [roles[0]] * len(roles)


@pytest.mark.parametrize(("name", "part_of"), [("view", "view"), ("operate", "edit"), ("approve", ""), ("edit", "")])
def test_editing_and_approving_are_part_of_no_other_role(name: str, part_of: str) -> None:
    """With a Release comes a route on a shared Gateway, which `edit` may not create."""
    labels = the("ClusterRole", f"pointsman-{name}")["metadata"].get("labels", {})
    assert labels == ({f"rbac.authorization.k8s.io/aggregate-to-{part_of}": "true"} if part_of else {})


def test_viewing_changes_nothing() -> None:
    assert {verb for _, _, verb in rules(the("ClusterRole", "pointsman-view"))} == READING
