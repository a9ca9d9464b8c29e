"""The generated names that this package uses, all in one place: the contract may rename them."""

from __future__ import annotations

from typing import Any

import grpc

from .v1 import bank_pb2, bank_pb2_grpc, types_pb2

WALLET_SERVICE = "cbdc.v1.Bank"
WalletStub: Any = bank_pb2_grpc.BankStub

CommandBatch = types_pb2.CommandBatch
Receipt = types_pb2.Receipt
SignedPayment = types_pb2.SignedPayment

BeginSession = bank_pb2.BeginSessionRequest
BlockPosition = bank_pb2.GetBankReceiptRequest.BlockPosition
Fund = bank_pb2.FundRequest
GetDeposit = bank_pb2.GetDepositRequest
GetReceipt = bank_pb2.GetBankReceiptRequest
GetStatus = bank_pb2.GetStatusRequest
GetWallet = bank_pb2.GetWalletRequest
ListPayments = bank_pb2.ListPaymentsRequest
OpenSession = bank_pb2.OpenSessionRequest
OpenWallet = bank_pb2.OpenWalletRequest
SequenceNumber = bank_pb2.GetBankReceiptRequest.SequenceNumber
SubmitTransfer = bank_pb2.SubmitTransferRequest


def signed_payment(payer: str, kind: Any, **fields: Any) -> types_pb2.SignedPayment:
    """The message of a payment; `from` is a keyword of Python."""
    named: Any = {"from": payer, "kind": kind, **fields}
    return SignedPayment(**named)


#: The most records in a batch of a stream.
BATCH_COMMANDS_MAX = 8192
#: The largest message, in bytes.
MESSAGE_BYTES_MAX = 32 * 1024 * 1024

_DOMAIN = "cbdc.v1"


def error_info(error: grpc.RpcError) -> tuple[str, dict[str, str]]:
    """Reason and metadata of the `google.rpc.ErrorInfo` in a status; empty if it has none.

    Read by hand, since it is two messages of four fields: google.rpc.Status and ErrorInfo in an Any.
    """
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key != "grpc-status-details-bin":
            continue
        for number, detail in _fields(value):
            if number == 3:
                parts = dict(_fields(detail))
                if parts.get(1, b"").endswith(b"google.rpc.ErrorInfo"):
                    return _read_error_info(parts.get(2, b""))
    return "", {}


def _read_error_info(data: bytes) -> tuple[str, dict[str, str]]:
    reason, domain, metadata = "", "", {}
    for number, value in _fields(data):
        if number == 1:
            reason = value.decode()
        elif number == 2:
            domain = value.decode()
        elif number == 3:
            entry = dict(_fields(value))
            metadata[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
    return (reason, metadata) if domain == _DOMAIN else ("", {})


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message that have a length (texts, bytes, messages), by number."""
    at, found = 0, []

    def varint() -> int:
        nonlocal at
        result, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            length = varint()
            found.append((key >> 3, data[at : at + length]))
            at += length
        elif key & 7 == 0:
            varint()
        else:
            break
    return found
