"""Wallets of a cbdc ledger: sign, pay, stream, and verify receipts with nothing but genesis.

Start from `Network.open` and `Network.wallet`; `verify_receipt` needs no network. The formats are those of
docs/reference/wire.md.
"""

from .accounts import Account
from .errors import BadProof, BadRecord, CbdcError, NoAnswer, NotServed, Refused
from .genesis import Genesis, Member
from .network import Network
from .receipts import VerifiedReceipt, verify_receipt
from .records import Payment, sign_payment, sign_payments
from .registrar import Registrar
from .stream import Answer, BatchAnswer, PaymentStream
from .wallet import Entry, Settled, Wallet, WalletState

__all__ = [
    "Account",
    "Answer",
    "BadProof",
    "BadRecord",
    "BatchAnswer",
    "CbdcError",
    "Entry",
    "Genesis",
    "Member",
    "Network",
    "NoAnswer",
    "NotServed",
    "Payment",
    "PaymentStream",
    "Refused",
    "Registrar",
    "Settled",
    "VerifiedReceipt",
    "Wallet",
    "WalletState",
    "sign_payment",
    "sign_payments",
    "verify_receipt",
]
