import type { Fault, FaultRule } from '../cloud/index.ts'
import { type ActiveFault, recordFault } from '../machine/index.ts'
import type { SceneCloud } from '../scene/index.ts'

/** Faults that need nothing said about them. */
type PlainFault = 'silence' | 'garbage' | 'reset' | 'truncated-body' | 'empty-error-body'

/** The cloud of a test's machine: its instance, which can change, and its metadata service. */
export interface TestCloud extends SceneCloud {
  /**
   * The metadata service fails: `fail('silence')`, `fail({ kind: 'status', status: 429 })`, … until it is ended.
   *
   * @param befalls which requests, all when absent: `{ path: '/latest/api/token', method: 'PUT', after: 1, times: 2 }`
   */
  fail(fault: Fault | PlainFault, befalls?: Partial<Omit<FaultRule, 'fault'>>): Promise<ActiveFault>
}

/** Notes each fault beside those of the machine, in its directory. */
export function testCloud(cloud: SceneCloud, directory: () => string): TestCloud {
  return {
    ...cloud,
    async fail(wanted, befalls = {}) {
      const fault: Fault = typeof wanted === 'string' ? { kind: wanted } : wanted
      const rule: FaultRule = { path: '**', ...befalls, fault }
      const added = cloud.service.faults.add(rule)
      await recordFault(directory(), 'metadata fault', { ...rule })
      let ending: Promise<void> | undefined
      const end = (): Promise<void> => {
        added[Symbol.dispose]()
        ending ??= recordFault(directory(), 'metadata fault over', { kind: fault.kind })
        return ending
      }
      return { end, [Symbol.asyncDispose]: end }
    },
  }
}
