"""The payee: pushes a certificate that it is shown to the witnesses itself, and believes it only when it is final.

A certificate alone may have been shown to nobody else: it counts once more than two thirds have stored it and said so.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import Entry
from troth_protocol.log.keep import keep
from troth_protocol.log.ops import LockOp, Op, Transfer
from troth_protocol.log.patience import Patience
from troth_protocol.log.vote import Certificate, verify_certificate
from troth_protocol.wire.messages import Certified

SHOWN_MAX = 1024


@dataclass(frozen=True, slots=True)
class Credited:
    """Notice: an entry that pays this node is final. `amount` is what it transfers, in atomic units."""

    entry: bytes
    payer: bytes
    amount: int


@dataclass(slots=True)
class _Shown:
    entry: Entry
    certificate: Certificate
    acks: set[int] = field(default_factory=set)
    patience: Patience = field(default_factory=Patience)


def payees(ops: tuple[Op, ...]) -> tuple[bytes, ...]:
    """Whom an entry names: the accounts that its transfers and locks pay, each once, in order."""
    return tuple(dict.fromkeys(op.to for op in ops if isinstance(op, Transfer | LockOp)))


class Payee:
    """Certificates shown to one account during one epoch."""

    def __init__(self, key: bytes, book: LogBook, out: Effects) -> None:
        self.key = key
        self.book = book
        self.out = out
        self._shown: dict[bytes, _Shown] = {}

    def certified(self, certificate: Certificate, entry: Entry) -> None:
        """Somebody shows a certificate of an entry that pays this account: push it to every witness.

        Raises Invalid: not_a_payee, too_many, wrong_epoch, and as `verify_certificate`.
        """
        if entry.id in self._shown:
            return
        if self.key not in payees(entry.ops):
            raise Invalid("not_a_payee", "the entry does not pay this account")
        if len(self._shown) >= SHOWN_MAX:
            raise Invalid("too_many", f"{SHOWN_MAX} certificates in one epoch")
        if certificate.entry != entry.id or certificate.epoch != self.book.epoch:
            raise Invalid("wrong_epoch", "the certificate is not for this entry and epoch")
        verify_certificate(certificate, self.book.network, self.book.committee)
        shown = self._shown[entry.id] = _Shown(entry, certificate)
        # Whoever voted for it has it already.
        voters = frozenset(vote.member for vote in certificate.votes)
        self._push(shown, voters, None)
        self._push(shown, self._others(voters), entry.data)

    def resend_late(self) -> None:
        """An interval is over: push again what has waited long enough, to whoever has not acknowledged it."""
        for shown in self._shown.values():
            if not self._is_final(shown) and shown.patience.is_over():
                self._push(shown, self._others(shown.acks), shown.entry.data)

    def _others(self, members: AbstractSet[int]) -> frozenset[int]:
        return frozenset(range(len(self.book.committee.members))) - members

    def _push(self, shown: _Shown, members: AbstractSet[int], entry: bytes | None) -> None:
        keys = [self.book.committee.members[index].key for index in sorted(members)]
        self.out.tell(keys, Certified(shown.certificate.data, entry))

    def stored(self, peer: bytes, entries: tuple[bytes, ...]) -> None:
        """Store-acks arrived on this node's own links."""
        member = self.book.committee.index(peer)
        if member is None:
            return
        for key in entries:
            shown = self._shown.get(key)
            if shown is not None and not self._is_final(shown):
                shown.acks.add(member)
                if self._is_final(shown):
                    self._keep(shown)
                    self.out.notice(self._credited(shown.entry))

    def _keep(self, shown: _Shown) -> None:
        """Store it, so that an own entry can rely on it at once; what it lacks here itself comes with the feed."""
        if not self.book.missing(shown.entry):
            keep(self.book, self.out, shown.entry, shown.certificate, lazy=True)

    def _is_final(self, shown: _Shown) -> bool:
        return self.book.committee.weigh(shown.acks) >= self.book.committee.quorum

    def _credited(self, entry: Entry) -> Credited:
        paid = [op.amount for op in entry.ops if isinstance(op, Transfer) and op.to == self.key]
        return Credited(entry.id, entry.header.author, sum(paid))
