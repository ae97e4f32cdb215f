from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.batches import TARGET_S, BatchSpec, Candidate, choose, cut

_counts = st.integers(1, 10**9)


@given(left=_counts, first=st.integers(0, 10**9), step=st.integers(1, 10**7), speed=st.floats(0, 10**8), slots=st.integers(1, 512))
def test_a_chunk_has_at_least_a_row_and_no_more_than_are_left(left: int, first: int, step: int, speed: float, slots: int) -> None:
    assert 1 <= cut(left, first, step, speed, slots) <= left


def test_a_chunk_is_about_a_second_of_work_and_smaller_towards_the_end() -> None:
    assert cut(10**9, 0, 1, 5000.0, 4) == 5000 * TARGET_S
    assert cut(48_000, 0, 1, 5000.0, 4) == 3000
    assert cut(16_000, 0, 1, 5000.0, 4) == 1250
    assert cut(100, 0, 1, 5000.0, 4) == 100
    assert cut(10**9, 0, 1, 0.0, 4) == 100_000


def test_chunks_end_with_row_groups_where_they_are_large_enough() -> None:
    assert cut(10**9, 0, 1000, 5300.0, 4) == 5000
    assert cut(10**9, 300, 1000, 5300.0, 4) == 5700
    assert cut(10**9, 0, 10**6, 5300.0, 4) == 5300


def test_owners_take_turns_however_many_batches_each_has() -> None:
    waiting = {f"a{at}": "a" for at in range(5)} | {"b0": "b", "c0": "c"}
    served = dict.fromkeys(waiting, 0.0)
    out: dict[str, str] = {}
    turns = []
    for now in range(1, 31):
        candidates = [Candidate(id, owner, float(at), served[id]) for at, (id, owner) in enumerate(waiting.items())]
        chosen = choose(candidates, out)
        turns.append(chosen.owner)
        served[chosen.batch] = float(now)
        out[f"{chosen.batch}-{now}"] = chosen.owner
        if len(out) == 4:
            out.pop(next(iter(out)))
    assert {owner: turns.count(owner) for owner in "abc"} == {"a": 10, "b": 10, "c": 10}


def test_the_batches_of_one_owner_go_in_order() -> None:
    assert choose([Candidate("new", "a", 2.0, 0.0), Candidate("old", "a", 1.0, 9.0)], {}).batch == "old"


def test_a_spec_is_decoded_as_it_was_and_as_earlier_versions_stored_it() -> None:
    spec = BatchSpec("m", "1", "default", "predict", {"path": "a.csv"}, "m@production")
    assert BatchSpec.from_dict(spec.as_dict()) == spec
    assert (spec.as_dict()["asked"], "requested_model" in spec.as_dict()) == ("m@production", False)
