import { type RunningMachine, RunningMachine as RunningMachineClass, type StoppedMachine } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { CallLog } from './call-log.ts'

/** What happens around the verbs of a machine. */
export interface Observer {
  readonly log: CallLog
  /** A verb has made another state of the machine: switched off, or on again. */
  becomes(state: RunningMachine | StoppedMachine): object
  /** The guest itself has answered, or is found to answer no more. */
  answered(isAnswering: boolean): void
  /** What the machine has besides its own, by name. */
  readonly extras: Readonly<Record<string, unknown>>
  /** The test has left the scope of the machine. */
  leave(): Promise<void>
}

/** Groups of verbs behind a property. */
const GROUPS = new Set(['tpm', 'faults'])
/** Not a verb of the test. */
const QUIET = new Set(['explain'])
/** Answered by QEMU alone. */
const FROM_OUTSIDE = new Set([
  'powerOff',
  'cutPower',
  'save',
  'pause',
  'resume',
  'screenshot',
  'type',
  'sendKey',
  'keep',
  'off',
  'observedBoot',
])

/**
 * A machine whose every verb is written down with its outcome. It works for verbs that it has never heard of: whatever is
 * a method is a verb.
 */
export function observed<T extends object>(machine: T, observer: Observer, prefix = ''): T {
  return new Proxy(machine, {
    get(target, key) {
      if (key === Symbol.asyncDispose) return observer.leave
      if (typeof key === 'string' && Object.hasOwn(observer.extras, key)) return observer.extras[key]
      // Private fields are the target's own: neither getters nor methods may see the proxy.
      const value: unknown = Reflect.get(target, key, target)
      if (typeof key === 'string' && GROUPS.has(key) && typeof value === 'object' && value !== null) {
        return observed(value, observer, `${key}.`)
      }
      if (typeof value !== 'function') return value
      if (typeof key !== 'string' || QUIET.has(key)) return value.bind(target)
      return (...args: unknown[]) => call(target, `${prefix}${key}`, value as Verb, args, observer)
    },
  })
}

type Verb = (this: object, ...args: unknown[]) => unknown

function call(target: object, verb: string, method: Verb, args: unknown[], observer: Observer): unknown {
  const end = observer.log.begin(verb, args)
  const over = (result: unknown): unknown => {
    end()
    if (!FROM_OUTSIDE.has(verb)) observer.answered(true)
    if (result === target) return observer.becomes(target as RunningMachine)
    return isState(result) ? observer.becomes(result) : result
  }
  const failed = (error: unknown): never => {
    end(error)
    if (error instanceof BootwrightError && error.code === 'GUEST_SILENT') observer.answered(false)
    throw error
  }
  try {
    const result = method.apply(target, args)
    // A stream of entries or lines has begun; how it ends is up to the test.
    if (!(result instanceof Promise)) return over(result)
    return result.then(over, failed)
  } catch (error) {
    return failed(error)
  }
}

function isState(result: unknown): result is RunningMachine | StoppedMachine {
  if (result instanceof RunningMachineClass) return true
  return typeof result === 'object' && result !== null && 'restart' in result && 'directory' in result
}
