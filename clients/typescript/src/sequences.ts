import { NoAnswer } from "./errors.js";

/** How many payments of a wallet may be in flight at once. */
const WINDOW = 64n;
/** How long `take` waits for a number before it asks the bank, and in all. */
const ASK_MS = 500;
const WAIT_MS = 30_000;

/**
 * A wallet's sequence numbers: each is taken by one payment, and comes back only when no payment used it. `take` waits
 * while 64 are in flight. A number whose payment was refused but may settle yet is *contested*: the next payment takes
 * it, and at most one of the two settles.
 */
export class Sequences {
  private lowestUnused: bigint | undefined;
  private fresh = 0n;
  private returned: bigint[] = [];
  private readonly used = new Set<bigint>();
  private readonly contested = new Set<bigint>();
  private waiting: (() => void)[] = [];
  private asking: Promise<void> | undefined;

  /** `ask` gives the lowest unused number as the bank knows it. */
  constructor(private readonly ask: () => Promise<bigint>) {}

  /** The lowest number that is free, or the one so many further on, where others with the same key are faster. */
  async take(ahead = 0): Promise<bigint> {
    if (this.lowestUnused === undefined) await this.refresh();
    for (const end = Date.now() + WAIT_MS; Date.now() < end;) {
      const number = this.next(ahead);
      if (number !== undefined) {
        this.wake(); // there may be more
        return number;
      }
      if (!(await this.changed())) await this.refresh();
    }
    throw new NoAnswer(`${WINDOW} payments are in flight, and none was answered within ${WAIT_MS} ms`);
  }

  /** Adopts what the bank knows; an older answer changes nothing. Payments that wait share one question. */
  refresh(): Promise<void> {
    this.asking ??= this.adopt().finally(() => (this.asking = undefined));
    return this.asking;
  }

  private async adopt(): Promise<void> {
    const number = await this.ask();
    if (this.lowestUnused === undefined || number > this.lowestUnused) this.lowestUnused = number;
    this.advance(this.lowestUnused);
  }

  markUsed(number: bigint): void {
    if (this.lowestUnused === undefined) return; // a record of an earlier run; the bank will say
    this.used.add(number);
    this.returned = this.returned.filter((returned) => returned !== number);
    this.advance(this.lowestUnused);
  }

  giveBack(number: bigint, maySettle: boolean): void {
    if (this.lowestUnused === undefined || number < this.lowestUnused || number >= this.fresh) return;
    if (!this.returned.includes(number)) this.returned.push(number);
    if (maySettle) this.contested.add(number);
    this.wake();
  }

  isContested(number: bigint): boolean {
    return this.contested.has(number);
  }

  private next(ahead: number): bigint | undefined {
    const end = (this.lowestUnused ?? 0n) + WINDOW;
    // What is passed over stays free.
    while (this.fresh < end && this.returned.filter((number) => number < end).length <= ahead) {
      this.returned.push(this.fresh++);
    }
    const free = this.returned.filter((number) => number < end).sort((first, second) => (first < second ? -1 : 1));
    const number = free[Math.min(ahead, free.length - 1)];
    this.returned = this.returned.filter((returned) => returned !== number);
    return number;
  }

  private advance(lowest: bigint): void {
    while (this.used.has(lowest)) lowest++;
    this.lowestUnused = lowest;
    if (this.fresh < lowest) this.fresh = lowest;
    this.returned = this.returned.filter((number) => number >= lowest);
    for (const number of this.used) if (number < lowest) this.used.delete(number);
    // The conflict of a contested number may be reported after the number was used.
    for (const number of this.contested) if (number < lowest - WINDOW) this.contested.delete(number);
    this.wake();
  }

  /** Lets the longest waiting payment try again. */
  private wake(): void {
    this.waiting.shift()?.();
  }

  /** Whether something changed before it is time to ask the bank. */
  private changed(): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.waiting = this.waiting.filter((waiting) => waiting !== wake);
        resolve(false);
      }, ASK_MS);
      this.waiting.push(wake);
    });
  }
}
