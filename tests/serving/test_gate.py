"""Places of the gate: in all, and by address."""

from contextlib import ExitStack

import pytest

from fer_core.serving.errors import RefusedError
from fer_core.serving.gate import Gate


def fill(gate: Gate, stack: ExitStack, address: str) -> int:
    """Enters as often as the gate allows; returns how often that was."""
    before = gate.inside

    def enter_forever():
        while True:
            stack.enter_context(gate.entered(address))

    with pytest.raises(RefusedError) as refused:
        enter_forever()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "2")
    return gate.inside - before


def test_each_address_leaves_places_for_others():
    """Held at most as many as are free before: 16 of 31, then 8 of 15, and so on."""
    gate = Gate(31)
    with ExitStack() as stack:
        assert [fill(gate, stack, name) for name in "abcdef"] == [16, 8, 4, 2, 1, 0]
        assert gate.inside == 31
    assert gate.inside == 0


def test_one_client_alone_may_send_half_of_the_requests():
    with ExitStack() as stack:
        assert fill(Gate(64), stack, "one") == 33


def test_addresses_without_requests_are_forgotten():
    gate = Gate(4)
    with gate.entered("a"), gate.entered("b"):
        assert set(gate._held) == {"a", "b"}
    assert not len(gate._held)


def test_a_place_is_given_back_after_an_error():
    gate = Gate(1)
    with pytest.raises(ZeroDivisionError), gate.entered("a"):
        raise ZeroDivisionError
    with gate.entered("b"), pytest.raises(RefusedError), gate.entered("c"):
        pass
    assert gate.inside == 0
