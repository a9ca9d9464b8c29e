"""A connection leads to the node whose key genesis names, or nowhere; with a server of this test's own."""

import datetime
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cbdc import BadProof, Network, contract
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"


def certificate(issuer_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])  # noqa: E731
    return (
        x509.CertificateBuilder()
        .subject_name(name("bank-1"))
        .issuer_name(name("a development network"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("node.example")]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture
def server() -> Iterator[tuple[str, bytes]]:
    """A server with a P-256 certificate: its address, and the hash of its public key's info."""
    key = ec.generate_private_key(ec.SECP256R1())
    shown = certificate(ec.generate_private_key(ec.SECP256R1()), key)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = grpc.ssl_server_credentials([(private, shown.public_bytes(serialization.Encoding.PEM))])
    answer = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")
    running = grpc.server(ThreadPoolExecutor(1))
    methods = {"GetStatus": answer}
    running.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(contract.WALLET_SERVICE, methods)])
    port = running.add_secure_port("127.0.0.1:0", credentials)
    running.start()
    info = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    yield f"127.0.0.1:{port}", hashlib.sha256(info).digest()
    running.stop(None).wait()


def genesis_with(node_key: bytes) -> bytes:
    networks = json.loads((VECTORS / "genesis.json").read_text())["networks"]
    item = next(item for item in networks if item["name"] == "a node key")
    key = next(member["node_key"] for member in item["members"] if member["node_key"])
    return bytes.fromhex(item["genesis"].replace(key, node_key.hex()))


def test_a_node_with_the_key_in_genesis_is_reached(server: tuple[str, bytes]) -> None:
    address, node_key = server
    with Network(genesis_with(node_key), {1: address}) as network:
        status = contract.WalletStub(network.channel(1)).GetStatus(contract.GetStatus(), timeout=5)
        assert status.bank == 1


def test_a_node_with_another_key_is_not(server: tuple[str, bytes]) -> None:
    address, node_key = server
    with Network(genesis_with(bytes([node_key[0] ^ 1]) + node_key[1:]), {1: address}) as network:
        with pytest.raises(BadProof):
            network.channel(1)
