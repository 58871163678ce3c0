import { BootwrightError } from '../system/index.ts'
import type { Guest } from './guest.ts'
import { describeExit, type GuestExit } from './guest-exit.ts'
import { lastWords, linesOf } from './lines.ts'

export type VarlinkParameters = Readonly<Record<string, unknown>>

/** A varlink service in the guest (varlink.org), called through `varlinkctl` there. */
export interface VarlinkClient extends AsyncDisposable {
  /** Rejects with a {@link VarlinkError} when the service answers with an error. */
  call<Reply = VarlinkParameters>(
    method: string,
    parameters?: VarlinkParameters,
    options?: VarlinkOptions,
  ): Promise<Reply>
  /** Replies of a call with `more`, as they come. Leaving the loop ends the call. */
  stream<Reply = VarlinkParameters>(
    method: string,
    parameters?: VarlinkParameters,
    options?: VarlinkOptions,
  ): AsyncGenerator<Reply, void, undefined>
}

export interface VarlinkOptions {
  readonly signal?: AbortSignal | undefined
}

/** The error reply of a varlink service. */
export class VarlinkError extends BootwrightError {
  override readonly name = 'VarlinkError'
  /** Name of the error, as `org.varlink.service.MethodNotFound`. */
  readonly error: string
  readonly parameters: VarlinkParameters

  constructor(call: { address: string; method: string }, error: string, parameters: VarlinkParameters) {
    const shown = JSON.stringify(parameters)
    super('GUEST_COMMAND_FAILED', `${call.method} of ${call.address} was answered with ${error} ${shown}`, {
      detail: { ...call, error, parameters: shown },
    })
    this.error = error
    this.parameters = parameters
  }
}

/** What is kept of what varlinkctl says on its standard error. */
const KEPT_WORDS = 64 * 1024

/** @param address path of a socket in the guest, or what else `varlinkctl` takes (`unix:`, `exec:`, `ssh:` …) */
export function varlink(guest: Guest, address: string): VarlinkClient {
  const ending = new AbortController()
  const command = (method: string, parameters: VarlinkParameters, flags: readonly string[]): string[] => [
    // It says "Invalid argument" where an error has an errno; only its debug log has the error's own name.
    'env',
    'SYSTEMD_LOG_LEVEL=debug',
    'SYSTEMD_LOG_TARGET=console',
    'SYSTEMD_LOG_COLOR=no',
    'varlinkctl',
    'call',
    '--json=short',
    ...flags,
    '--',
    address,
    method,
    JSON.stringify(parameters),
  ]
  const until = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? ending.signal : AbortSignal.any([ending.signal, signal])
  return {
    async call<Reply>(method: string, parameters: VarlinkParameters = {}, { signal }: VarlinkOptions = {}) {
      const result = await guest.runUnchecked(command(method, parameters, []), { signal: until(signal) })
      const replies = result.stdout
        .toString()
        .split('\n')
        .filter((line) => line.trim() !== '')
      if (result.exitCode !== 0) throw failure({ address, method }, result, result.stderr.toString(), replies.at(-1))
      return parseReply({ address, method }, replies[0] ?? '{}') as Reply
    },
    async *stream<Reply>(method: string, parameters: VarlinkParameters = {}, { signal }: VarlinkOptions = {}) {
      const isOver = until(signal)
      await using process = await guest.spawn(command(method, parameters, ['--more', '--timeout=infinity']), {
        signal: isOver,
      })
      const said = lastWords(process.stderr, KEPT_WORDS)
      // The parameters of an error come as one more reply: each waits for what comes after it.
      let held: string | undefined
      const callTo = { address, method }
      for await (const line of linesOf(process.stdout)) {
        const text = line.toString().trim()
        if (text === '') continue
        if (held !== undefined) yield parseReply(callTo, held) as Reply
        held = text
      }
      const exit = await process.exited
      isOver.throwIfAborted()
      if (exit.exitCode !== 0) throw failure(callTo, exit, await said, held)
      if (held !== undefined) yield parseReply(callTo, held) as Reply
    },
    async [Symbol.asyncDispose]() {
      ending.abort(new BootwrightError('INTERRUPTED', `The varlink client of ${address} was closed`))
    },
  }
}

/** Why a call has failed: the service's own error, or that it could not be asked. */
function failure(
  call: { address: string; method: string },
  exit: GuestExit,
  said: string,
  reply: string | undefined,
): BootwrightError {
  const message = said.match(/(?<=Received message: )\{"error":.*\}$/gm)?.at(-1)
  const received = message === undefined ? {} : parseReply(call, message)
  const error = received.error ?? /failed: ([A-Za-z][\w-]*(?:\.[\w-]+)+)\s*$/m.exec(said)?.[1]
  if (typeof error === 'string') {
    const parameters = received.parameters ?? (reply === undefined ? {} : parseReply(call, reply))
    return new VarlinkError(call, error, parameters as VarlinkParameters)
  }
  const reason = said.trim().split('\n').at(-1) || describeExit(exit)
  return new BootwrightError('GUEST_COMMAND_FAILED', `Cannot call ${call.method} of ${call.address}: ${reason}`, {
    hint: 'Is the service there, and varlinkctl in the image? `varlinkctl info ADDRESS` in the guest tells.',
    detail: { ...call, exitCode: exit.exitCode },
  })
}

/** Replies of a call with `more` come as a JSON text sequence (RFC 7464), each behind this. */
const RECORD_SEPARATOR = '\u001e'

function parseReply(call: { readonly method: string; readonly address: string }, text: string): VarlinkParameters {
  try {
    return JSON.parse(text.replace(RECORD_SEPARATOR, '')) as VarlinkParameters
  } catch (cause) {
    throw new BootwrightError('MALFORMED_INPUT', `${call.method} was answered with no JSON: ${text.slice(0, 200)}`, {
      cause,
    })
  }
}
