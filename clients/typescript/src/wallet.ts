import { toBinary } from "@bufbuild/protobuf";
import { createClient, ConnectError, type CallOptions, type Client, type Transport } from "@connectrpc/connect";
import { Account } from "./accounts.js";
import { equal, viewOf } from "./bytes.js";
import { errorInfo, leavesOpen, ReceiptSchema, WalletService, type Outcome, type PaymentEntry } from "./contract.js";
import { BadProof, NoAnswer, NotServed, Refused } from "./errors.js";
import type { Genesis } from "./genesis.js";
import type { SigningKey } from "./keys.js";
import { verifyReceipt, type VerifiedReceipt } from "./receipts.js";
import { decodePayment, encodePayment, encodeSession, Kind, signPayment, signRecord, type Payment } from "./records.js";
import type { Registration } from "./registrar.js";
import { Sequences } from "./sequences.js";

const DEADLINE_MS = 5000;
const RE_SIGNATURES_MAX = 16;
const SAY_USED = ["SEQUENCE_USED", "SEQUENCE_CONFLICT"];
/** The index of the ledger's own work, which is done at the beginning of its block. */
const OWN_WORK = 0xffff_ffff;

/** A payment that settled, at a place in the chain; `record` is what was signed. */
export interface Settled {
  readonly height: bigint;
  readonly index: number;
  readonly fee: bigint;
  readonly record: Uint8Array;
}

/** A wallet as its bank sees it, in minor units. */
export interface WalletState {
  readonly posted: bigint;
  readonly available: bigint;
  readonly held: bigint;
  readonly nextSequence: bigint;
  readonly keyVersion: number;
  readonly height: bigint;
}

export type Position = readonly [height: bigint, index: number];

/** A line of the wallet's statement: what one command, or the ledger's own work in a block, did to it. */
export interface Entry {
  readonly position: Position;
  readonly timeMs: bigint;
  readonly kind: string;
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  readonly reference: Uint8Array;
  readonly reason: string;
  readonly credits: bigint;
  readonly debits: bigint;
  readonly balance: bigint;
}

/** An open wallet. Keep one object: it counts sequence numbers and keeps the session with its bank. */
export class Wallet {
  private readonly client: Client<typeof WalletService>;
  /** Calls that come while it is opened wait for the same one. */
  private session: Promise<{ readonly token: string; readonly until: number }> | undefined;
  private readonly sequences = new Sequences(async () => (await this.state()).nextSequence);

  constructor(
    readonly genesis: Genesis,
    transport: Transport,
    private readonly key: SigningKey,
    readonly account: Account,
    private readonly keyVersion = 0,
  ) {
    this.client = createClient(WalletService, transport);
  }

  /** Opens a wallet for a registered key. Safe to repeat. */
  static async open(
    genesis: Genesis,
    transport: Transport,
    key: SigningKey,
    registration: Registration,
  ): Promise<Wallet> {
    const agreement = signRecord(key, genesis.networkId, registration.statement, "CBDCagr").slice(-64);
    const client = createClient(WalletService, transport);
    const answer = await ask(() =>
      client.openWallet(
        {
          holder: registration.holder,
          class: registration.className,
          publicKey: key.publicKey,
          registrar: registration.registrar,
          registrarKeyVersion: registration.registrarKeyVersion,
          registrarSignature: registration.signature,
          certificateValidUntilMs: registration.validUntilMs,
          agreement,
        },
        { timeoutMs: DEADLINE_MS },
      ),
    );
    if (answer.outcome !== undefined && !answer.outcome.settled) throw refusedByLedger(answer.outcome);
    return new Wallet(genesis, transport, key, Account.parse(answer.account));
  }

  /**
   * Pays, and resolves when the payment has settled; the reference is 16 random bytes unless given. It rejects with
   * `Refused` if it did not, and with `NoAnswer` if that is not known within the timeout: `submit` the error's record
   * again, whenever you like. A program that must survive its own crash signs with `sign`, saves the record, and then
   * submits it.
   */
  async pay(
    to: Account | string,
    amount: bigint,
    terms: { reference?: Uint8Array; maxFee?: bigint; timeoutMs?: number } = {},
  ): Promise<Settled> {
    for (let attempts = 0; ; attempts++) {
      const ahead = Math.floor(Math.random() * 2 ** Math.min(attempts, 5));
      const record = await this.signAhead(to, amount, terms, ahead);
      try {
        return await this.submit(record, terms.timeoutMs);
      } catch (error) {
        // Another program with this key was faster, and this record can never settle.
        const wasTaken = error instanceof Refused && error.reason === "SEQUENCE_CONFLICT";
        const isContested = this.sequences.isContested(decodePayment(record).sequence);
        if (!wasTaken || isContested || attempts === RE_SIGNATURES_MAX) throw error;
        await this.sequences.refresh();
      }
    }
  }

