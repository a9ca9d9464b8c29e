/** Little-endian layouts. */

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function equal(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, at) => byte === second[at]);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new RangeError(`expected hexadecimal digits, found ${text.slice(0, 40)}`);
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Appends fields to a record. */
export class Writer {
  private readonly parts: Uint8Array[] = [];

  raw(bytes: Uint8Array, length = bytes.length): this {
    if (bytes.length !== length) throw new RangeError(`expected ${length} bytes, found ${bytes.length}`);
    this.parts.push(bytes);
    return this;
  }

  u8(value: number): this {
    return this.number(BigInt(value), 1);
  }

  u16(value: number): this {
    return this.number(BigInt(value), 2);
  }

  u32(value: number): this {
    return this.number(BigInt(value), 4);
  }

  u64(value: bigint): this {
    return this.number(value, 8);
  }

  reserved(count: number): this {
    return this.raw(new Uint8Array(count));
  }

  bytes(): Uint8Array {
    return concat(...this.parts);
  }

  private number(value: bigint, length: number): this {
    if (value < 0n || value >> BigInt(8 * length) !== 0n) {
      throw new RangeError(`expected a number of ${8 * length} bits, found ${value}`);
    }
    return this.raw(Uint8Array.from({ length }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn)));
  }
}
