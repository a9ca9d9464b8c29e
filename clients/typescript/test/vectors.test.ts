/** Known answers of proto/vectors, which the nodes' own code makes and checks. No network is needed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  Account,
  BadProof,
  BadRecord,
  decodePayment,
  encodePayment,
  Genesis,
  isFitForWallet,
  keyFromSeed,
  leafHash,
  prefix,
  readAnswer,
  reasonName,
  rootFromPath,
  signPayment,
  signRecord,
  unpackAnswers,
  verifyParts,
  verifyReceipt,
  verifySignature,
  type Payment,
  type VerifiedReceipt,
} from "../src/index.js";
import { fromHex, toHex } from "../src/bytes.js";
import { nodeKeyFromSeed } from "../src/node.js";
import { COMMAND_LENGTHS, leafOf } from "../src/receipts.js";
import {
  encodeAccountAndBank,
  encodeCertified,
  encodeConsent,
  encodeDesignation,
  encodeHead,
  encodeHold,
  encodeSession,
  Kind,
} from "../src/records.js";

// A vector is read as it is; a field that is missing fails the test that reads it.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Vector = any;

function load(name: string): Vector {
  const path = new URL(`../../../../proto/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8"));
}

function networks(): Map<string, Genesis> {
  const found: Vector[] = load("genesis").networks;
  return new Map(found.map((item) => [item.name, Genesis.parse(fromHex(item.genesis))]));
}

test("account numbers", () => {
  const vectors = load("accounts");
  for (const item of vectors.accounts) {
    const account = new Account(item.bank, item.serial);
    assert.equal(account.toString(), item.account);
    assert.equal(account.id.toString(), item.id);
    assert.deepEqual(Account.parse(item.account), account);
    assert.deepEqual(Account.ofId(account.id), account);
  }
  for (const item of vectors.also_read) assert.equal(Account.parse(item.text).toString(), item.account);
  for (const item of vectors.refused) assert.throws(() => Account.parse(item.text), BadRecord, item.why);
});

test("genesis", () => {
  const vectors = load("genesis");
  for (const item of vectors.networks) {
    const genesis = Genesis.parse(fromHex(item.genesis));
    assert.equal(toHex(genesis.networkId), item.network_id);
    assert.equal(genesis.currency, item.currency);
    assert.equal(genesis.validityMsMax.toString(), item.validity_ms_max);
    assert.equal(genesis.headerSignatures, item.header_signatures);
    const members = genesis.members.map((member) => ({
      role: member.role,
      id: member.id,
      name: member.name,
      signing_key: toHex(member.signingKey),
      node_key: member.nodeKey === undefined ? null : toHex(member.nodeKey),
    }));
    assert.deepEqual(
      members,
      item.members.map(({ role_name: _, ...member }: Vector) => member),
    );
  }
  for (const item of vectors.refused) assert.throws(() => Genesis.parse(fromHex(item.genesis)), BadRecord, item.why);
});

function encode({ kind, fields }: Vector): Uint8Array {
  const [sequence, validUntilMs] = [BigInt(fields.sequence), BigInt(fields.valid_until_ms)];
  if (kind <= Kind.Fund) {
    const payment: Payment = {
      kind,
      from: Account.parse(fields.from),
      to: Account.parse(fields.to),
      amount: BigInt(fields.amount_minor),
      maxFee: BigInt(fields.max_fee_minor),
      reference: fromHex(fields.reference),
      sequence,
      keyVersion: fields.key_version,
      validUntilMs,
      topUp: fields.flags === 1,
    };
    return encodePayment(payment);
  }
  const head = encodeHead(kind, fields.flags, fields.key_version, sequence, validUntilMs);
  if (kind === Kind.Hold) {
    return encodeHold(head, {
      from: Account.parse(fields.from),
      to: Account.parse(fields.to),
      maximum: BigInt(fields.maximum_minor),
      maxFee: BigInt(fields.max_fee_minor),
      expiresAtMs: BigInt(fields.expires_at_ms),
      reference: fromHex(fields.reference),
    });
  }
  const account = Account.parse(fields.account);
  if (kind === Kind.DesignateWallet) return encodeDesignation(head, account);
  assert.ok(kind === Kind.LinkBank || kind === Kind.MoveWallet, `kind ${kind}, which this test cannot encode`);
  if (fields.bank === 0) return encodeAccountAndBank(head, account, 0);
  const { bank_key_version, valid_until_ms, signature } = fields.consent;
  const consent = encodeConsent(bank_key_version, BigInt(valid_until_ms), fromHex(signature));
  return encodeAccountAndBank(head, account, fields.bank, consent);
}

test("records are encoded and signed", () => {
  const vectors = load("records");
  const networkId = fromHex(vectors.network_id);
  for (const [tag, expected] of Object.entries(vectors.prefixes)) assert.equal(toHex(prefix(tag, networkId)), expected);
  for (const item of vectors.records) {
    const record = encode(item);
    assert.equal(toHex(record), item.record, item.name);
    for (const key of [keyFromSeed(fromHex(item.signer_seed)), nodeKeyFromSeed(fromHex(item.signer_seed))]) {
      assert.equal(toHex(signRecord(key, networkId, record)), item.signed, item.name);
      if (item.kind > Kind.Fund) continue;
      assert.equal(toHex(signPayment(key, networkId, decodePayment(fromHex(item.signed)))), item.signed);
    }
  }
  for (const item of vectors.refused) assert.throws(() => decodePayment(fromHex(item.signed)), BadRecord, item.why);
  for (const item of vectors.every_command) {
    assert.ok([0, item.bytes].includes(COMMAND_LENGTHS.get(item.kind)), item.name);
  }
});

test("statements are encoded and signed", () => {
  const vectors = load("records");
  for (const { name, domain, fields, signer_seed, statement, signature } of vectors.statements) {
    if (domain === "CBDCcrt" || domain === "CBDCagr") {
      const made = encodeCertified({
        purpose: fields.purpose,
        class: fields.class,
        registrarKeyVersion: fields.registrar_key_version,
        account: Account.parse(fields.account),
        version: fields.version,
        validUntilMs: BigInt(fields.valid_until_ms),
        holder: fromHex(fields.holder),
        key: fromHex(fields.key),
      });
      assert.equal(toHex(made), statement, name);
    } else if (domain === "CBDCses") {
      const made = encodeSession({
        bank: fields.bank,
        keyVersion: fields.key_version,
        account: Account.parse(fields.account),
        expiresAtMs: BigInt(fields.expires_at_ms),
        challenge: fromHex(fields.challenge),
      });
      assert.equal(toHex(made), statement, name);
    }
    const key = keyFromSeed(fromHex(signer_seed));
    const signed = signRecord(key, fromHex(vectors.network_id), fromHex(statement), domain);
    assert.equal(toHex(signed.slice(-64)), signature, name);
  }
});

test("signatures", () => {
  const vectors = load("signatures");
  const verdict = (item: Vector) => verifySignature(fromHex(item.key), fromHex(item.message), fromHex(item.signature));
  for (const item of vectors.signed) {
    assert.equal(toHex(keyFromSeed(fromHex(item.seed)).publicKey), item.key);
    assert.equal(toHex(nodeKeyFromSeed(fromHex(item.seed)).publicKey), item.key);
  }
  for (const item of [...vectors.signed, ...vectors.valid_by_cofactor]) assert.ok(verdict(item), JSON.stringify(item));
  for (const item of vectors.refused) assert.ok(!verdict(item), item.why);
  for (const item of vectors.keys_refused_for_wallets) assert.ok(!isFitForWallet(fromHex(item.key)), item.why);
  assert.ok(isFitForWallet(fromHex(vectors.signed[0].key)));
});

test("Merkle trees", () => {
  const vectors = load("merkle");
  const leaves = vectors.leaves.map((_: unknown, number: number) => leafHash(Uint8Array.of(number)));
  assert.deepEqual(leaves.map(toHex), vectors.leaves);
  for (const { leaf_count, root, paths } of vectors.trees) {
    paths.forEach((path: string[], index: number) => {
      const found = rootFromPath(leaves[index], index, leaf_count, path.map(fromHex));
      assert.equal(found && toHex(found), root, `leaf ${index} of ${leaf_count}`);
    });
  }
  for (const item of vectors.refused) {
    const found = rootFromPath(fromHex(item.leaf), item.index, item.leaf_count, item.path.map(fromHex));
    assert.notEqual(found && toHex(found), item.root, item.why);
  }
});

/** Both ways to verify a receipt: as a message, and by its parts. */
function checks(item: Vector): (() => VerifiedReceipt)[] {
  const genesis = networks().get(item.network)!;
  const signatures = item.signatures.map(({ node, signature }: Vector) => ({ node, signature: fromHex(signature) }));
  const [header, command, outcome] = [item.header, item.command, item.outcome].map(fromHex) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const parts = { header, signatures, index: item.index, command, outcome, path: item.path.map(fromHex) };
  return [() => verifyReceipt(genesis, fromHex(item.message)), () => verifyParts(genesis, parts)];
}

