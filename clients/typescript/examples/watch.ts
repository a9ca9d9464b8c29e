/** Prints what happens to a wallet: `node dist/examples/watch.js NETWORK NAME [LINES]`, for LINES lines or for good. */
import { Network } from "../src/node.js";

const [folder = "network", name = "bob", lines = "Infinity"] = process.argv.slice(2);
const wallet = await Network.open(folder).wallet(name);
let left = Number(lines);
for await (const entry of wallet.watch([0n, -1])) {
  console.log(
    `${entry.position.join(":")} ${entry.kind} ${entry.reason} +${entry.credits} -${entry.debits} = ${entry.balance}`,
  );
  if (--left <= 0) process.exit(0);
}
