/** Receipts, verified from genesis alone: no server, no other trust. */
import { fromBinary } from "@bufbuild/protobuf";
import { concat, equal, viewOf, Writer } from "./bytes.js";
import { ReceiptSchema } from "./contract.js";
import { BadProof, BadRecord } from "./errors.js";
import { Role, type Genesis } from "./genesis.js";
import { verifySignature } from "./keys.js";
import { hash, leafHash, rootFromPath } from "./merkle.js";
import { reasonName } from "./reasons.js";
import { prefix } from "./records.js";

/** Each kind with its command's length, signature included; 0 where it varies. */
// prettier-ignore
export const COMMAND_LENGTHS: ReadonlyMap<number, number> = new Map([
  [1, 136], [2, 136], [3, 136], [4, 144], [5, 112], [6, 112], [7, 240], [17, 96], [20, 96], [21, 112],
  [22, 288], [23, 280], [24, 184], [25, 184], [32, 200], [33, 200], [34, 104], [35, 112], [36, 112], [37, 112],
  [38, 112], [39, 112], [40, 112], [41, 112], [42, 112], [43, 112], [44, 112], [45, 112], [46, 104], [47, 112],
  [48, 128], [49, 128], [50, 144], [51, 112], [64, 0], [65, 104],
]);

/** A command's place and outcome in a block that the central bank signed. */
export interface VerifiedReceipt {
  readonly height: bigint;
  readonly index: number;
  readonly timeMs: bigint;
  readonly policyVersion: number;
  readonly settled: boolean;
  readonly reasonCode: number;
  /** The stable name, such as `SETTLED`. */
  readonly reason: string;
  readonly fee: bigint;
  readonly limit: bigint;
  readonly amount: bigint;
  readonly command: Uint8Array;
  /** BLAKE3 of the command. */
  readonly commandHash: Uint8Array;
  readonly signers: readonly number[];
}

/** Verifies a receipt as it is saved and sent: the message `cbdc.v1.Receipt`. */
export function verifyReceipt(genesis: Genesis, message: Uint8Array): VerifiedReceipt {
  let receipt;
  try {
    receipt = fromBinary(ReceiptSchema, message);
  } catch (error) {
    throw new BadRecord(`expected a receipt, found ${message.length} bytes that are none: ${String(error)}`);
  }
  const { header, index, command, outcome, path } = receipt;
  const parts = { header: header?.header ?? new Uint8Array(), signatures: header?.signatures ?? [] };
  return verifyParts(genesis, { ...parts, index, command, outcome, path });
}

/** The steps of docs/reference/wire.md, in its order. */
export function verifyParts(
  genesis: Genesis,
  parts: {
    readonly header: Uint8Array;
    readonly signatures: readonly { readonly node: number; readonly signature: Uint8Array }[];
    readonly index: number;
    readonly command: Uint8Array;
    readonly outcome: Uint8Array;
    readonly path: readonly Uint8Array[];
  },
): VerifiedReceipt {
  const { header, signatures, index, command, outcome, path } = parts;
  const version = header[0];
  if (header.length !== 400 || (version !== 1 && version !== 2) || outcome.length !== 24) {
    throw new BadProof("expected a header of 400 bytes in version 1 or 2 and an outcome of 24 bytes");
  }
  const areZeros = (from: number, to: number) => header.subarray(from, to).every((byte) => byte === 0);
  if (!areZeros(1, 4) || !areZeros(188, 192) || !areZeros(328, 400)) {
    throw new BadProof("expected zeros in the reserved bytes of the header");
  }
  if (version === 1 && !(areZeros(120, 152) && areZeros(296, 328))) {
    throw new BadProof("expected no root over the state in version 1");
  }
  const [head, result] = [viewOf(header), viewOf(outcome)];
  const height = head.getBigUint64(8, true);
  const root = rootFromPath(leafOf(index, command, outcome), index, head.getUint32(4, true), path);
  if (root === undefined || !equal(root, header.subarray(56, 88))) {
    throw new BadProof(`the path does not lead to the commands root of block ${height}`);
  }
  const signers = signersOf(genesis, header, signatures);
  if (signers.length < genesis.headerSignatures) {
    const required = genesis.headerSignatures;
    throw new BadProof(`block ${height} has ${signers.length} valid signatures, ${required} are required`);
  }
  const length = COMMAND_LENGTHS.get(command[1] ?? 0);
  if (length === undefined || command[0] !== 1 || (length !== 0 && length !== command.length)) {
    throw new BadProof("expected a command of a known kind, with the length of that kind");
  }
  const reasonCode = result.getUint16(0, true);
  return {
    height,
    index,
    timeMs: head.getBigUint64(16, true),
    policyVersion: head.getUint32(184, true),
    settled: reasonCode === 0,
    reasonCode,
    reason: reasonName(reasonCode),
    fee: result.getBigUint64(0, true) >> 16n,
    limit: result.getBigUint64(8, true),
    amount: result.getBigUint64(16, true),
    command,
    commandHash: hash(command),
    signers,
  };
}

/** The hash of a command's leaf: index, length, outcome, command, zeros up to a multiple of 64 bytes. */
export function leafOf(index: number, command: Uint8Array, outcome: Uint8Array): Uint8Array {
  const data = new Writer().u32(index).u32(command.length).raw(outcome, 24).raw(command).bytes();
  return leafHash(concat(data, new Uint8Array((64 - (data.length % 64)) % 64)));
}

function signersOf(
  genesis: Genesis,
  header: Uint8Array,
  signatures: readonly { readonly node: number; readonly signature: Uint8Array }[],
): number[] {
  const message = concat(prefix("CBDChdr", genesis.networkId), hash(header));
  const keys = new Map<number, Uint8Array>();
  for (const member of genesis.members) {
    if (member.role === Role.CentralBank) keys.set(member.id, member.signingKey);
  }
  const valid = new Set<number>();
  for (const { node, signature } of signatures) {
    const key = keys.get(node);
    if (key !== undefined && verifySignature(key, message, signature)) valid.add(node);
  }
  return [...valid].sort((first, second) => first - second);
}
