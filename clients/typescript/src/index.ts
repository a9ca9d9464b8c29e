/**
 * Wallets of a cbdc ledger: sign, pay, stream, and verify receipts with nothing but genesis. This module runs in
 * browsers and in Node; `@cbdc/client/node` adds folders, pinned TLS and faster signing. The formats are those of
 * docs/reference/wire.md.
 */
export { Account } from "./accounts.js";
export { BadProof, BadRecord, CbdcError, NoAnswer, NotServed, Refused } from "./errors.js";
export { Genesis, Role, type Member } from "./genesis.js";
export { keyFromSeed, isFitForWallet, verifySignature, type SigningKey } from "./keys.js";
export { leafHash, nodeHash, rootFromPath } from "./merkle.js";
export { verifyParts, verifyReceipt, type VerifiedReceipt } from "./receipts.js";
export {
  Kind,
  decodePayment,
  encodePayment,
  prefix,
  signPayment,
  signPayments,
  signRecord,
  type Payment,
} from "./records.js";
export { reasonName } from "./reasons.js";
export { Registrar, type Registration } from "./registrar.js";
export { readAnswer, unpackAnswers, type Answer, type BatchAnswer } from "./answers.js";
export { Wallet, type Entry, type Settled, type WalletState } from "./wallet.js";
export { webTransport } from "./web.js";
