"""How much of the firm's limit an account should hold: a rule without I/O.

An account alone takes the whole limit and is never in its own way. Where there are several, each holds what it uses and
a headroom, and the rest is free for whoever asks first. When an order was refused for want of a share and nothing is
free, the others give up their headroom too: down to the last order the whole limit can be used, by anyone.
"""

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId
from tradewind.store.firm_allocations import FirmState

HEADROOM: Final = Decimal("0.05")
"""The part of the firm's limit that an account keeps beyond its use, so that not every order needs a new share."""


class ShareChange(msgspec.Struct, frozen=True, kw_only=True):
    """The share to ask for, and what the account needs: its use, or the exposure that was refused."""

    share: Decimal
    wanted: Decimal


def next_change(
    state: FirmState, account_id: AccountId, held: Decimal, used: Decimal, refused: Decimal
) -> ShareChange | None:
    """What to ask for now, None if all is well as it is.

    ``held`` is the share in use, ``used`` the account's exposure, ``refused`` the largest exposure that was refused
    since the last look (0 if none).
    """
    free = max(state.free, Decimal(0))
    needed = max(used, refused)
    headroom = state.max_notional * HEADROOM
    missing = state.unmet_of_others(account_id) - free
    stored = next((one for one in state.shares if one.account_id == account_id), None)
    if all(one.account_id == account_id for one in state.shares):
        share = held + free
    elif missing > 0:
        share = min(held, max(used, held - missing))
    else:
        share = min(needed + headroom, held + free)
        if needed <= held and abs(share - held) < headroom / 2:
            share = held  # not every move of a price is worth a transaction
    if stored is not None and share == held and _unmet(stored.share, stored.wanted) == _unmet(share, needed):
        return None
    return ShareChange(share=share, wanted=needed)


def _unmet(share: Decimal, wanted: Decimal) -> Decimal:
    return max(wanted - share, Decimal(0))
