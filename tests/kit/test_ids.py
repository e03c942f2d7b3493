from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit import ids

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def by_the_book(value: uuid.UUID) -> str:
    """TypeID 0.3: 128 bits in 26 characters, the first of which holds three."""
    return "".join(CROCKFORD[(value.int >> shift) & 31] for shift in range(125, -1, -5))


@given(st.uuids())
def test_an_id_is_written_by_the_book_and_read_back(value: uuid.UUID) -> None:
    written = ids.encode("cmp", value)
    assert written == f"cmp_{by_the_book(value)}"
    assert ids.decode("cmp", written) == value


@pytest.mark.parametrize("number", [0, 1, (1 << 65) - 1, 1 << 65, (1 << 128) - 1])
def test_the_edges_are_written_by_the_book(number: int) -> None:
    value = uuid.UUID(int=number)
    assert ids.encode("a", value) == f"a_{by_the_book(value)}"
    assert ids.decode("a", ids.encode("a", value)) == value


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "01h2xcejqtf2nbrexx3vqjhp4",
        "01h2xcejqtf2nbrexx3vqjhp411",
        "81h2xcejqtf2nbrexx3vqjhp41",
        "01H2XCEJQTF2NBREXX3VQJHP41",
        "01h2xcejqtf2nbrexx3vqjhpi1",
        "01h2xcejqtf2nbrexx3vqjhp u",
        "+1h2xcejqtf2nbrexx3vqjhp41",
        " 1h2xcejqtf2nbrexx3vqjhp41",
        "01h2xcejqtf2nbrexx3vqjhp4\n",
        "0٢h2xcejqtf2nbrexx3vqjhp41",
        "0１h2xcejqtf2nbrexx3vqjhp41",
    ],
)
def test_what_is_no_id_is_refused(tail: str) -> None:
    with pytest.raises(ValueError, match="not a cmp_ id"):
        ids.decode("cmp", f"cmp_{tail}")


@pytest.mark.parametrize("text", ["01h2xcejqtf2nbrexx3vqjhp41", "ptc_01h2xcejqtf2nbrexx3vqjhp41", "cmp__1h2xcejqtf2nb"])
def test_another_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cmp_ id"):
        ids.decode("cmp", text)


def test_later_ids_sort_later() -> None:
    made = [ids.new("evt") for _ in range(1_000)]
    assert made == sorted(made)
    assert len(set(made)) == 1_000


def test_ids_of_a_millisecond_count_up_and_are_spelled_as_any() -> None:
    instants = [1_700_000_000_000_000 + place % 999 for place in range(100_000)]
    made = [ids.uuid7_at(instant) for instant in instants]
    assert len(set(made)) == len(made)
    assert {each.int >> 80 for each in made} == {1_700_000_000_000}
    assert {(each.version, each.variant) for each in made} == {(7, uuid.RFC_4122)}
    spelled = [ids.encode_in_turn("evt", each) for each in made[::97]]
    assert spelled == [ids.encode("evt", each) for each in made[::97]]
    assert made[:30_000] == sorted(made[:30_000])


def test_of_two_processes_no_id_is_the_same() -> None:
    """Each begins where it likes, also in the same microsecond."""
    instant, makers = 1_700_000_000_000_000, [ids._Bursts() for _ in range(1_000)]
    assert len({maker.uuid7_at(instant) for maker in makers}) == 1_000


def test_a_forked_process_goes_on_with_nothing_of_its_parents() -> None:
    instant = 1_700_000_000_000_000
    ids.uuid7_at(instant)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, ids.uuid7_at(instant).bytes)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 16) not in {ids.uuid7_at(instant).bytes for _ in range(10)}
    os.close(reader)
    os.close(writer)


def test_threads_make_ids_that_differ() -> None:
    def some(_: int) -> list[uuid.UUID]:
        return [ids.uuid7_at(1_700_000_000_000_000) for _ in range(5_000)]

    with ThreadPoolExecutor(4) as threads:
        made = [each for each_ones in threads.map(some, range(8)) for each in each_ones]
    assert len(set(made)) == 40_000


def test_ids_of_an_instant_are_version_7_and_sort_by_time() -> None:
    instants = [1_700_000_000_000_000, 1_700_000_000_000_001, 1_700_000_000_000_999, 1_700_000_000_001_000]
    made = [ids.uuid7_at(instant) for instant in instants]
    assert [each.version for each in made] == [7] * 4
    assert {each.variant for each in made} == {uuid.RFC_4122}
    assert made == sorted(made)
    assert [each.int >> 80 for each in made] == [instant // 1_000 for instant in instants]
    assert made[0] != ids.uuid7_at(instants[0])
    assert ids.decode("evt", ids.encode("evt", made[0])) == made[0] == uuid.UUID(made[0].hex)
