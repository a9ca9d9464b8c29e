/** Signed records: fixed layouts, little-endian, signed behind a prefix that names purpose and network. */
import { Account } from "./accounts.js";
import { Writer, concat, viewOf } from "./bytes.js";
import { BadRecord } from "./errors.js";
import type { SigningKey } from "./keys.js";

export const Kind = {
  Transfer: 1,
  Defund: 2,
  Fund: 3,
  Hold: 4,
  DesignateWallet: 20,
  LinkBank: 24,
  MoveWallet: 25,
} as const;
export const SIGNED_PAYMENT_BYTES = 136;
const FLAG_TOP_UP = 1;

export interface Payment {
  readonly kind: number;
  readonly from: Account;
  readonly to: Account;
  readonly amount: bigint;
  readonly maxFee: bigint;
  readonly reference: Uint8Array;
  readonly sequence: bigint;
  readonly keyVersion: number;
  readonly validUntilMs: bigint;
  readonly topUp: boolean;
}

/** The 40 bytes that precede what is signed: version 1, the domain tag such as `CBDCcmd`, the network's id. */
export function prefix(tag: string, networkId: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(1), new TextEncoder().encode(tag), networkId);
}

/** The record and its signature, 64 bytes. */
export function signRecord(key: SigningKey, networkId: Uint8Array, record: Uint8Array, tag = "CBDCcmd"): Uint8Array {
  return concat(record, key.sign(concat(prefix(tag, networkId), record)));
}

export function encodePayment(payment: Payment): Uint8Array {
  const out = new Uint8Array(72);
  if (payment.reference.length > 16) {
    throw new BadRecord(`expected a reference of at most 16 bytes, found ${payment.reference.length}`);
  }
  const fields = [payment.sequence, payment.validUntilMs, payment.amount, payment.maxFee];
  if (fields.some((field) => BigInt.asUintN(64, field) !== field)) {
    throw new BadRecord("expected amounts and numbers of 64 bits, not below 0");
  }
  const view = viewOf(out);
  view.setUint8(0, 1);
  view.setUint8(1, payment.kind);
  view.setUint16(2, payment.topUp ? FLAG_TOP_UP : 0, true);
  view.setUint32(4, payment.keyVersion, true);
  view.setBigUint64(8, payment.sequence, true);
  view.setBigUint64(16, payment.validUntilMs, true);
  view.setBigUint64(24, payment.from.id, true);
  view.setBigUint64(32, payment.to.id, true);
  view.setBigUint64(40, payment.amount, true);
  view.setBigUint64(48, payment.maxFee, true);
  out.set(payment.reference, 56);
  return out;
}

/** Reads a payment, with its signature or without. */
export function decodePayment(record: Uint8Array): Payment {
  if (record.length !== 72 && record.length !== SIGNED_PAYMENT_BYTES) {
    throw new BadRecord(`expected a payment of 72 or 136 bytes, found ${record.length}`);
  }
  const view = viewOf(record);
  const [version, kind, flags] = [view.getUint8(0), view.getUint8(1), view.getUint16(2, true)];
  if (version !== 1 || kind < Kind.Transfer || kind > Kind.Fund || flags > (kind === Kind.Transfer ? FLAG_TOP_UP : 0)) {
    throw new BadRecord(`expected a payment of version 1, found version ${version}, kind ${kind}, flags ${flags}`);
  }
  const long = (at: number) => view.getBigUint64(at, true);
  return {
    kind,
    from: Account.ofId(long(24)),
    to: Account.ofId(long(32)),
    amount: long(40),
    maxFee: long(48),
    reference: record.slice(56, 72),
    sequence: long(8),
    keyVersion: view.getUint32(4, true),
    validUntilMs: long(16),
    topUp: flags === FLAG_TOP_UP,
  };
}

export function signPayment(key: SigningKey, networkId: Uint8Array, payment: Payment): Uint8Array {
  return signRecord(key, networkId, encodePayment(payment));
}

/** Signed payments back to back, as a stream carries them. */
export function signPayments(key: SigningKey, networkId: Uint8Array, payments: Iterable<Payment>): Uint8Array {
  return concat(...Array.from(payments, (payment) => signPayment(key, networkId, payment)));
}

export function encodeHead(
  kind: number,
  flags: number,
  keyVersion: number,
  sequence: bigint,
  validUntilMs: bigint,
): Uint8Array {
  return new Writer().u8(1).u8(kind).u16(flags).u32(keyVersion).u64(sequence).u64(validUntilMs).bytes();
}

export function encodeHold(
  head: Uint8Array,
  hold: { from: Account; to: Account; maximum: bigint; maxFee: bigint; expiresAtMs: bigint; reference: Uint8Array },
): Uint8Array {
  const out = new Writer().raw(head, 24).u64(hold.from.id).u64(hold.to.id).u64(hold.maximum).u64(hold.maxFee);
  return out.u64(hold.expiresAtMs).raw(hold.reference, 16).bytes();
}

/** A bank's consent as a holder's record carries it. */
export function encodeConsent(bankKeyVersion: number, validUntilMs: bigint, signature: Uint8Array): Uint8Array {
  return new Writer().u32(bankKeyVersion).reserved(4).u64(validUntilMs).raw(signature, 64).bytes();
}

/** Link-bank (bank 0 revokes) and move-wallet. */
export function encodeAccountAndBank(
  head: Uint8Array,
  account: Account,
  bank: number,
  consent: Uint8Array = new Uint8Array(80),
): Uint8Array {
  return new Writer().raw(head, 24).u64(account.id).u16(bank).reserved(6).raw(consent, 80).bytes();
}

export function encodeDesignation(head: Uint8Array, account: Account): Uint8Array {
  return new Writer().raw(head, 24).u64(account.id).bytes();
}

/** What a registrar certifies and the holder agrees to: purpose 1 opens a wallet, 2 replaces a key. */
export function encodeCertified(certified: {
  purpose: number;
  class: number;
  registrarKeyVersion: number;
  account: Account;
  version: number;
  validUntilMs: bigint;
  holder: Uint8Array;
  key: Uint8Array;
}): Uint8Array {
  const out = new Writer()
    .u8(2)
    .u8(certified.purpose)
    .u8(certified.class)
    .reserved(1)
    .u32(certified.registrarKeyVersion);
  out.u64(certified.account.id).u32(certified.version).reserved(4).u64(certified.validUntilMs);
  return out.raw(certified.holder, 16).raw(certified.key, 32).bytes();
}

/** The statement that opens a session with a bank. */
export function encodeSession(session: {
  bank: number;
  keyVersion: number;
  account: Account;
  expiresAtMs: bigint;
  challenge: Uint8Array;
}): Uint8Array {
  const out = new Writer().u8(1).reserved(1).u16(session.bank).u32(session.keyVersion).u64(session.account.id);
  return out.u64(session.expiresAtMs).raw(session.challenge, 32).bytes();
}
