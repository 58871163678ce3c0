import type { Duplex } from 'node:stream'
import { BootwrightError } from '../system/index.ts'
import { invalidParameter, VarlinkErrorReply } from './error-reply.ts'
import type { InterfaceDescription, MethodMember } from './idl/description.ts'
import { memberOf } from './idl/description.ts'
import { formatInterface } from './idl/format.ts'
import { findInvalid } from './idl/validate.ts'
import type { CallMessage, VarlinkParameters } from './message.ts'
import { SERVICE_INTERFACE } from './service-interface.ts'

/** Who called. */
export interface VarlinkPeer {
  /** Of the process at the other end; undefined where the system does not tell. */
  readonly uid: number | undefined
  /** The process that connected: it may have handed the connection on, or be gone. */
  readonly pid?: number
}

/** One call on its way. */
export interface ServerCall {
  readonly parameters: VarlinkParameters
  /** The caller takes more than one reply. */
  readonly more: boolean
  readonly oneway: boolean
  readonly upgrade: boolean
  readonly peer: VarlinkPeer
  /** Aborted when the caller is gone or the server ends. */
  readonly signal: AbortSignal
  /** One more reply before the last; resolves when there is room for another. Only where the caller takes them. */
  send(reply: VarlinkParameters): Promise<void>
  /** Takes the connection over, behind the last reply. Only where the caller has asked for it. */
  takeOver(use: (stream: Duplex) => Promise<void>): void
}

/** Gives the last reply; throws a {@link VarlinkErrorReply} to answer with an error. */
export type Method = (call: ServerCall) => Promise<VarlinkParameters> | VarlinkParameters

export interface VarlinkInterface {
  readonly description: InterfaceDescription
  /** By name, without the interface's own. What is described and not here is `MethodNotImplemented`. */
  readonly methods: Readonly<Record<string, Method>>
  /** Those that have to be called with `more`. */
  readonly streams?: readonly string[]
}

export interface ServiceInfo {
  readonly vendor: string
  readonly product: string
  readonly version: string
  readonly url: string
}

/** What a server serves: its interfaces, `org.varlink.service` among them by itself. */
export interface VarlinkService {
  /** Rejects with a {@link VarlinkErrorReply}, or with `BUG` when a method gives what its interface does not say. */
  answer(call: CallMessage, context: CallContext): Promise<VarlinkParameters>
}

export type CallContext = Pick<ServerCall, 'peer' | 'signal' | 'send' | 'takeOver'>

export function varlinkService(info: ServiceInfo, interfaces: readonly VarlinkInterface[]): VarlinkService {
  const own: VarlinkInterface = {
    description: SERVICE_INTERFACE,
    methods: {
      GetInfo: () => ({ ...info, interfaces: [...byName.keys()].sort() }),
      GetInterfaceDescription: ({ parameters }) => {
        const name = String(parameters.interface)
        const found = byName.get(name)
        if (found === undefined) {
          throw new VarlinkErrorReply('org.varlink.service.InterfaceNotFound', { interface: name })
        }
        return { description: formatInterface(found.description) }
      },
    },
  }
  const byName = new Map([...interfaces, own].map((one) => [one.description.name, one]))
  return {
    async answer(call, context) {
      const { at, member, method } = findMethod(byName, call.method)
      if (at.streams?.includes(member.name) === true && !call.more) {
        throw new VarlinkErrorReply('org.varlink.service.ExpectedMore')
      }
      const invalid = findInvalid(call.parameters, member.input, at.description)
      if (invalid !== undefined) throw invalidParameter(invalid)
      const checked = (reply: VarlinkParameters): VarlinkParameters => {
        const wrong = findInvalid(reply, member.output, at.description)
        if (wrong === undefined) return reply
        throw new BootwrightError('BUG', `${call.method} gives "${wrong}", which is not as its interface says`)
      }
      const reply = await method({
        ...call,
        peer: context.peer,
        signal: context.signal,
        send: async (more) => context.send(checked(more)),
        takeOver: (use) => context.takeOver(use),
      })
      return checked(reply)
    },
  }
}

function findMethod(
  interfaces: ReadonlyMap<string, VarlinkInterface>,
  name: string,
): { at: VarlinkInterface; member: MethodMember; method: Method } {
  const dot = name.lastIndexOf('.')
  const [at, short] = [interfaces.get(name.slice(0, Math.max(0, dot))), name.slice(dot + 1)]
  const member = at === undefined ? undefined : memberOf(at.description, 'method', short)
  if (at === undefined || member === undefined) {
    throw new VarlinkErrorReply('org.varlink.service.MethodNotFound', { method: name })
  }
  const method = Object.hasOwn(at.methods, short) ? at.methods[short] : undefined
  if (method === undefined) {
    throw new VarlinkErrorReply('org.varlink.service.MethodNotImplemented', { method: name })
  }
  return { at, member, method }
}
