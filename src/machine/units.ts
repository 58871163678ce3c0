import { BootwrightError } from '../system/index.ts'
import { BootWatch } from './boot-watch.ts'
import type { WaitOptions } from './guest.ts'
import type { RunningMachine } from './running-machine.ts'

/** What the manager says of a unit (org.freedesktop.systemd1.Unit). */
interface UnitState {
  readonly active: string
  readonly load: string
  readonly result: string
  /** It has run, and is over. */
  readonly hasEnded: boolean
}

const ASK_AGAIN_MS = 250

/** Resolves when the unit is active; rejects at once with `GUEST_UNIT_FAILED` when it fails, or does not exist. */
export function unitActive(machine: RunningMachine, name: string, options: WaitOptions): Promise<void> {
  return waitForUnit(machine, name, options, (state) => {
    if (state.active === 'active') return true
    if (state.active === 'failed' || state.load === 'not-found') throw unexpected(name, 'become active', state)
    return false
  })
}

/** Resolves when the unit has failed; rejects at once with `GUEST_UNIT_FAILED` when it has ended well, or does not exist. */
export function unitFailed(machine: RunningMachine, name: string, options: WaitOptions): Promise<void> {
  return waitForUnit(machine, name, options, (state) => {
    if (state.active === 'failed') return true
    if (state.load === 'not-found' || (state.active === 'inactive' && state.hasEnded)) {
      throw unexpected(name, 'fail', state)
    }
    return false
  })
}

/** Names of the units that have failed, sorted. */
export async function failedUnits(machine: RunningMachine): Promise<string[]> {
  const { stdout } = await machine.run([
    'systemctl',
    'list-units',
    '--all',
    '--failed',
    '--plain',
    '--no-legend',
    '--no-pager',
  ])
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[0] ?? '')
    .filter((name) => name !== '')
    .sort()
}

async function waitForUnit(
  machine: RunningMachine,
  name: string,
  options: WaitOptions,
  isThere: (state: UnitState) => boolean,
): Promise<void> {
  await using watch = new BootWatch(machine, options)
  for (;;) {
    const state = await Promise.race([unitState(machine, name, watch.signal), watch.stalled])
    if (isThere(state)) return
    watch.saw(`${name} ${state.active}`)
    await watch.pause(ASK_AGAIN_MS)
  }
}

async function unitState(machine: RunningMachine, name: string, signal: AbortSignal): Promise<UnitState> {
  const properties = 'ActiveState,Result,LoadState,InactiveEnterTimestampMonotonic'
  const { stdout } = await machine.run(['systemctl', 'show', `--property=${properties}`, '--', name], { signal })
  const facts = new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=', 2) as [string, string]),
  )
  return {
    active: facts.get('ActiveState') ?? '',
    load: facts.get('LoadState') ?? '',
    result: facts.get('Result') ?? '',
    hasEnded: !['', '0', undefined].includes(facts.get('InactiveEnterTimestampMonotonic')),
  }
}

function unexpected(name: string, expected: string, state: UnitState): BootwrightError {
  const found = state.load === 'not-found' ? 'that there is no such unit' : `it ${state.active} (${state.result})`
  return new BootwrightError('GUEST_UNIT_FAILED', `Expected ${name} to ${expected}, found ${found}`, {
    hint: `\`systemctl status ${name}\` in the guest tells more.`,
    detail: { unit: name },
  })
}
