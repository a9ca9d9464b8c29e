"""Known answers of `proto/vectors`, which the nodes' own code makes and checks. No network is needed."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from cbdc import (
    Account,
    BadProof,
    BadRecord,
    Genesis,
    Payment,
    ed25519,
    merkle,
    reasons,
    records,
    sign_payment,
    verify_receipt,
)
from cbdc.receipts import _LENGTHS, leaf, verify_parts
from cbdc.stream import answer_of, unpack

FOLDER = Path(__file__).resolve().parents[3] / "proto" / "vectors"


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def networks() -> dict[str, Genesis]:
    return {item["name"]: Genesis.parse(unhex(item["genesis"])) for item in load("genesis")["networks"]}


def test_account_numbers() -> None:
    vectors = load("accounts")
    assert vectors["accounts"] and vectors["refused"]
    for item in vectors["accounts"]:
        account = Account(item["bank"], item["serial"])
        assert (str(account), str(account.id)) == (item["account"], item["id"])
        assert account.id.to_bytes(8, "little") == unhex(item["bytes"])
        assert Account.parse(item["account"]) == Account.of_id(account.id) == account
    for item in vectors["also_read"]:
        assert str(Account.parse(item["text"])) == item["account"]
    for item in vectors["refused"]:
        with pytest.raises(BadRecord):
            Account.parse(item["text"])


def test_genesis() -> None:
    vectors = load("genesis")
    for item in vectors["networks"]:
        genesis = Genesis.parse(unhex(item["genesis"]))
        assert genesis.network_id == unhex(item["network_id"])
        assert (genesis.currency, genesis.currency_exponent) == (item["currency"], item["currency_exponent"])
        assert str(genesis.validity_ms_max) == item["validity_ms_max"]
        assert (genesis.header_signatures, genesis.threshold) == (item["header_signatures"], item["threshold"])
        assert len(genesis.members) == len(item["members"])
        for member, expected in zip(genesis.members, item["members"], strict=True):
            assert (member.role, member.id, member.name) == (expected["role"], expected["id"], expected["name"])
            assert member.signing_key == unhex(expected["signing_key"])
            assert member.node_key == (unhex(expected["node_key"]) if expected["node_key"] else None)
    for item in vectors["refused"]:
        with pytest.raises(BadRecord):
            Genesis.parse(unhex(item["genesis"]))


def encode(item: dict[str, Any]) -> bytes:
    """The record of a vector, from its fields."""
    fields, kind = item["fields"], item["kind"]
    sequence, until = int(fields["sequence"]), int(fields["valid_until_ms"])
    if kind in (records.TRANSFER, records.DEFUND, records.FUND):
        return Payment(
            Account.parse(fields["from"]), Account.parse(fields["to"]), int(fields["amount_minor"]), sequence, until,
            int(fields["max_fee_minor"]), unhex(fields["reference"]), fields["key_version"], kind,
            bool(fields["flags"]),
        ).encode()  # fmt: skip
    head = records.head(kind, sequence, until, fields["key_version"], fields["flags"])
    if kind == records.HOLD:
        return records.hold(
            head, Account.parse(fields["from"]), Account.parse(fields["to"]), int(fields["maximum_minor"]),
            int(fields["max_fee_minor"]), int(fields["expires_at_ms"]), unhex(fields["reference"]),
        )  # fmt: skip
    account = Account.parse(fields["account"])
    if kind == records.DESIGNATE_WALLET:
        return records.designate(head, account)
    assert kind in (records.LINK_BANK, records.MOVE_WALLET), f"a record of kind {kind} that this test cannot encode"
    if fields["bank"] == 0:
        return records.account_and_bank(head, account, 0)
    given = fields["consent"]
    consent = records.consent(given["bank_key_version"], int(given["valid_until_ms"]), unhex(given["signature"]))
    return records.account_and_bank(head, account, fields["bank"], consent)


def test_records_are_encoded_and_signed() -> None:
    vectors = load("records")
    network_id = unhex(vectors["network_id"])
    assert network_id == networks()["one node"].network_id
    for tag, expected in vectors["prefixes"].items():
        assert records.prefix(tag, network_id) == unhex(expected)
    for item in vectors["records"]:
        key = ed25519.private_key(unhex(item["signer_seed"]))
        record = encode(item)
        assert record.hex() == item["record"], item["name"]
        assert records.sign(key, network_id, record).hex() == item["signed"], item["name"]
        if item["kind"] <= records.FUND:
            signed = unhex(item["signed"])
            assert Payment.decode(signed).encode() == record
            assert sign_payment(key, network_id, Payment.decode(signed)) == signed


def test_statements_are_encoded_and_signed() -> None:
    vectors = load("records")
    network_id = unhex(vectors["network_id"])
    seen = set()
    for item in vectors["statements"]:
        fields, statement = item["fields"], unhex(item["statement"])
        if item["domain"] in ("CBDCcrt", "CBDCagr"):
            made = records.certified(
                fields["purpose"], fields["class"], fields["registrar_key_version"], Account.parse(fields["account"]),
                fields["version"], int(fields["valid_until_ms"]), unhex(fields["holder"]), unhex(fields["key"]),
            )  # fmt: skip
            assert made == statement, item["name"]
        elif item["domain"] == "CBDCses":
            made = records.session(
                fields["bank"], fields["key_version"], Account.parse(fields["account"]), int(fields["expires_at_ms"]),
                unhex(fields["challenge"]),
            )  # fmt: skip
            assert made == statement, item["name"]
        key = ed25519.private_key(unhex(item["signer_seed"]))
        assert records.sign(key, network_id, statement, item["domain"])[-64:].hex() == item["signature"]
        seen.add(item["domain"])
    assert seen == {"CBDCcmd", "CBDCcrt", "CBDCagr", "CBDCcns", "CBDCses", "CBDCchk"}


def test_no_payment_is_read_from_other_bytes() -> None:
    for item in load("records")["refused"]:
        with pytest.raises(BadRecord):
            Payment.decode(unhex(item["signed"]))


def test_every_kind_of_command_has_its_length() -> None:
    commands = load("records")["every_command"]
    for item in commands:
        assert _LENGTHS[item["kind"]] in (0, item["bytes"]), item["name"]
    assert {item["kind"] for item in commands} <= set(_LENGTHS)


def test_signatures() -> None:
    vectors = load("signatures")
    for item in vectors["signed"]:
        key = ed25519.private_key(unhex(item["seed"]))
        assert ed25519.public_key(key).hex() == item["key"]
        assert key.sign(unhex(item["message"])).hex() == item["signature"]
    for item in vectors["signed"] + vectors["valid_by_cofactor"]:
        assert ed25519.verify(unhex(item["key"]), unhex(item["message"]), unhex(item["signature"])), item
    for item in vectors["refused"]:
        assert not ed25519.verify(unhex(item["key"]), unhex(item["message"]), unhex(item["signature"])), item["why"]
    for item in vectors["keys_refused_for_wallets"]:
        assert not ed25519.is_fit_for_wallet(unhex(item["key"])), item
    assert ed25519.is_fit_for_wallet(unhex(vectors["signed"][0]["key"]))


def test_merkle_trees() -> None:
    vectors = load("merkle")
    assert (merkle.LEAF_KEY.hex(), merkle.NODE_KEY.hex()) == (vectors["leaf_key"], vectors["node_key"])
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(len(vectors["leaves"]))]
    assert [leaf.hex() for leaf in leaves] == vectors["leaves"]
    for tree in vectors["trees"]:
        for index, path in enumerate(tree["paths"]):
            found = merkle.root_from_path(leaves[index], index, tree["leaf_count"], [unhex(item) for item in path])
            assert found is not None and found.hex() == tree["root"], (tree["leaf_count"], index)
    for item in vectors["refused"]:
        path = [unhex(sibling) for sibling in item["path"]]
        found = merkle.root_from_path(unhex(item["leaf"]), item["index"], item["leaf_count"], path)
        assert found != unhex(item["root"]), item["why"]


def parts(item: dict[str, Any]) -> tuple[Any, ...]:
    signatures = [(signature["node"], unhex(signature["signature"])) for signature in item["signatures"]]
    path = [unhex(sibling) for sibling in item["path"]]
    return unhex(item["header"]), signatures, item["index"], unhex(item["command"]), unhex(item["outcome"]), path


def test_receipts_that_prove() -> None:
    vectors = load("receipts")
    for item in vectors["accepted"]:
        genesis = networks()[item["network"]]
        receipt = verify_receipt(genesis, unhex(item["message"]))
        assert receipt == verify_parts(genesis, *parts(item)), item["name"]
        assert leaf(item["index"], receipt.command, unhex(item["outcome"])).hex() == item["leaf"]
        assert (str(receipt.height), str(receipt.time_ms)) == (item["height"], item["time_ms"])
        assert receipt.policy_version == item["policy_version"]
        assert receipt.command_hash.hex() == item["command_hash"]
        assert (receipt.reason, receipt.settled) == (item["reason"], item["reason"] == "SETTLED")


def test_receipts_that_prove_nothing() -> None:
    vectors = load("receipts")
    assert len(vectors["refused"]) >= 18
    for item in vectors["refused"]:
        genesis = networks()[item["network"]]
        for check in (
            lambda: verify_receipt(genesis, unhex(item["message"])),
            lambda: verify_parts(genesis, *parts(item)),
        ):
            try:
                check()
            except BadProof:
                continue
            pytest.fail(f"a receipt was accepted: {item['why']}")


def test_a_receipt_with_any_byte_changed_proves_nothing() -> None:
    item = load("receipts")["accepted"][0]
    genesis, message = networks()[item["network"]], unhex(item["message"])
    for at in range(len(message)):
        changed = bytearray(message)
        changed[at] ^= 1
        with pytest.raises((BadProof, BadRecord)):
            verify_receipt(genesis, bytes(changed))


def test_answers_of_streams() -> None:
    vectors = load("streams")
    assert {item["code"]: item["name"] for item in vectors["reasons"]} == reasons._NAMES
    assert reasons.name(65_535) == "code 65535"
    names = ("height", "index", "state", "reason_code", "fee", "limit", "amount")
    expected = [[int(item[name]) for name in names] for item in vectors["answers"]]
    assert [list(astuple(answer)) for answer in unpack(unhex(vectors["packed"]))] == expected
    run = vectors["settled_run"]
    answer = answer_of(7, b"", (int(run["height"]), run["first_index"], run["count"]))
    assert [list(astuple(one)) for one in answer.answers()] == [
        [int(item[name]) for name in names] for item in run["answers"]
    ]
    assert answer.settled_whole
    for item in vectors["refused"]:
        found = item["settled_run"]
        run_fields = (int(found["height"]), found["first_index"], found["count"]) if found else None
        with pytest.raises(BadRecord):
            answer_of(1, unhex(item["outcomes"]), run_fields)