test("receipts that prove", () => {
  for (const item of load("receipts").accepted) {
    for (const receipt of checks(item).map((verify) => verify())) {
      assert.equal(receipt.height.toString(), item.height, item.name);
      assert.equal(receipt.timeMs.toString(), item.time_ms);
      assert.equal(receipt.policyVersion, item.policy_version);
      assert.equal(toHex(receipt.commandHash), item.command_hash);
      assert.equal(toHex(leafOf(item.index, receipt.command, fromHex(item.outcome))), item.leaf);
      assert.deepEqual([receipt.reason, receipt.settled], [item.reason, item.reason === "SETTLED"]);
    }
  }
});

test("receipts that prove nothing", () => {
  const { refused } = load("receipts");
  assert.ok(refused.length >= 18);
  for (const item of refused) for (const verify of checks(item)) assert.throws(verify, BadProof, item.why);
});

test("a receipt with any byte changed proves nothing else", () => {
  const item = load("receipts").accepted[0];
  const [genesis, message] = [networks().get(item.network)!, fromHex(item.message)];
  const proved = verifyReceipt(genesis, message);
  let refused = 0;
  message.forEach((_, at) => {
    const changed = message.slice();
    changed[at]! ^= 1;
    try {
      // The reader of messages takes another wire type of a field for its own.
      assert.deepEqual(verifyReceipt(genesis, changed), proved, `byte ${at}`);
    } catch (error) {
      if (!(error instanceof BadProof || error instanceof BadRecord)) throw error;
      refused++;
    }
  });
  assert.ok(refused > message.length - 16, `${refused} of ${message.length}`);
});

test("answers of streams", () => {
  const vectors = load("streams");
  for (const { code, name } of vectors.reasons) assert.equal(reasonName(code), name);
  const expected = (item: Vector) => ({
    height: BigInt(item.height),
    index: item.index,
    state: item.state,
    reasonCode: item.reason_code,
    fee: BigInt(item.fee),
    limit: BigInt(item.limit),
    amount: BigInt(item.amount),
  });
  assert.deepEqual(unpackAnswers(fromHex(vectors.packed)), vectors.answers.map(expected));
  const runOf = (run: Vector) => ({ height: BigInt(run.height), firstIndex: run.first_index, count: run.count });
  const answer = readAnswer(7n, new Uint8Array(), runOf(vectors.settled_run));
  assert.deepEqual(answer.answers(), vectors.settled_run.answers.map(expected));
  for (const item of vectors.refused) {
    const run = item.settled_run === null ? undefined : runOf(item.settled_run);
    assert.throws(() => readAnswer(1n, fromHex(item.outcomes), run), BadRecord, item.why);
  }
});
