from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradewind.execution.firm_share import HEADROOM, next_change
from tradewind.model.identifiers import AccountId
from tradewind.store.firm_allocations import FirmShare, FirmState

LIMIT = Decimal(1_000)
A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
NOTHING = Decimal(0)


class Firm:
    """The tables and every account's memory, one look at a time."""

    def __init__(self) -> None:
        self.rows: dict[AccountId, FirmShare] = {}
        self.changes = 0

    def state(self) -> FirmState:
        return FirmState(max_notional=LIMIT, shares=list(self.rows.values()))

    def share(self, account_id: AccountId) -> Decimal:
        return self.state().share_of(account_id)

    def look(self, account_id: AccountId, used: int, refused: int = 0) -> Decimal:
        held = self.share(account_id)
        change = next_change(self.state(), account_id, held, Decimal(used), Decimal(refused))
        if change is not None:
            self.changes += 1
            granted = min(change.share, max(LIMIT - (LIMIT - self.state().free - held), held))
            self.rows[account_id] = FirmShare(account_id=account_id, share=granted, wanted=change.wanted)
        return self.share(account_id)


def test_one_account_alone_takes_all_and_then_asks_no_more() -> None:
    firm = Firm()
    assert firm.look(A, 0) == LIMIT
    assert [firm.look(A, used) for used in (1, 900, 30)] == [LIMIT] * 3
    assert firm.changes == 1


def test_a_second_account_gets_what_the_first_does_not_use() -> None:
    firm = Firm()
    firm.look(A, 400)
    assert firm.look(B, 0) == 0
    assert firm.look(A, 400) == 400 + LIMIT * HEADROOM
    assert firm.look(B, 0, refused=500) == 550
    assert firm.state().free == 0


def test_the_last_order_fits_because_headroom_is_given_up_for_a_refused_one() -> None:
    firm = Firm()
    firm.look(A, 500)
    firm.look(B, 0)
    assert firm.look(A, 500) == 550
    assert firm.look(B, 450, refused=500) == 450
    assert firm.look(A, 500) == 500
    assert firm.look(B, 450, refused=500) == 500


def test_a_small_move_of_prices_changes_nothing() -> None:
    firm = Firm()
    firm.look(A, 100)
    firm.look(B, 0)
    firm.look(A, 100)
    firm.look(B, 0)
    before = firm.changes
    for used in (101, 110, 95):
        firm.look(A, used)
    assert firm.changes == before


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 400), st.integers(0, 900)), max_size=60))
def test_no_look_gives_up_what_is_used_or_takes_more_than_there_is(looks: list[tuple[AccountId, int, int]]) -> None:
    firm = Firm()
    for account_id, part, refused in looks:
        used = min(part, int(firm.share(account_id)))
        share = firm.look(account_id, used, refused)
        assert share >= used
        assert firm.state().free >= 0
