"""The firm's limit over several accounts: each holds a share, and the shares never add up to more than the limit.

Shares change in the background, in transactions that wait for each other; an order is only compared with its own
account's share, in memory. Order of a change: more is asked for here first and used after; less is given up in memory
first and told here after. So a crash between leaves the stored share at least as large as the one in use.
"""

from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from tradewind.model.identifiers import AccountId
from tradewind.store.database import Database
from tradewind.store.leases import Lease
from tradewind.store.order_store import LEASE_LOST_SQLSTATE, LeaseLost


class FirmShare(msgspec.Struct, frozen=True, kw_only=True):
    """One account's part of the firm's limit, in quote currency, and what it would like to have."""

    account_id: AccountId
    share: Decimal
    wanted: Decimal


class FirmState(msgspec.Struct, frozen=True, kw_only=True):
    """The firm's limit and who holds which share of it."""

    max_notional: Decimal
    shares: list[FirmShare]

    @property
    def free(self) -> Decimal:
        """What no account holds; below zero after the limit was lowered, until shares were given back."""
        return self.max_notional - sum((one.share for one in self.shares), Decimal(0))

    def unmet_of_others(self, account_id: AccountId) -> Decimal:
        """How much the other accounts want beyond what they hold."""
        missing = (max(one.wanted - one.share, Decimal(0)) for one in self.shares if one.account_id != account_id)
        return sum(missing, Decimal(0))

    def share_of(self, account_id: AccountId) -> Decimal:
        """What an account holds."""
        return next((one.share for one in self.shares if one.account_id == account_id), Decimal(0))


class FirmAllocations:
    """The tables ``firm_limits`` and ``firm_allocations``, for one firm."""

    def __init__(self, database: Database, firm: str) -> None:
        self._database = database
        self._firm = firm

    async def set_limit(self, max_notional: Decimal) -> None:
        """Make this the firm's limit. A lower one takes nothing away: shares only shrink by being given back.

        Raises:
            DatabaseUnavailable: not set, or the answer was lost; the call may be repeated.
        """
        async with self._database.connection() as connection:
            await connection.execute(_SET_LIMIT, self._firm, max_notional)

    async def state(self) -> FirmState:
        """The limit and all shares, in one look.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows: list[Any] = await connection.fetch(_STATE, self._firm)
        if not rows:
            return FirmState(max_notional=Decimal(0), shares=[])
        shares = [
            FirmShare(account_id=AccountId(row["account_id"]), share=row["share"], wanted=row["wanted"])
            for row in rows
            if row["account_id"] is not None
        ]
        return FirmState(max_notional=rows[0]["max_notional"], shares=shares)

    async def set_share(self, account_id: AccountId, lease: Lease, *, share: Decimal, wanted: Decimal) -> Decimal:
        """Take ``share``, or as much of it as is free, and say what is ``wanted``; returns what the account has now.

        Raises:
            LeaseLost: the account has another owner; nothing was written.
            DatabaseUnavailable: the outcome is not known; load the share again before using it.
        """
        arguments = (self._firm, account_id, lease.name, lease.epoch, share, wanted)
        try:
            async with self._database.connection() as connection:
                granted: Decimal = await connection.fetchval(_SET_SHARE, *arguments)
                return granted
        except asyncpg.PostgresError as error:
            if error.sqlstate == LEASE_LOST_SQLSTATE:
                raise LeaseLost(str(error)) from error
            raise


_SET_LIMIT: Final = (
    "INSERT INTO firm_limits VALUES ($1, $2) ON CONFLICT (firm) DO UPDATE SET max_notional = EXCLUDED.max_notional"
)
_STATE: Final = (
    "SELECT l.max_notional, a.account_id, a.share, a.wanted"
    " FROM firm_limits l LEFT JOIN firm_allocations a USING (firm) WHERE l.firm = $1 ORDER BY a.account_id"
)
_SET_SHARE: Final = "SELECT set_firm_share($1, $2, $3, $4, $5, $6)"
