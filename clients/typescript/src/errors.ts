/** What can go wrong, by what the caller has to do about it. */

export class CbdcError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** Bytes or text that are not what they should be. */
export class BadRecord extends CbdcError {}

/** A receipt, a header or a node's certificate that proves nothing under this genesis. */
export class BadProof extends CbdcError {}

/**
 * The command did not settle. Its record never will if `final`; otherwise a copy may until `maySettleUntilMs`, and the
 * wallet signs the next payment with the same sequence number.
 */
export class Refused extends CbdcError {
  constructor(
    readonly reason: string,
    message: string,
    readonly details: {
      readonly final: boolean;
      readonly limit?: bigint;
      readonly amount?: bigint;
      readonly laterMayHelp?: boolean;
      readonly maySettleUntilMs?: bigint | undefined;
      readonly position?: { readonly height: bigint; readonly index: number };
    },
  ) {
    super(`${reason}: ${message}`);
  }
}

/** What became of the command is not known: submit the same `record` again, never a new one for the same intent. */
export class NoAnswer extends CbdcError {
  constructor(
    why: string,
    readonly record: Uint8Array = new Uint8Array(),
  ) {
    super(why);
  }
}

/** A call that changes nothing failed; `reason` is the stable name, if the node gave one. */
export class NotServed extends CbdcError {
  constructor(
    readonly reason: string,
    message: string,
    override readonly cause?: unknown,
  ) {
    super(reason === "" ? message : `${reason}: ${message}`);
  }
}
