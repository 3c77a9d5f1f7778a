"""How much of the firm's limit an account should hold: a rule without I/O.

An account alone takes the whole limit and is never in its own way. Where there are several, each holds what it uses and
a headroom; what nobody holds goes to whoever asks first, and when that is not enough the others give back what they do
not use. So shares follow the use, and nobody waits for anybody on an order's way.
"""

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId
from tradewind.store.firm_allocations import FirmState

HEADROOM: Final = Decimal("0.05")
"""The part of the firm's limit that an account keeps beyond its use, so that not every order needs a new share."""


class ShareChange(msgspec.Struct, frozen=True, kw_only=True):
    """The share to ask for, and what the account would like to have."""

    share: Decimal
    wanted: Decimal


def next_change(
    state: FirmState, account_id: AccountId, held: Decimal, used: Decimal, refused: Decimal
) -> ShareChange | None:
    """What to ask for now, None if all is well as it is.

    ``held`` is the share in use, ``used`` the account's exposure, ``refused`` the largest exposure that was refused
    since the last look (0 if none).
    """
    wanted = min(max(used, refused) + state.max_notional * HEADROOM, state.max_notional)
    free = max(state.free, Decimal(0))
    stored = next((one for one in state.shares if one.account_id == account_id), None)
    if all(one.account_id == account_id for one in state.shares):
        share = held + free
    elif held < wanted:
        share = min(wanted, held + free)
    else:
        share = wanted if state.unmet_of_others(account_id) > 0 else held
    if stored is not None and share == held and _unmet(stored.share, stored.wanted) == _unmet(share, wanted):
        return None
    return ShareChange(share=share, wanted=wanted)


def _unmet(share: Decimal, wanted: Decimal) -> Decimal:
    return max(wanted - share, Decimal(0))
