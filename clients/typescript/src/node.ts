/** What needs Node: a network's folder, TLS pinned to the keys in genesis, OpenSSL's signatures, streams. */
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as tls from "node:tls";
import { createClient, ConnectError, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Account } from "./accounts.js";
import { readAnswer, type BatchAnswer } from "./answers.js";
import { equal, fromHex } from "./bytes.js";
import { BATCH_COMMANDS_MAX, MESSAGE_BYTES_MAX, WalletService, type CommandBatch } from "./contract.js";
import { BadProof, BadRecord, NoAnswer } from "./errors.js";
import { Genesis, Role } from "./genesis.js";
import type { SigningKey } from "./keys.js";
import { SIGNED_PAYMENT_BYTES } from "./records.js";
import { Registrar } from "./registrar.js";
import { Wallet } from "./wallet.js";

const PKCS8_HEAD = fromHex("302e020100300506032b657004220420");
const SPKI_HEAD = fromHex("302a300506032b6570032100");
const CONNECT_MS = 5000;

/** The key with a seed of 32 bytes, signing by OpenSSL: some twenty times as fast as `keyFromSeed`. */
export function nodeKeyFromSeed(seed: Uint8Array): SigningKey {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  const info = createPublicKey(key).export({ format: "der", type: "spki" });
  return { publicKey: new Uint8Array(info.subarray(-32)), sign: (message) => sign(null, message, key) };
}

/** A network: genesis, which is trusted, and the banks' addresses, which need not be. */
export class Network {
  private readonly transports = new Map<number, Promise<Transport>>();

  constructor(
    readonly genesis: Genesis,
    /** `host:port` by the bank's number. */
    readonly banks: ReadonlyMap<number, string>,
    private readonly folder?: string,
  ) {}

  /** A network's folder as `cbdc up` makes it: `genesis.bin`, and each bank's `config.toml`. */
  static open(folder: string): Network {
    const banks = new Map<number, string>();
    for (const name of readdirSync(folder).filter((name) => /^bank-[0-9]+$/.test(name))) {
      const settings = settingsIn(join(folder, name, "config.toml"));
      banks.set(Number(settings.get("bank")), settings.get("listen") ?? "");
    }
    return new Network(Genesis.parse(readFileSync(join(folder, "genesis.bin"))), banks, folder);
  }

  /** The connection to a bank, which has shown that it has the node key that genesis names. */
  transport(bank: number): Promise<Transport> {
    let transport = this.transports.get(bank);
    if (transport === undefined) {
      transport = this.connect(bank);
      this.transports.set(bank, transport);
      transport.catch(() => this.transports.delete(bank));
    }
    return transport;
  }

  private async connect(bank: number): Promise<Transport> {
    const address = this.banks.get(bank);
    if (address === undefined) throw new BadRecord(`expected an address of bank ${bank}, found none`);
    const { nodeKey } = this.genesis.member(Role.Bank, bank);
    const shown = await certificateAt(address);
    if (nodeKey === undefined || !pinsOf(shown).some((pin) => equal(pin, nodeKey))) {
      throw new BadProof(`${address} has not the key that genesis names; the network, or the bank's key, is another`);
    }
    const isSame = (raw: Buffer) => pinsOf(new X509Certificate(raw)).some((pin) => equal(pin, nodeKey));
    return createGrpcTransport({
      baseUrl: `https://${address}`,
      readMaxBytes: MESSAGE_BYTES_MAX,
      writeMaxBytes: MESSAGE_BYTES_MAX,
      // The certificate itself is the only root, and its key is compared again on every connection.
      nodeOptions: {
        ca: shown.toString(),
        allowPartialTrustChain: true,
        servername: "localhost",
        checkServerIdentity: (_: string, { raw }: { raw: Buffer }) =>
          isSame(raw) ? undefined : new BadProof(`${address} shows another key`),
      } as object,
    });
  }

  /** A wallet of the folder, by its name, as `cbdc wallet` keeps them. */
  async wallet(name: string): Promise<Wallet> {
    const account = settingsIn(this.path("wallets", `${name}.toml`)).get("account");
    if (account === undefined) throw new BadRecord(`expected an open wallet ${name}: cbdc wallet open ${name}`);
    return this.walletOf(Account.parse(account), keyIn(this.path("wallets", `${name}.key`)));
  }

  async walletOf(account: Account, key: SigningKey): Promise<Wallet> {
    return new Wallet(this.genesis, await this.transport(account.bank), key, account);
  }

  /** The registrar's desk, if the folder has it, as a development network's does. */
  registrar(): Registrar {
    return new Registrar(this.genesis.networkId, 1, keyIn(this.path("registrar-1", "signing.key")));
  }

