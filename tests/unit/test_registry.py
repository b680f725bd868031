"""A module is found by lying in its folder, or by an entry point; what is none is named."""

from types import SimpleNamespace

import pytest

from controller import registry
from controller.registry import PluginError
from tests import golden


@pytest.fixture
def found_anew():
    registry.forget()
    yield
    registry.forget()


def entry_point(monkeypatch, module):
    monkeypatch.setattr(registry, "entry_points", lambda **_: [SimpleNamespace(load=lambda: module)])


def module(kind="ring", **changes):
    return SimpleNamespace(
        **(
            {
                "KIND": kind,
                "EXAMPLE": {},
                "Config": object,
                "__name__": "acme",
                "SIZING": 0,
                "WATCHES": (),
                "RULES": (),
                "create": None,
            }
            | changes
        )
    )


def test_what_is_built_in_is_found():
    assert set(registry.modules("routers")) >= {"gatewayAPI", "replicas"}
    assert set(registry.modules("steps")) >= {"approve", "pause", "weight"}
    assert set(registry.modules("providers")) >= {"influxdb"}


@pytest.mark.usefixtures("found_anew")
def test_another_package_adds_a_module_by_an_entry_point(monkeypatch):
    entry_point(monkeypatch, module())
    assert "ring" in registry.modules("routers")
    assert list(registry.modules("routers")) == sorted(registry.modules("routers"))


@pytest.mark.usefixtures("found_anew")
@pytest.mark.parametrize("name", ["EXAMPLE", "Config", "SIZING", "RULES", "create"])
def test_a_module_that_lacks_something_is_named(monkeypatch, name):
    broken = module()
    delattr(broken, name)
    entry_point(monkeypatch, broken)
    with pytest.raises(PluginError, match=f"acme lies in routers but exports no {name}"):
        registry.modules("routers")


@pytest.mark.usefixtures("found_anew")
def test_a_strategy_without_steps_or_sizes_is_named(monkeypatch):
    """It was an AttributeError of gen-crd."""
    entry_point(monkeypatch, module(Config=SimpleNamespace(switches=False)))
    with pytest.raises(PluginError, match="acme: its Config has no steps and no sizes"):
        registry.modules("strategies")


@pytest.mark.usefixtures("found_anew")
def test_two_modules_of_one_kind_are_named(monkeypatch):
    entry_point(monkeypatch, module("replicas"))
    with pytest.raises(PluginError, match=r"acme and controller\.routers\.replicas are both 'replicas'"):
        registry.modules("routers")


def test_the_kinds_of_a_release_are_the_modules():
    kinds = registry.kinds()
    assert set(kinds.of("routers")) == set(registry.modules("routers"))
    assert set(kinds.of("steps")) == set(registry.modules("steps"))
    assert golden.release()["spec"]["traffic"].keys() <= kinds.of("routers").keys()
