"""Streams signed payments in packed batches, and says how fast: `stream.py NETWORK [PAYMENTS]`, 50 unless given.

Wallets are opened and paid first, since at most 64 payments of a wallet may be in flight. Signing is part of what is
timed only with `--sign`: OpenSSL makes some 20,000 signatures a second on one core.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator

from cbdc import Account, Network, Payment, Wallet, ed25519, sign_payments

EACH = 50
BATCH_PAYMENTS = 1000


def batch_of(network: Network, payer: Account, key: ed25519.Ed25519PrivateKey, payee: Account) -> bytes:
    until = network.valid_until_ms()
    payments = (Payment(payer, payee, 1, number + 1, until) for number in range(EACH))
    return sign_payments(key, network.network_id, payments)


def main(folder: str, payments: int, signs: bool) -> None:
    with Network.open(folder) as network:
        alice, bob = network.wallet("alice"), network.wallet("bob")
        registrar, payers = network.registrar(), []
        for _ in range(-(-payments // EACH)):
            key = ed25519.private_key(os.urandom(32))
            payer = network.open_wallet(1, key, registrar)
            payers.append((payer.account, key))
        fund(alice, [payer for payer, _ in payers])

        def batches() -> Iterator[bytes]:
            signed = (batch_of(network, payer, key, bob.account) for payer, key in payers)
            waiting = b""
            for record in signed:
                waiting += record
                if len(waiting) >= BATCH_PAYMENTS * 136:
                    yield waiting
                    waiting = b""
            if waiting:
                yield waiting

        ready = batches() if signs else list(batches())
        stream, settled, began = alice.stream(), 0, time.monotonic()

        def send() -> None:
            for batch in ready:
                stream.send(batch)
            stream.done()

        sender = threading.Thread(target=send)
        sender.start()
        for answer in stream.answers():
            assert answer.settled_whole, next(one for one in answer.answers() if not one.settled)
            settled += answer.count
        sender.join()
        took = time.monotonic() - began
        assert settled == EACH * len(payers)
        print(f"settled {settled} payments in {took:.2f} s, {settled / took:,.0f} a second")


def fund(alice: Wallet, payers: list[Account]) -> None:
    for payer in payers:
        alice.pay(payer, EACH)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--sign"]
    main(arguments[0], int(arguments[1]) if len(arguments) > 1 else EACH, "--sign" in sys.argv)