  /** Opens a wallet with a key of the caller's. Safe to repeat with the same key. */
  async openWallet(
    bank: number,
    key: SigningKey,
    registrar: Registrar,
    options: { holder?: Uint8Array; className?: string } = {},
  ): Promise<Wallet> {
    const holder = options.holder ?? randomBytes(16);
    const registration = registrar.register(bank, holder, options.className ?? "household", key.publicKey);
    return Wallet.open(this.genesis, await this.transport(bank), key, registration);
  }

  private path(...parts: string[]): string {
    if (this.folder === undefined) throw new BadRecord("expected a network's folder: use Network.open");
    return join(this.folder, ...parts);
  }
}

/**
 * Sends batches of signed payments, 136 bytes each and at most 8,192 of them, and yields the answers as they come, in
 * any order. Batches are numbered 1n, 2n, 3n and so on as they are taken. If the stream breaks it throws `NoAnswer`:
 * send what was not answered again, which is safe.
 */
export async function* streamPayments(
  transport: Transport,
  batches: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  inFlightMax = 32,
): AsyncGenerator<BatchAnswer> {
  const unanswered = new Map<bigint, number>();
  let wake = () => {};
  async function* outgoing(): AsyncGenerator<Pick<CommandBatch, "batchId" | "commands" | "takesRuns">> {
    let batchId = 0n;
    for await (const commands of batches) {
      const count = commands.length / SIGNED_PAYMENT_BYTES;
      if (!Number.isInteger(count) || count < 1 || count > BATCH_COMMANDS_MAX) {
        throw new BadRecord(`expected 1 to 8,192 payments of 136 bytes, found ${commands.length} bytes`);
      }
      while (unanswered.size >= inFlightMax) await new Promise<void>((resolve) => (wake = resolve));
      unanswered.set(++batchId, count);
      yield { batchId, commands, takesRuns: true };
    }
  }
  try {
    const client = createClient(WalletService, transport);
    for await (const { batchId, outcomes, settledRun } of client.submitTransfers(outgoing())) {
      const answer = readAnswer(batchId, outcomes, settledRun);
      if (unanswered.get(batchId) !== answer.count) {
        throw new BadRecord(`expected ${unanswered.get(batchId)} answers to batch ${batchId}, found ${answer.count}`);
      }
      unanswered.delete(batchId);
      wake();
      yield answer;
    }
  } catch (error) {
    if (error instanceof BadRecord) throw error;
    const why = ConnectError.from(error).message;
    throw new NoAnswer(`the stream broke with ${unanswered.size} batches unanswered: ${why}`);
  }
  if (unanswered.size > 0) throw new NoAnswer(`the bank ended the stream with ${unanswered.size} batches unanswered`);
}

/** The top-level keys of a TOML file that have a plain number or text. */
function settingsIn(path: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.startsWith("[")) break;
    const parts = /^([a-z_]+) *= *(?:"([^"\\]*)"|([0-9]+)) *(?:#.*)?$/.exec(line);
    if (parts !== null) settings.set(parts[1]!, parts[2] ?? parts[3]!);
  }
  return settings;
}

/** A signing key's file: 64 hexadecimal digits, the seed of RFC 8032. */
function keyIn(path: string): SigningKey {
  const seed = fromHex(readFileSync(path, "utf8").trim());
  if (seed.length !== 32) throw new BadRecord(`expected 64 hexadecimal digits in ${path}`);
  return nodeKeyFromSeed(seed);
}

/** The certificate that a node shows. It proves nothing yet; the caller compares its key with genesis. */
function certificateAt(address: string): Promise<X509Certificate> {
  const [host, port] = [address.slice(0, address.lastIndexOf(":")), address.slice(address.lastIndexOf(":") + 1)];
  const options = { host: host.replace(/[[\]]/g, ""), port: Number(port), rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ ...options, servername: "localhost", ALPNProtocols: ["h2"] }, () => {
      const { raw } = socket.getPeerCertificate();
      socket.end();
      resolve(new X509Certificate(raw));
    });
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`no answer from ${address} within ${CONNECT_MS} ms`)));
    socket.on("error", reject);
  });
}

/** What genesis may hold for a certificate: the hash of the public key's info, or an Ed25519 key itself. */
function pinsOf(certificate: X509Certificate): Uint8Array[] {
  const info = certificate.publicKey.export({ format: "der", type: "spki" });
  const hash = createHash("sha256").update(info).digest();
  return equal(info.subarray(0, 12), SPKI_HEAD) ? [hash, info.subarray(12)] : [hash];
}
