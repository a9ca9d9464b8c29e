import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the main module needs nothing that a browser lacks", () => {
  const read = new Set<string>();
  const packages = new Set<string>();
  const follow = (url: URL) => {
    if (read.has(url.href)) return;
    read.add(url.href);
    const imports = readFileSync(url, "utf8").matchAll(/(?:from|import) "([^"]+)"/g);
    for (const [, name] of imports) {
      if (name!.startsWith(".")) follow(new URL(name!, url));
      else packages.add(name!);
    }
  };
  follow(new URL("../src/index.js", import.meta.url));
  assert.ok(read.size > 10 && packages.size > 3, `${read.size} modules, ${packages.size} packages`);
  const ofNode = [...packages].filter((name) => name.startsWith("node:") || name.endsWith("connect-node"));
  assert.deepEqual(ofNode, []);
});
