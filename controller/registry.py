"""Finds the modules that can be added: routers, metric providers, steps, strategies, effects, notifiers.

A module is found by lying in its folder, or by an entry point (`pointsman.routers`, `pointsman.providers`,
`pointsman.steps`, …) of another package. Adding one therefore changes one file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Literal, overload

from controller.api.fields import Kinds
from controller.ports import NotifierModule, ProviderModule, RouterModule
from controller.rollout.bake import Bake
from controller.rollout.step import StepModule
from controller.rollout.strategy import StrategyModule

FOLDERS = {
    "routers": "controller.routers",
    "providers": "controller.providers",
    "steps": "controller.rollout.steps",
    "effects": "controller.effects",
    "notifiers": "controller.effects.notifiers",
    "strategies": "controller.rollout.strategies",
}
_EXPORTS = ("KIND", "EXAMPLE", "Config")
_EXPORTS_OF = {"routers": ("SIZING", "WATCHES", "RULES", "create"), "providers": ("DIALECTS", "create")}
_EXPORTS_OF |= {"effects": ("RULES", "LIMITS", "create"), "notifiers": ("create",)}

_OF_CONFIG = {"strategies": ("steps", "sizes", "switches")}
"""What its Config has to have, as a field or by itself."""


class PluginError(Exception):
    """A module that lies in a folder of modules and is none."""


@overload
def modules(folder: Literal["routers"]) -> Mapping[str, RouterModule]: ...
@overload
def modules(folder: Literal["providers"]) -> Mapping[str, ProviderModule]: ...
@overload
def modules(folder: Literal["steps"]) -> Mapping[str, StepModule]: ...
@overload
def modules(folder: Literal["strategies"]) -> Mapping[str, StrategyModule]: ...
@overload
def modules(folder: Literal["notifiers"]) -> Mapping[str, NotifierModule]: ...
@overload
def modules(folder: str) -> Mapping[str, Any]: ...
def modules(folder: str) -> Mapping[str, Any]:
    """The modules of one folder by their KIND, in the order of their names. Raises PluginError."""
    return _modules(folder)


def forget() -> None:
    """Everything is found anew, as tests want it that add a module."""
    for known in (_modules, kinds, dialects):
        known.cache_clear()


@cache
def _modules(folder: str) -> Mapping[str, Any]:
    package = importlib.import_module(FOLDERS[folder])
    own = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
        if not found.name.startswith("_")
    ]
    others = [point.load() for point in entry_points(group=f"pointsman.{folder}")]
    result: dict[str, Any] = {}
    for module in own + others:
        if not any(hasattr(module, name) for name in _EXPORTS):
            continue  # serves the modules beside it
        missing = [name for name in (*_EXPORTS, *_EXPORTS_OF.get(folder, ())) if not hasattr(module, name)]
        if missing:
            raise PluginError(f"{module.__name__} lies in {folder} but exports no {', '.join(missing)}")
        lacks = [name for name in _OF_CONFIG.get(folder, ()) if not _has(module.Config, name)]
        if lacks:
            raise PluginError(f"{module.__name__}: its Config has no {' and no '.join(lacks)}")
        if module.KIND in result:
            raise PluginError(f"{module.__name__} and {result[module.KIND].__name__} are both {module.KIND!r}")
        result[module.KIND] = module
    return MappingProxyType(dict(sorted(result.items())))


def _has(config: type[Any], name: str) -> bool:
    """A field without a default is no attribute of its class."""
    return hasattr(config, name) or name in getattr(config, "__dataclass_fields__", {})


class _Records(Mapping[str, Mapping[str, type[Any]]]):
    """The modules' records by folder, each loaded when it is asked for: a provider's libraries take a second."""

    def __getitem__(self, folder: str) -> Mapping[str, type[Any]]:
        if folder == "bake":
            return {"bake": Bake}
        if folder not in FOLDERS:
            raise KeyError(folder)
        return {kind: module.Config for kind, module in modules(folder).items()}

    def __iter__(self) -> Iterator[str]:
        yield from (*FOLDERS, "bake")

    def __len__(self) -> int:
        return len(FOLDERS) + 1


@cache
def kinds() -> Kinds:
    """What the schemas and the parsers are made of."""
    return Kinds(_Records())


@cache
def dialects() -> Mapping[str, Any]:
    """The `Dialect`s that some provider speaks, by name."""
    found: dict[str, Any] = {}
    for kind, module in modules("providers").items():
        for dialect in module.DIALECTS:
            if found.setdefault(dialect.name, dialect) != dialect:
                raise PluginError(f"{kind} and another provider speak different dialects {dialect.name!r}")
    return MappingProxyType(dict(sorted(found.items())))


def languages_of(provider: str) -> tuple[str, ...]:
    return tuple(dialect.name for dialect in modules("providers")[provider].DIALECTS)


def kinds_with_alerts() -> tuple[str, ...]:
    """Providers whose sources can be asked for alerts that fire."""
    return tuple(kind for kind, module in modules("providers").items() if getattr(module, "ALERTS", False))
