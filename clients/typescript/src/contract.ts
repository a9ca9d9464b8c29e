/** The generated names that this package uses, all in one place: the contract may rename them. */
import { Code, ConnectError } from "@connectrpc/connect";

export { Bank as WalletService } from "./gen/cbdc/v1/bank_pb.js";
export type { PaymentEntry } from "./gen/cbdc/v1/bank_pb.js";
export { ReceiptSchema, type CommandBatch, type Outcome, type OutcomeBatch } from "./gen/cbdc/v1/types_pb.js";

/** The most records in a batch of a stream. */
export const BATCH_COMMANDS_MAX = 8192;
/** The largest message, in bytes. */
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;

const DOMAIN = "cbdc.v1";

export interface ErrorInfo {
  readonly reason: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The `google.rpc.ErrorInfo` of a status; an empty reason if it has none. */
export function errorInfo(error: ConnectError): ErrorInfo {
  for (const detail of error.details) {
    if ("type" in detail && detail.type === "google.rpc.ErrorInfo") {
      const fields = lengthDelimited(detail.value);
      const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes ?? new Uint8Array());
      const first = (wanted: number) => text(fields.find(([number]) => number === wanted)?.[1]);
      if (first(2) !== DOMAIN) continue;
      const metadata = new Map<string, string>();
      for (const [number, value] of fields) {
        if (number !== 3) continue;
        const entry = new Map(lengthDelimited(value));
        metadata.set(text(entry.get(1)), text(entry.get(2)));
      }
      return { reason: first(1), metadata };
    }
  }
  return { reason: "", metadata: new Map() };
}

/** Whether a copy of what was sent may have been ordered, by the status alone. */
export function leavesOpen(code: Code): boolean {
  const open = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Unknown, Code.Internal, Code.Aborted];
  return code === Code.DataLoss || open.includes(code);
}

/** The fields of a message that have a length, by number; ErrorInfo has no others. */
function lengthDelimited(data: Uint8Array): [number, Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  let at = 0;
  const varint = () => {
    let [result, scale] = [0, 1];
    for (;;) {
      const byte = data[at++] ?? 0;
      result += (byte & 0x7f) * scale;
      if (byte < 0x80) return result;
      scale *= 128;
    }
  };
  while (at < data.length) {
    const key = varint();
    if (key % 8 !== 2) break;
    const length = varint();
    found.push([Math.floor(key / 8), data.subarray(at, at + length)]);
    at += length;
  }
  return found;
}
