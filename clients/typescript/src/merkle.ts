import { blake3 } from "@noble/hashes/blake3";
import { concat } from "./bytes.js";

const text = new TextEncoder();
export const LEAF_KEY = text.encode("cbdc ledger v1: leaf of a block.");
export const NODE_KEY = text.encode("cbdc ledger v1: node of a block.");

export function hash(data: Uint8Array): Uint8Array {
  return blake3(data);
}

export function leafHash(data: Uint8Array): Uint8Array {
  return blake3(data, { key: LEAF_KEY });
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return blake3(concat(left, right), { key: NODE_KEY });
}

/** The root to which an audit path leads; `undefined` if it has the wrong length for the index. */
export function rootFromPath(
  leaf: Uint8Array,
  index: number,
  leafCount: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  if (index >= leafCount || path.some((sibling) => sibling.length !== 32)) return undefined;
  let [at, last, result, used] = [index, leafCount - 1, leaf, 0];
  while (last > 0) {
    if (at % 2 === 1 || at < last) {
      const sibling = path[used++];
      if (sibling === undefined) return undefined;
      result = at % 2 === 1 ? nodeHash(sibling, result) : nodeHash(result, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return used === path.length ? result : undefined;
}
