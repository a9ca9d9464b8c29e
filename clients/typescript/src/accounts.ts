import { BadRecord } from "./errors.js";

const MAX_BANK = 0xffff;
const MAX_SERIAL = 0xffff_ffff;

/** A wallet, or with serial 0 a bank's treasury; shown in IBAN form. */
export class Account {
  constructor(
    readonly bank: number,
    readonly serial: number,
  ) {
    const isWhole = Number.isInteger(bank) && Number.isInteger(serial);
    if (!isWhole || bank < 0 || bank > MAX_BANK || serial < 0 || serial > MAX_SERIAL) {
      throw new BadRecord(`expected a bank of 16 bits and a serial of 32, found ${bank} and ${serial}`);
    }
  }

  /** The number in records: bank × 2^32 + serial. */
  get id(): bigint {
    return (BigInt(this.bank) << 32n) | BigInt(this.serial);
  }

  static ofId(id: bigint): Account {
    if (id >> 48n !== 0n) throw new BadRecord(`expected an account of 48 bits, found ${id}`);
    return new Account(Number(id >> 32n), Number(id & 0xffff_ffffn));
  }

  /** Reads the IBAN form, with or without spaces or hyphens. */
  static parse(text: string): Account {
    const wrong = (why: string) =>
      new BadRecord(`expected an account number such as ${new Account(1, 7)}, found "${text.slice(0, 40)}": ${why}`);
    const compact = text
      .slice(0, 80)
      .replace(/[\s\-\u2010-\u2015]/gu, "")
      .toUpperCase()
      .replace(/^IBAN:?/, "");
    const parts = /^XC([0-9]{2})(([0-9]{5})([0-9]{10}))$/.exec(compact);
    if (parts === null) throw wrong("XC must be followed by 17 digits");
    if (parts[1] !== checkDigits(parts[2]!)) throw wrong("its check digits do not fit; a digit may be mistyped");
    const [bank, serial] = [Number(parts[3]), Number(parts[4])];
    if (bank > MAX_BANK || serial > MAX_SERIAL) throw wrong("bank or serial are too large");
    return new Account(bank, serial);
  }

  toString(): string {
    const number = String(this.bank).padStart(5, "0") + String(this.serial).padStart(10, "0");
    return `XC${checkDigits(number)}${number}`;
  }
}

/** ISO 7064 MOD 97-10 over the number, the country as digits (X=33, C=12) and 00. */
function checkDigits(number: string): string {
  return String(98n - (BigInt(`${number}331200`) % 97n)).padStart(2, "0");
}
