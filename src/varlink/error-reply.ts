import { BootwrightError } from '../system/index.ts'
import type { VarlinkParameters } from './message.ts'

/**
 * An error as Varlink has them: a name and parameters. What a client's call rejects with, and what a method throws so that
 * its caller gets it.
 */
export class VarlinkErrorReply extends BootwrightError {
  override readonly name = 'VarlinkErrorReply'
  /** Name of the error, as `org.varlink.service.MethodNotFound`. */
  readonly error: string
  readonly parameters: VarlinkParameters

  constructor(error: string, parameters: VarlinkParameters = {}, method?: string) {
    const shown = Object.keys(parameters).length === 0 ? '' : ` ${JSON.stringify(parameters, plain)}`
    super('TOOL_FAILED', `${method ?? 'The service'} answered with ${error}${shown}`, {
      detail: { error, parameters: shown.trim() },
    })
    this.error = error
    this.parameters = parameters
  }
}

function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

export const invalidParameter = (parameter: string): VarlinkErrorReply =>
  new VarlinkErrorReply('org.varlink.service.InvalidParameter', { parameter })
