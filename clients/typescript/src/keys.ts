import { ed25519 } from "@noble/curves/ed25519";

/** A key that signs. `@cbdc/client/node` makes faster ones. */
export interface SigningKey {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** The key with a seed of 32 bytes (RFC 8032's private key). */
export function keyFromSeed(seed: Uint8Array): SigningKey {
  return { publicKey: ed25519.getPublicKey(seed), sign: (message) => ed25519.sign(message, seed) };
}

/** Whether a signature is valid under ZIP-215, the rule of every node. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    return (
      ed25519.verify(signature, message, publicKey, { zip215: true }) ||
      isValidBySmallOrder(publicKey, message, signature)
    );
  } catch {
    return false;
  }
}

/**
 * The equation of ZIP-215 itself, for keys of small order: the library refuses them whatever the signature, and nodes
 * do not. No wallet has such a key.
 */
function isValidBySmallOrder(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = ed25519.Point.fromBytes(publicKey, true);
  if (!key.isSmallOrder()) return false;
  const s = numberOf(signature.subarray(32));
  if (s >= ed25519.CURVE.n) return false;
  // 8·k·A is the identity, whatever k.
  const commitment = ed25519.Point.fromBytes(signature.subarray(0, 32), true);
  const product = s === 0n ? ed25519.Point.ZERO : ed25519.Point.BASE.multiply(s);
  return commitment.subtract(product).clearCofactor().is0();
}

function numberOf(littleEndian: Uint8Array): bigint {
  return littleEndian.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** Whether a wallet may have the key: a point whose order does not divide 8. */
export function isFitForWallet(publicKey: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(publicKey, true).isSmallOrder();
  } catch {
    return false;
  }
}
