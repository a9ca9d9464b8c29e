import { BadRecord } from "./errors.js";
import { viewOf } from "./bytes.js";
import { hash } from "./merkle.js";

export const Role = {
  CentralBank: 1,
  Committee: 2,
  Operator: 3,
  Bank: 4,
  Registrar: 5,
  Court: 6,
  Auditor: 7,
} as const;

/** A member that genesis names. */
export interface Member {
  readonly role: number;
  readonly id: number;
  readonly name: string;
  readonly signingKey: Uint8Array;
  readonly nodeKey: Uint8Array | undefined;
}

/** The head and the members of a genesis; opening books and first policy follow, and are hashed only. */
export class Genesis {
  private constructor(
    readonly networkId: Uint8Array,
    readonly format: number,
    readonly currency: string,
    readonly currencyExponent: number,
    readonly createdAtMs: bigint,
    readonly validityMsMax: bigint,
    readonly headerSignatures: number,
    readonly threshold: number,
    readonly members: readonly Member[],
  ) {}

  static parse(data: Uint8Array): Genesis {
    try {
      return Genesis.read(data);
    } catch (error) {
      if (error instanceof BadRecord) throw error;
      throw new BadRecord(`expected a genesis, found ${data.length} bytes that are none: ${String(error)}`);
    }
  }

  private static read(data: Uint8Array): Genesis {
    const view = viewOf(data);
    const [format, exponent, dayCount] = [view.getUint8(0), view.getUint8(4), view.getUint8(5)];
    if ((format !== 1 && format !== 2) || (dayCount !== 1 && dayCount !== 2) || exponent > 6) {
      throw new BadRecord(`expected a genesis of version 1 or 2, found version ${format}`);
    }
    const utf8 = new TextDecoder("utf-8", { fatal: true });
    const take = (from: number, length: number) => {
      if (from + length > data.length) throw new BadRecord(`expected a whole genesis, found ${data.length} bytes`);
      return data.slice(from, from + length);
    };
    const members: Member[] = [];
    let at = 32;
    for (let left = view.getUint32(28, true); left > 0; left--) {
      const [role, id, length] = [view.getUint8(at), view.getUint16(at + 1, true), view.getUint8(at + 3)];
      const name = utf8.decode(take(at + 4, length));
      at += 4 + length;
      const [signingKey, hasNodeKey, nodeKey] = [take(at, 32), view.getUint8(at + 32), take(at + 33, 32)];
      at += 65;
      if (role < 1 || role > 7 || length < 1 || length > 64 || hasNodeKey > 1) {
        throw new BadRecord(`expected a member with a known role and a name of 1 to 64 bytes, found role ${role}`);
      }
      members.push({ role, id, name, signingKey, nodeKey: hasNodeKey === 1 ? nodeKey : undefined });
    }
    const headerSignatures = view.getUint16(24, true);
    const nodes = members.filter((member) => member.role === Role.CentralBank).length;
    if (headerSignatures < 1 || headerSignatures > nodes) {
      throw new BadRecord(`expected 1 to ${nodes} header signatures, found ${headerSignatures}`);
    }
    return new Genesis(
      hash(data),
      format,
      utf8.decode(take(1, 3)),
      exponent,
      view.getBigUint64(8, true),
      view.getBigUint64(16, true),
      headerSignatures,
      view.getUint16(26, true),
      members,
    );
  }

  member(role: number, id: number): Member {
    const found = this.members.find((member) => member.role === role && member.id === id);
    if (found === undefined) throw new BadRecord(`expected a member with role ${role} and number ${id}, found none`);
    return found;
  }
}
