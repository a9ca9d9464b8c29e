import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequences } from "../src/sequences.js";

async function taken(sequences: Sequences, count: number): Promise<bigint[]> {
  return Promise.all(Array.from({ length: count }, () => sequences.take()));
}

test("numbers are taken once and within the window", async () => {
  const sequences = new Sequences(async () => 5n);
  const first = await taken(sequences, 64);
  assert.deepEqual([first[0], first[63], new Set(first).size], [5n, 68n, 64]);
  const waiting = sequences.take();
  sequences.markUsed(6n);
  const idle = new Promise((resolve) => setTimeout(resolve, 50, "the lowest number is still in flight"));
  assert.equal(await Promise.race([waiting, idle]), "the lowest number is still in flight");
  sequences.markUsed(5n);
  assert.equal(await waiting, 69n);
  assert.equal(await sequences.take(), 70n);
});

test("a number comes back, and is contested only if its payment may settle", async () => {
  const sequences = new Sequences(async () => 1n);
  assert.deepEqual(await taken(sequences, 3), [1n, 2n, 3n]);
  sequences.giveBack(2n, true);
  sequences.giveBack(3n, false);
  assert.deepEqual(
    [2n, 3n].map((number) => sequences.isContested(number)),
    [true, false],
  );
  sequences.markUsed(1n);
  assert.deepEqual(await taken(sequences, 3), [2n, 3n, 4n]);
});

test("numbers that are passed over stay free", async () => {
  const sequences = new Sequences(async () => 1n);
  assert.deepEqual([await sequences.take(3), await sequences.take(), await sequences.take(5)], [4n, 1n, 8n]);
  assert.equal(await sequences.take(1000), 64n);
  assert.deepEqual(await taken(sequences, 4), [2n, 3n, 5n, 6n]);
});
