/** Streams signed payments in packed batches: `node dist/examples/stream.js NETWORK [PAYMENTS]`, 50 unless given. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Kind, signPayment, type Payment } from "../src/index.js";
import { concat } from "../src/bytes.js";
import { Network, nodeKeyFromSeed, streamPayments } from "../src/node.js";
import { validUntilMs } from "../src/wallet.js";

const network = Network.open(process.argv[2] ?? "network");
const count = Number(process.argv[3] ?? 50);
const [alice, bob] = [await network.wallet("alice"), await network.wallet("bob")];

// At most 64 payments of a wallet may be in flight, so each payer here pays 50 times.
const payers = Array.from({ length: Math.ceil(count / 50) }, () => nodeKeyFromSeed(randomBytes(32)));
const batches: Uint8Array[] = [];
for (const key of payers) {
  const payer = await network.openWallet(1, key, network.registrar());
  await alice.pay(payer.account, 50n);
  const payment = (number: number): Payment => ({
    kind: Kind.Transfer,
    from: payer.account,
    to: bob.account,
    amount: 1n,
    maxFee: 0n,
    reference: new Uint8Array(16),
    sequence: BigInt(number + 1),
    keyVersion: 0,
    validUntilMs: validUntilMs(network.genesis),
    topUp: false,
  });
  const records = Array.from({ length: 50 }, (_, number) =>
    signPayment(key, network.genesis.networkId, payment(number)),
  );
  batches.push(concat(...records));
}
let settled = 0;
const began = performance.now();
for await (const answer of streamPayments(await network.transport(1), batches)) {
  assert.ok(
    answer.settledWhole,
    JSON.stringify(answer.answers().find(({ reasonCode }) => reasonCode !== 0)?.reasonCode),
  );
  settled += answer.count;
}
assert.equal(settled, 50 * payers.length);
console.log(`settled ${settled} payments in ${Math.round(performance.now() - began)} ms`);
process.exit(0);
