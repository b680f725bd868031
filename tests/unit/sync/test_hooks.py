"""Whose secrets are tried when a forge calls."""

from controller.api.release_repository import RepositorySpec, parse_repository
from controller.kube.objects import Key
from controller.sync.hooks import fairly

SPEC: RepositorySpec = parse_repository(
    {
        "url": "https://git.qa/team/shop.git",
        "serviceAccountName": "deployer",
        "webhook": {"secretRef": {"name": "hook", "key": "token"}},
    }
)


def test_one_namespace_does_not_take_the_places_of_all_others():
    crowd = [(Key("aaa", f"copy-{number}"), SPEC) for number in range(50)]
    found = fairly([*crowd, (Key("shop", "shop"), SPEC)], 20)
    assert len(found) == 20
    assert found[:2] == [crowd[0], (Key("shop", "shop"), SPEC)]
