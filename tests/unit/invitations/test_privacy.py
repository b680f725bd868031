"""Phone numbers at rest and on show."""

import re

import pytest

from workloads.invitations.privacy import Keys, Privacy, Sealed, SealedError, mask

OLD, NEW, HASHING = bytes(32), bytes([1] * 32), bytes([2] * 32)
NUMBER = "+15551234567"


def test_a_number_is_read_again_by_who_has_the_key():
    """I22."""
    privacy = Privacy(Keys({"k1": OLD}, HASHING))
    sealed = privacy.seal(NUMBER, "i1")
    assert privacy.open(sealed, "i1") == NUMBER
    assert sealed.cipher != privacy.seal(NUMBER, "i1").cipher


def test_a_new_key_comes_while_rows_of_the_old_one_are_there():
    """I22."""
    before = Privacy(Keys({"k1": OLD}, HASHING)).seal(NUMBER, "i1")
    after = Privacy(Keys({"k2": NEW, "k1": OLD}, HASHING))
    assert after.open(before, "i1") == NUMBER
    assert after.seal(NUMBER, "i1").key_id == "k2"
    with pytest.raises(SealedError, match="PHONE_KEYS has no key 'k1'"):
        Privacy(Keys({"k2": NEW}, HASHING)).open(before, "i1")


def test_a_number_of_another_row_or_changed_is_not_read():
    """I22."""
    privacy = Privacy(Keys({"k1": OLD}, HASHING))
    sealed = privacy.seal(NUMBER, "i1")
    for tampered, row in (
        (sealed, "i2"),
        (Sealed("k1", sealed.cipher[:-1] + bytes([sealed.cipher[-1] ^ 1])), "i1"),
        (Sealed("k1", b""), "i1"),
    ):
        with pytest.raises(SealedError, match="not what was stored"):
            privacy.open(tampered, row)


def test_a_hash_is_found_again_with_its_key_alone():
    """I22."""
    assert Privacy(Keys({"k1": OLD}, HASHING)).hash(NUMBER) == Privacy(Keys({"k2": NEW}, HASHING)).hash(NUMBER)
    assert Privacy(Keys({"k1": OLD}, HASHING)).hash(NUMBER) != Privacy(Keys({"k1": OLD}, NEW)).hash(NUMBER)


def test_a_masked_number_shows_its_end():
    """I22."""
    assert mask(NUMBER) == "+1•••4567"


def test_a_links_secret_is_good_for_one_purpose_and_one_text():
    """I21."""
    privacy, other = Privacy(Keys({"k1": OLD}, HASHING)), Privacy(Keys({"k1": OLD}, NEW))
    secret = privacy.secret("optout", "i1")
    assert privacy.secret("optout", "i1") == secret
    assert secret not in {privacy.secret("optout", "i2"), privacy.secret("another", "i1"), other.secret("optout", "i1")}


def test_a_links_secret_survives_every_phone_that_looks_for_links_in_a_text():
    """I21: one that ended in a dash lost it."""
    secret = Privacy(Keys({"k1": OLD}, HASHING)).secret("optout", "i1")
    assert re.fullmatch("[a-z2-7]{15}", secret)


def test_keys_are_not_shown():
    assert "01" not in repr(Keys({"k1": NEW}, HASHING))
