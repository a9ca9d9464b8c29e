import type { Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

/**
 * A browser's way to a bank that serves gRPC-Web at `baseUrl`. The browser checks the certificate, so the bank needs
 * one of an authority that the browser knows. Streams of payments need Node.
 */
export function webTransport(baseUrl: string): Transport {
  return createGrpcWebTransport({ baseUrl, defaultTimeoutMs: 5000 });
}
