/** The one error of this library. `code` is one of the server's (`conflict`, `unauthorized` …) or of ours (`closed`, `queue_full` …). */
export class ContinuoError extends Error {
  readonly code: string;
  /** Whether the same again may succeed. */
  readonly retryable: boolean;
  /** On a `conflict`: the version that there is. */
  declare readonly version?: number;

  constructor(code: string, message: string, retryable = false, version?: number) {
    super(message);
    this.name = "ContinuoError";
    this.code = code;
    this.retryable = retryable;
    if (version !== undefined) this.version = version;
  }
}
