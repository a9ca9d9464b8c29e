/** Answers to batches of a stream: a run of settled payments, or 40 bytes each. */
import { viewOf } from "./bytes.js";
import { BATCH_COMMANDS_MAX } from "./contract.js";
import { BadRecord } from "./errors.js";

export const ANSWER_BYTES = 40;
export const State = { Final: 0, Accepted: 1, Unknown: 2 } as const;

/** The answer to one record. At height 0 it was not ordered. */
export interface Answer {
  readonly height: bigint;
  readonly index: number;
  readonly state: number;
  readonly reasonCode: number;
  readonly fee: bigint;
  readonly limit: bigint;
  readonly amount: bigint;
}

export interface BatchAnswer {
  readonly batchId: bigint;
  readonly count: number;
  /** Whether every payment settled. */
  readonly settledWhole: boolean;
  answers(): Answer[];
}

interface Run {
  readonly height: bigint;
  readonly firstIndex: number;
  readonly count: number;
}

export function readAnswer(batchId: bigint, outcomes: Uint8Array, run: Run | undefined): BatchAnswer {
  if (run === undefined) {
    const answers = () => unpackAnswers(outcomes);
    const isSettled = ({ state, reasonCode, height }: Answer) =>
      state === State.Final && reasonCode === 0 && height > 0n;
    return { batchId, count: outcomes.length / ANSWER_BYTES, settledWhole: answers().every(isSettled), answers };
  }
  const { height, firstIndex, count } = run;
  const isInBlock = height > 0n && count >= 1 && count <= BATCH_COMMANDS_MAX && firstIndex + count <= 0xffff_ffff;
  if (outcomes.length > 0 || !isInBlock) {
    throw new BadRecord(
      `expected a run within a block, found ${count} from index ${firstIndex} on at height ${height}`,
    );
  }
  const one = (_: unknown, at: number): Answer => {
    return { height, index: firstIndex + at, state: State.Final, reasonCode: 0, fee: 0n, limit: 0n, amount: 0n };
  };
  return { batchId, count, settledWhole: true, answers: () => Array.from({ length: count }, one) };
}

export function unpackAnswers(packed: Uint8Array): Answer[] {
  if (packed.length % ANSWER_BYTES !== 0) {
    throw new BadRecord(`expected a multiple of ${ANSWER_BYTES} bytes of answers, found ${packed.length}`);
  }
  const view = viewOf(packed);
  return Array.from({ length: packed.length / ANSWER_BYTES }, (_, number) => {
    const at = number * ANSWER_BYTES;
    return {
      height: view.getBigUint64(at, true),
      index: view.getUint32(at + 8, true),
      state: view.getUint16(at + 12, true),
      reasonCode: view.getUint16(at + 16, true),
      fee: view.getBigUint64(at + 16, true) >> 16n,
      limit: view.getBigUint64(at + 24, true),
      amount: view.getBigUint64(at + 32, true),
    };
  });
}
