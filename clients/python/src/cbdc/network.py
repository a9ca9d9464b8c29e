"""A network as a client sees it: genesis, which is trusted, and the banks' addresses, which need not be."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import contract, ed25519
from .accounts import Account
from .errors import BadProof, BadRecord
from .genesis import BANK, REGISTRAR, Genesis
from .receipts import VerifiedReceipt, verify_receipt
from .registrar import Registrar
from .tunnel import Tunnel, client_context

if TYPE_CHECKING:
    from .wallet import Wallet

#: How long a call waits for its answer, in seconds.
DEADLINE_S = 5.0


class Network:
    """Genesis and the addresses of banks, `host:port` by the bank's number."""

    def __init__(self, genesis: bytes, banks: Mapping[int, str], *, folder: Path | None = None) -> None:
        self.genesis = Genesis.parse(genesis)
        self.banks = dict(banks)
        self.folder = folder
        self._channels: dict[int, grpc.Channel] = {}
        self._tunnels: list[Tunnel] = []

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Network:
        """A network's folder as `cbdc up` makes it: `genesis.bin`, and each bank's `config.toml`."""
        path = Path(folder)
        banks = {}
        for config in path.glob("bank-*/config.toml"):
            settings = tomllib.loads(config.read_text())
            banks[int(settings["bank"])] = str(settings["listen"])
        return cls((path / "genesis.bin").read_bytes(), banks, folder=path)

    @property
    def network_id(self) -> bytes:
        return self.genesis.network_id

    def valid_until_ms(self) -> int:
        """A valid-until for what is signed now: as far ahead as genesis allows, less a minute for clocks, and at most
        an hour."""
        ahead = min(self.genesis.validity_ms_max - 60_000, 3_600_000)
        return int(time.time() * 1000) + max(ahead, 30_000)

    def verify_receipt(self, message: bytes) -> VerifiedReceipt:
        return verify_receipt(self.genesis, message)

    def channel(self, bank: int) -> grpc.Channel:
        """The connection to a bank, which has shown that it has the node key that genesis names."""
        if bank not in self._channels:
            if bank not in self.banks:
                raise BadRecord(f"expected an address of bank {bank}, found banks {sorted(self.banks)}")
            self._channels[bank] = self._connect(self.banks[bank], self.genesis.member(BANK, bank).node_key)
        return self._channels[bank]

    def _connect(self, address: str, node_key: bytes | None) -> grpc.Channel:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")

        def is_trusted(certificate: bytes) -> bool:
            return node_key is not None and node_key in _pins(x509.load_der_x509_certificate(certificate))

        shown = _certificate_at(host, int(port))
        if not is_trusted(shown):
            raise BadProof(f"{address} has not the key that genesis names; the network, or the bank's key, is another")
        certificate = x509.load_der_x509_certificate(shown)
        if isinstance(certificate.public_key(), Ed25519PublicKey):
            tunnel = Tunnel(host, int(port), is_trusted)
            self._tunnels.append(tunnel)
            return grpc.insecure_channel(tunnel.target, [*_OPTIONS, ("grpc.default_authority", "localhost")])
        # The certificate itself is the only root: whoever answers has the key in it, whatever its name and issuer.
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        name = (names.get_values_for_type(x509.DNSName) or ["localhost"])[0]
        credentials = grpc.ssl_channel_credentials(root_certificates=certificate.public_bytes(Encoding.PEM))
        return grpc.secure_channel(address, credentials, [*_OPTIONS, ("grpc.ssl_target_name_override", name)])

    def wallet(self, name: str) -> Wallet:
        """A wallet of the folder, by its name: `wallets/NAME.toml` and `wallets/NAME.key`, as `cbdc wallet` keeps
        them."""
        from .wallet import Wallet

        folder = self._folder() / "wallets"
        settings = tomllib.loads((folder / f"{name}.toml").read_text())
        if "account" not in settings:
            raise BadRecord(f"expected an open wallet {name}, found one without an account: cbdc wallet open {name}")
        return Wallet(self, read_key(folder / f"{name}.key"), Account.parse(settings["account"]))

    def registrar(self) -> Registrar:
        """The registrar's desk, if the folder has it, as a development network's does."""
        key = read_key(self._folder() / "registrar-1" / "signing.key")
        self.genesis.member(REGISTRAR, 1)
        return Registrar(self.network_id, 1, key)

    def open_wallet(
        self,
        bank: int,
        key: Ed25519PrivateKey,
        registrar: Registrar,
        holder: bytes | None = None,
        class_: str = "household",
    ) -> Wallet:
        """Opens a wallet with a key of the caller's, certified by the registrar. Safe to repeat with the same key."""
        from .wallet import Wallet

        return Wallet.open(self, bank, key, registrar.register(bank, holder or os.urandom(16), class_, key))

    def _folder(self) -> Path:
        if self.folder is None:
            raise BadRecord("expected a network's folder, found a network without one: use Network.open")
        return self.folder

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        for tunnel in self._tunnels:
            tunnel.close()
        self._tunnels.clear()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", contract.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", contract.MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
]


def read_key(path: Path) -> Ed25519PrivateKey:
    """A signing key's file: 64 hexadecimal digits, the seed of RFC 8032."""
    seed = bytes.fromhex(path.read_text().strip())
    if len(seed) != 32:
        raise BadRecord(f"expected 64 hexadecimal digits in {path}, found {2 * len(seed)}")
    return ed25519.private_key(seed)


def _certificate_at(host: str, port: int) -> bytes:
    """The certificate that a node shows, in DER."""
    with socket.create_connection((host, port), DEADLINE_S) as plain:
        with client_context().wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert(binary_form=True) or b""


def _pins(certificate: x509.Certificate) -> list[bytes]:
    """What genesis may hold for this certificate: the hash of the public key's info, or an Ed25519 key itself."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pins = [hashlib.sha256(info).digest()]
    if len(info) == 44 and info.startswith(bytes.fromhex("302a300506032b6570032100")):
        pins.append(info[-32:])
    return pins
