/**
 * Opens a wallet, pays, and verifies the receipt by its own code: `node dist/examples/pay.js NETWORK`, where NETWORK is
 * the folder of a development network (`cbdc up`).
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { decodePayment, Refused, verifyReceipt } from "../src/index.js";
import { Network, nodeKeyFromSeed } from "../src/node.js";

const network = Network.open(process.argv[2] ?? "network");
const alice = await network.wallet("alice");

// A new wallet: a key of our own, certified by the development network's registrar.
const shop = await network.openWallet(2, nodeKeyFromSeed(randomBytes(32)), network.registrar(), {
  className: "merchant",
});
console.log(`opened ${shop.account}`);

const before = await shop.balance();
const settled = await alice.pay(shop.account, 1250n, { reference: new TextEncoder().encode("invoice 4711") });
console.log(`settled at ${settled.height}:${settled.index}`);

// Keep these bytes: they prove the payment to anybody with genesis.bin, without a server.
const kept = await alice.receiptBytes(settled.height, settled.index);
const receipt = verifyReceipt(network.genesis, kept);
const payment = decodePayment(receipt.command);
assert.ok(receipt.settled && payment.amount === 1250n && payment.to.toString() === shop.account.toString());
console.log(`verified: ${payment.amount} paid to ${payment.to}, signed by nodes ${receipt.signers.join(", ")}`);

// The same record again is the same payment.
assert.deepEqual(await alice.submit(settled.record), settled);
// A bank's replica follows the chain, so its customer sees the money a moment later.
for (let tries = 0; (await shop.balance()) === before && tries < 50; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
assert.equal(await shop.balance(), before + 1250n);

await assert.rejects(alice.pay(shop.account, 10n ** 12n), (error) => error instanceof Refused && error.details.final);
assert.equal(await shop.deposit(), 0n);
const isTooSmall = (error: unknown) => error instanceof Refused && error.reason === "DEPOSIT_TOO_SMALL";
await assert.rejects(shop.fund(1n, randomBytes(16)), isTooSmall);
for await (const entry of shop.statement())
  console.log(`${entry.kind} +${entry.credits} -${entry.debits} = ${entry.balance}`);
process.exit(0);