  /** A signed transfer with the next unused sequence number, not sent. */
  sign(
    to: Account | string,
    amount: bigint,
    terms: { reference?: Uint8Array; maxFee?: bigint } = {},
  ): Promise<Uint8Array> {
    return this.signAhead(to, amount, terms, 0);
  }

  private async signAhead(
    to: Account | string,
    amount: bigint,
    terms: { reference?: Uint8Array; maxFee?: bigint },
    ahead: number,
  ): Promise<Uint8Array> {
    const payment: Payment = {
      kind: Kind.Transfer,
      from: this.account,
      to: typeof to === "string" ? Account.parse(to) : to,
      amount,
      maxFee: terms.maxFee ?? 0n,
      // Of two programs with one key, each must sign a record of its own for its own purpose: the same bytes would
      // settle once and be answered twice.
      reference: terms.reference ?? crypto.getRandomValues(new Uint8Array(16)),
      sequence: 0n,
      keyVersion: this.keyVersion,
      validUntilMs: validUntilMs(this.genesis),
      topUp: false,
    };
    encodePayment(payment); // a record that cannot be made takes no number
    return signPayment(this.key, this.genesis.networkId, {
      ...payment,
      sequence: await this.sequences.take(ahead),
    });
  }

  /** Submits a signed payment, again and again until its outcome is known. Safe to repeat at any time. */
  async submit(record: Uint8Array, timeoutMs = 30_000): Promise<Settled> {
    const payment = decodePayment(record);
    const end = Date.now() + timeoutMs;
    for (let pauseMs = 50; ; pauseMs = Math.min(2 * pauseMs, 1000)) {
      try {
        const options = { timeoutMs: DEADLINE_MS };
        const { outcome } = await this.client.submitTransfer({ payment: messageOf(payment, record) }, options);
        if (outcome === undefined) throw new ConnectError("the bank's answer holds no outcome");
        if (!outcome.settled) throw refusedByLedger(outcome);
        this.settle(payment.sequence, undefined);
        return { height: outcome.height, index: outcome.index, fee: outcome.feeMinor, record };
      } catch (thrown) {
        const refusal = thrown instanceof Refused ? thrown : refusalOf(ConnectError.from(thrown));
        if (refusal !== undefined && isOfUsedNumber(refusal)) return this.ofUsedNumber(payment, record, refusal);
        if (refusal !== undefined) {
          this.settle(payment.sequence, refusal);
          throw refusal;
        }
        if (Date.now() + pauseMs > end) {
          throw new NoAnswer(`not known after ${timeoutMs} ms: ${ConnectError.from(thrown).message}`, record);
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** The number was used: by this record, or by another? The chain says. */
  private async ofUsedNumber(payment: Payment, record: Uint8Array, refusal: Refused): Promise<Settled> {
    let receipt: VerifiedReceipt;
    try {
      receipt = await this.receipt(payment.sequence);
    } catch (error) {
      if (!(error instanceof NotServed)) throw error;
      throw new NoAnswer(
        `sequence number ${payment.sequence} was used; by what is not known: ${error.message}`,
        record,
      );
    }
    this.settle(payment.sequence, equal(receipt.command, record) ? undefined : refusal);
    if (!equal(receipt.command, record)) {
      throw new Refused("SEQUENCE_CONFLICT", "another record has used the sequence number", { final: true });
    }
    const { height, index, fee } = receipt;
    if (!receipt.settled) {
      const why = "see docs/reference/reasons.md";
      throw new Refused(receipt.reason, why, { final: true, position: { height, index } });
    }
    return { height, index, fee, record };
  }

  /**
   * Moves money from the deposit to the wallet, once under a `requestId`: 16 random bytes that the caller keeps until
   * it has the answer. After `NoAnswer` call again with the same ones.
   */
  async fund(amount: bigint, requestId: Uint8Array, timeoutMs = 30_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    const request = { account: this.account.toString(), amountMinor: amount, requestId };
    for (let pauseMs = 50; ; pauseMs = Math.min(2 * pauseMs, 1000)) {
      try {
        const { outcome } = await this.inSession((options) => this.client.fund(request, options));
        if (outcome === undefined) throw new NotServed("", "the bank's answer holds no outcome");
        if (!outcome.settled) throw refusedByLedger(outcome);
        return;
      } catch (error) {
        if (!(error instanceof NotServed)) throw error;
        const refusal = error.cause instanceof ConnectError ? refusalOf(error.cause) : undefined;
        if (refusal !== undefined) throw refusal;
        if (Date.now() + pauseMs > end) throw new NoAnswer(`not known after ${timeoutMs} ms: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** The balance of the wallet's deposit at its bank, in minor units. */
  async deposit(): Promise<bigint> {
    const request = { account: this.account.toString() };
    return (await this.inSession((options) => this.client.getDeposit(request, options))).balanceMinor;
  }

  async state(): Promise<WalletState> {
    const wallet = { case: "account", value: this.account.toString() } as const;
    const found = await this.inSession((options) => this.client.getWallet({ wallet }, options));
    return {
      posted: found.postedMinor,
      available: found.availableMinor,
      held: found.heldMinor,
      nextSequence: found.nextSequence,
      keyVersion: found.keyVersion,
      height: found.height,
    };
  }

  /** What can be spent now, in minor units. */
  async balance(): Promise<bigint> {
    return (await this.state()).available;
  }

  /** The verified receipt of the command with a sequence number of this wallet. */
  async receipt(sequence: bigint): Promise<VerifiedReceipt> {
    const command = { case: "sequence", value: { account: this.account.toString(), sequence } } as const;
    const message = await this.inSession((options) => this.client.getReceipt({ command }, options));
    const receipt = verifyReceipt(this.genesis, toBinary(ReceiptSchema, message));
    // A topped-up transfer lies within its bank's command of kind 7.
    const start = receipt.command[1] === 7 ? 40 : 0;
    const view = viewOf(receipt.command);
    const [found, signer] = [view.getBigUint64(start + 8, true), view.getBigUint64(start + 24, true)];
    if (found !== sequence || signer !== this.account.id) {
      throw new BadProof(`expected sequence number ${sequence}, found a receipt of ${found} of account ${signer}`);
    }
    return receipt;
  }

  /** The receipt of the command at a place in the chain, verified, as bytes to keep: `verifyReceipt` reads them. */
  async receiptBytes(height: bigint, index: number): Promise<Uint8Array> {
    const command = { case: "position", value: { height, index } } as const;
    const message = await this.inSession((options) => this.client.getReceipt({ command }, options));
    const bytes = toBinary(ReceiptSchema, message);
    const found = verifyReceipt(this.genesis, bytes);
    if (found.height !== height || found.index !== index) {
      throw new BadProof(`expected the receipt of command ${height}:${index}, found ${found.height}:${found.index}`);
    }
    return bytes;
  }

  /** Everything that changed the wallet's balance, newest first. */
  async *statement(pageSize = 100): AsyncGenerator<Entry> {
    for (let pageToken = ""; ;) {
      const request = { account: this.account.toString(), pageSize, pageToken };
      const page = await this.inSession((options) => this.client.listPayments(request, options));
      yield* page.payments.map(entryOf);
      pageToken = page.nextPageToken;
      if (pageToken === "") return;
    }
  }

  /**
   * Each new line of the statement as it comes, oldest first, from behind a position or from now on. It never ends;
   * keep the last position to go on after a restart.
   */
  async *watch(after?: Position, intervalMs = 500): AsyncGenerator<Entry> {
    let last: Position = after ?? (await this.newest()) ?? [0n, -1];
    for (;;) {
      const fresh: Entry[] = [];
      for await (const entry of this.statement()) {
        if (!isAfter(entry.position, last)) break;
        fresh.unshift(entry);
      }
      for (const entry of fresh) {
        last = entry.position;
        yield entry;
      }
      if (fresh.length === 0) await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
  }

  private async newest(): Promise<Position | undefined> {
    for await (const entry of this.statement(1)) return entry.position;
    return undefined;
  }

  // Sessions

  private async inSession<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    for (let renewed = false; ; renewed = true) {
      const headers = { authorization: `Bearer ${await this.token()}` };
      try {
        return await call({ headers, timeoutMs: DEADLINE_MS });
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        const { reason } = errorInfo(error);
        if (renewed || (reason !== "NO_SESSION" && reason !== "SESSION_EXPIRED")) {
          throw new NotServed(reason, error.rawMessage, error);
        }
        this.session = undefined;
      }
    }
  }

  private async token(): Promise<string> {
    const opened = await this.session;
    if (opened !== undefined && Date.now() <= opened.until) return opened.token;
    const opening = this.openSession();
    this.session = opening;
    // A failed attempt is not kept for the next call.
    opening.catch(() => (this.session = this.session === opening ? undefined : this.session));
    return (await opening).token;
  }

  private async openSession(): Promise<{ token: string; until: number }> {
    const begun = Date.now();
    const options = { timeoutMs: DEADLINE_MS };
    const given = await ask(() => this.client.beginSession({}, options));
    // The intended bank's number, whoever gave the challenge.
    const { account, keyVersion } = this;
    const { challenge, expiresAtMs } = given;
    const session = encodeSession({ bank: account.bank, keyVersion, account, expiresAtMs, challenge });
    const statement = signRecord(this.key, this.genesis.networkId, session, "CBDCses");
    const { token, expiresInMs } = await ask(() => this.client.openSession({ statement }, options));
    return { token, until: begun + Math.min(Number(expiresInMs) * 0.9, 3_600_000) };
  }

  /** Marks a number as used, or gives it back, as the status of its payment says. */
  private settle(sequence: bigint, refusal: Refused | undefined): void {
    const isUsed = refusal === undefined || refusal.details.position !== undefined || SAY_USED.includes(refusal.reason);
    if (isUsed) this.sequences.markUsed(sequence);
    else this.sequences.giveBack(sequence, !refusal.details.final);
  }
}

/** A valid-until for what is signed now: an hour ahead, or less where genesis allows less. */
export function validUntilMs(genesis: Genesis): bigint {
  const ahead = Math.min(Number(genesis.validityMsMax) - 60_000, 3_600_000);
  return BigInt(Date.now() + Math.max(ahead, 30_000));
}

function isAfter([height, index]: Position, [lastHeight, lastIndex]: Position): boolean {
  return height > lastHeight || (height === lastHeight && index > lastIndex);
}

function isOfUsedNumber({ reason, details }: Refused): boolean {
  if (details.position !== undefined) return false;
  // A final conflict is another record for sure.
  return reason === "SEQUENCE_USED" || (reason === "SEQUENCE_CONFLICT" && !details.final);
}

function messageOf(payment: Payment, record: Uint8Array) {
  return {
    kind: payment.kind,
    from: payment.from.toString(),
    to: payment.to.toString(),
    amountMinor: payment.amount,
    maxFeeMinor: payment.maxFee,
    sequence: payment.sequence,
    keyVersion: payment.keyVersion,
    validUntilMs: payment.validUntilMs,
    reference: payment.reference,
    signature: record.subarray(72),
    topUp: payment.topUp,
  };
}

function entryOf(line: PaymentEntry): Entry {
  const sum = (amounts: bigint[]) => amounts.reduce((total, amount) => total + amount, 0n);
  return {
    position: [line.height, line.index === OWN_WORK ? -1 : line.index],
    timeMs: line.timeMs,
    kind: line.kind,
    from: line.from,
    to: line.to,
    amount: line.amountMinor,
    reference: line.reference,
    reason: line.reason,
    credits: sum(line.changes.map((change) => change.creditMinor)),
    debits: sum(line.changes.map((change) => change.debitMinor)),
    balance: line.balanceMinor,
  };
}

function refusedByLedger(outcome: Outcome): Refused {
  const { limit, amount, laterMayHelp, height, index } = outcome;
  return new Refused(outcome.reason, outcome.message, {
    final: true,
    limit,
    amount,
    laterMayHelp,
    position: { height, index },
  });
}

/** The refusal that a status states; `undefined` if a copy may have been ordered. */
function refusalOf(error: ConnectError): Refused | undefined {
  const { reason, metadata } = errorInfo(error);
  if (["NOT_LEADER", "UNAVAILABLE", "CLOCK_JUMP", "LOST_BLOCKS"].includes(reason)) return undefined;
  const final = metadata.get("final") === "true";
  const until = metadata.get("may_settle_until_ms");
  if (!final && until === undefined && (leavesOpen(error.code) || reason === "")) return undefined;
  return new Refused(reason, error.rawMessage, {
    final,
    limit: BigInt(metadata.get("limit") ?? 0),
    amount: BigInt(metadata.get("amount") ?? 0),
    laterMayHelp: metadata.get("later_may_help") === "true",
    maySettleUntilMs: until === undefined ? undefined : BigInt(until),
  });
}

async function ask<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    throw new NotServed(errorInfo(error).reason, error.rawMessage, error);
  }
}
