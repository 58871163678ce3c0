import type { WriteLog } from '../../../src/formats/index.ts'
import type { RecordedWrites } from '../../../src/machine/index.ts'
import { tools } from '../scene.ts'
import { type BootableVersion, BootJudge, type BootState, bootProblem } from './boot-state.ts'
import { type CrashState, eachCrashState } from './crash-states.ts'

/** Disks that are alike in one respect. */
export interface Kind {
  readonly state: BootState
  readonly first: CrashPoint
  last: CrashPoint
  count: number
}

/** Where in a recording a disk is. */
export type CrashPoint = Pick<CrashState, 'at' | 'mode'>

export interface Survey {
  readonly flushes: number
  readonly disks: number
  /** How many disks boot which version. */
  readonly booting: Readonly<Record<string, number>>
  readonly problems: readonly string[]
  /** Disks that a boot cannot tell from each other, and those that an update cannot. */
  readonly boots: ReadonlyMap<string, Kind>
  readonly updates: ReadonlyMap<string, Kind>
  readonly final: BootState
}

/** Looks at each disk of a recording, by what is on it. */
export async function survey(
  recording: Pick<RecordedWrites, 'basePath' | 'logPath'>,
  log: WriteLog,
  { versions, directory, seeds }: { versions: readonly BootableVersion[]; directory: string; seeds: readonly number[] },
): Promise<Survey> {
  const judge = new BootJudge(versions)
  const [boots, updates] = [new Map<string, Kind>(), new Map<string, Kind>()]
  const booting: Record<string, number> = {}
  const problems: string[] = []
  let intact: BootState | undefined
  let final: BootState | undefined
  let disks = 0
  const flushes = await eachCrashState(
    recording,
    log,
    { toolchain: await tools(), directory, seeds },
    ({ at, mode, disk }) => {
      const state = judge.state(disk)
      disks += 1
      intact ??= state
      final = state
      const problem = bootProblem(state, intact)
      if (problem !== undefined) problems.push(`behind entry ${at} (${mode.kind}): ${problem}`)
      const booted = problem === undefined ? newest(state) : 'neither'
      booting[booted] = (booting[booted] ?? 0) + 1
      for (const [kinds, key] of [
        [boots, bootKey(state)],
        [updates, updateKey(state)],
      ] as const) {
        const kind = kinds.get(key)
        if (kind === undefined) kinds.set(key, { state, first: { at, mode }, last: { at, mode }, count: 1 })
        else {
          kind.count += 1
          kind.last = { at, mode }
        }
      }
    },
  )
  if (final === undefined) throw new Error('Nothing was flushed')
  return { flushes, disks, booting, problems, boots, updates, final }
}

export function sameDisk(a: CrashPoint, b: CrashPoint): boolean {
  return a.at === b.at && JSON.stringify(a.mode) === JSON.stringify(b.mode)
}

/** The version that is booted. */
export function newest({ entries }: BootState): string {
  return (
    entries
      .map(({ version }) => version ?? '')
      .toSorted()
      .at(-1) ?? 'neither'
  )
}

export function bootKey({ gpt, entries }: BootState): string {
  const copies = gpt === 'both' ? 'both copies of the partition table' : `the ${gpt} copy of the partition table`
  return [copies, ...entries.map(({ name }) => name)].join(', ')
}

function updateKey({ gpt, slots, files }: BootState): string {
  return JSON.stringify([gpt, files, slots.map(({ typeGuid, name, partitionGuid }) => [typeGuid, name, partitionGuid])])
}

/** A recording of who writes the file system of a version when it is activated already. */
export function activatedFirst(log: WriteLog, { slots }: BootState, version: string): WriteLog {
  const slot = slots.find(({ name }) => name === `ab_${version}`)
  if (slot === undefined) throw new Error(`There is no version ${version}`)
  const isPayload = ({ offset, length }: WriteLog['entries'][number]) =>
    length > 0 && offset >= slot.offset && offset < slot.offset + slot.size
  const rest = log.entries.filter((entry) => !isPayload(entry))
  const end = rest.findLastIndex(({ isFlush }) => isFlush)
  return numbered(log, [...rest.slice(0, end), ...log.entries.filter(isPayload), ...rest.slice(end)])
}

/** A recording of who leaves it to chance what is on the disk first. */
export function withoutFlushes(log: WriteLog): WriteLog {
  const last = log.entries.findLastIndex(({ isFlush }) => isFlush)
  return numbered(
    log,
    log.entries.map((entry) => (entry.index === last ? entry : { ...entry, isFlush: false })),
  )
}

function numbered(log: WriteLog, entries: WriteLog['entries']): WriteLog {
  return { ...log, entries: entries.map((entry, index) => ({ ...entry, index })) }
}
