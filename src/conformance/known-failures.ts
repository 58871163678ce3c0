/** An upstream test that is known to fail here, whoever's programs run. */
export interface KnownFailure {
  readonly test: string
  /** One sentence. */
  readonly reason: string
  /** Where it is discussed, or the section of our documentation that explains it. */
  readonly link: string
}

/** Data: a test that fails and is listed here is told as `unsupported`, with the reason; one that passes anyway is passed. */
export const KNOWN_FAILURES: readonly KnownFailure[] = []
