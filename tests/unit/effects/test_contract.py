"""What every kind of effect has to keep to; a new module fails here before it has a test of its own."""

import inspect

import pytest

from controller import registry
from controller.api.effect import Effect
from controller.api.resources import Rule
from controller.effects.carrier import EffectContext, EffectRefusedError, Limits
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from tests.unit.effects.calling import NoPods

KINDS = registry.modules("effects")
EVERY = pytest.mark.parametrize("kind", KINDS)


class NoKube(NoPods):
    async def find(self, resource, namespace, name):
        raise AssertionError("what cannot be read must not be asked for")


async def no_api_server():
    return frozenset()


def carrier(kind):
    return KINDS[kind].create(EffectContext(NoKube(), Addresses(no_api_server)))


@EVERY
def test_a_module_says_what_it_needs_and_how_much_of_it(kind):
    module = KINDS[kind]
    assert isinstance(module.LIMITS, Limits)
    assert 0 < module.LIMITS.per_namespace < module.LIMITS.at_once <= 256
    assert 0 < module.LIMITS.timeout_s <= 600
    assert all(isinstance(rule, Rule) for rule in module.RULES)
    made = carrier(kind)
    assert inspect.iscoroutinefunction(made.carry_out)


@EVERY
def test_an_example_fits_into_the_status(kind):
    assert Effect("x", kind, KINDS[kind].EXAMPLE).fits


@EVERY
@pytest.mark.parametrize("payload", [{}, {"no": "such field"}, {"url": 7}])
async def test_a_payload_that_cannot_be_read_is_refused_and_not_tried_again(kind, payload):
    made = carrier(kind)
    with pytest.raises(EffectRefusedError):
        await made.carry_out(Key("shop", "web"), Effect("x", kind, payload))
