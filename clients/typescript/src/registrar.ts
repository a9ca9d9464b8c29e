/**
 * A registrar certifies that a holder has a class and a key. On a development network anybody has its desk; elsewhere a
 * wallet sends holder, class and key to the registrar and gets a `Registration` back.
 */
import { Account } from "./accounts.js";
import { BadRecord } from "./errors.js";
import type { SigningKey } from "./keys.js";
import { encodeCertified, signRecord } from "./records.js";

const CLASSES = ["household", "merchant", "business", "government", "tier-1", "tier-2", "tier-3", "visitor"];

/** A registrar's certificate of a holder's key, for opening one wallet at one bank. */
export interface Registration {
  readonly statement: Uint8Array;
  readonly holder: Uint8Array;
  readonly className: string;
  readonly registrar: number;
  readonly registrarKeyVersion: number;
  readonly validUntilMs: bigint;
  readonly signature: Uint8Array;
}

export class Registrar {
  constructor(
    private readonly networkId: Uint8Array,
    private readonly number: number,
    private readonly key: SigningKey,
    private readonly keyVersion = 0,
  ) {}

  /** Certifies a key for one opening, until a day from now. `holder` is the registrar's 16 bytes for the person. */
  register(bank: number, holder: Uint8Array, className: string, publicKey: Uint8Array): Registration {
    if (!CLASSES.includes(className) || holder.length !== 16) {
      throw new BadRecord(`expected a class (${CLASSES.join(", ")}) and a holder of 16 bytes, found ${className}`);
    }
    const validUntilMs = BigInt(Date.now()) + 86_400_000n;
    const statement = encodeCertified({
      purpose: 1,
      class: CLASSES.indexOf(className),
      registrarKeyVersion: this.keyVersion,
      account: new Account(bank, 0),
      version: 0,
      validUntilMs,
      holder,
      key: publicKey,
    });
    const signature = signRecord(this.key, this.networkId, statement, "CBDCcrt").slice(-64);
    const { number: registrar, keyVersion: registrarKeyVersion } = this;
    return { statement, holder, className, registrar, registrarKeyVersion, validUntilMs, signature };
  }
}
