"""Opens a wallet, pays, and verifies the receipt by its own code: `pay.py NETWORK`, where NETWORK is the folder of a
development network (`cbdc up`)."""

import os
import sys
import time

from cbdc import Network, Refused, ed25519, verify_receipt

with Network.open(sys.argv[1] if len(sys.argv) > 1 else "network") as network:
    alice = network.wallet("alice")

    # A new wallet: a key of our own, certified by the development network's registrar.
    key = ed25519.private_key(os.urandom(32))
    shop = network.open_wallet(2, key, network.registrar(), class_="merchant")
    print(f"opened {shop.account}")

    settled = alice.pay(shop.account, 1250, reference=b"invoice 4711")
    print(f"settled at {settled.height}:{settled.index}")

    # Keep these bytes: they prove the payment to anybody with genesis.bin, without a server.
    kept = alice.receipt_bytes(settled.height, settled.index)
    receipt = verify_receipt(network.genesis, kept)
    assert receipt.settled and receipt.payment.amount == 1250 and receipt.payment.payee == shop.account
    print(f"verified: {receipt.payment.amount} paid to {receipt.payment.payee}, signed by nodes {receipt.signers}")

    # The same record again is the same payment.
    assert alice.submit(settled.record) == settled
    # A bank's replica follows the chain, so its customer sees the money a moment later.
    deadline = time.monotonic() + 5
    while shop.balance() == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert shop.balance() == 1250

    try:
        alice.pay(shop.account, 10**12)
        raise SystemExit("a payment above the balance has settled")
    except Refused as refusal:
        assert refusal.final
        print(f"refused: {refusal}")
    try:
        shop.fund(1, request_id=os.urandom(16))
        raise SystemExit("money has come from an empty deposit")
    except Refused as refusal:
        assert shop.deposit() == 0 and refusal.reason == "DEPOSIT_TOO_SMALL"
    for entry in shop.statement():
        print(f"{entry.kind} +{entry.credits} -{entry.debits} = {entry.balance}")
