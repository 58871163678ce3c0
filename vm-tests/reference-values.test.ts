import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import type { RunningMachine } from '../src/machine/index.ts'
import { type PredictedEvent, pcrlockFiles, referenceValues } from '../src/measure/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import { predictorFor } from './support/measured.ts'

const PCRLOCK = '/usr/lib/systemd/systemd-pcrlock'
const COMPONENTS = '/run/bootwright-components'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-components-'))
})

afterAll(() => rm(directory, { recursive: true, force: true }))

async function written(name: string, events: readonly PredictedEvent[]): Promise<string> {
  const root = join(directory, name)
  for (const { path, content } of pcrlockFiles(referenceValues(events, ['sha256']))) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  return root
}

/** Those that a policy of pcrlock protects by default. */
const PROTECTED = [0, 1, 2, 3, 4, 5, 7, 11, 13, 14, 15]

type Guest = Pick<RunningMachine, 'run' | 'copyIn'>

/** By PCR, the values that pcrlock predicts in the machine; it leaves out whatever the components do not explain. */
async function predictedByPcrlock(machine: Guest, components: string): Promise<ReadonlyMap<number, readonly string[]>> {
  await machine.run(['rm', '-rf', COMPONENTS])
  await machine.copyIn(components, COMPONENTS)
  const options = [`--components=${COMPONENTS}`, `--pcr=${PROTECTED.join('+')}`, '--json=short']
  const { stdout } = await machine.run([PCRLOCK, 'predict', ...options])
  const { sha256 } = JSON.parse(stdout) as { sha256: readonly { pcr: number; values: readonly string[] }[] }
  return new Map(sha256.map(({ pcr, values }) => [pcr, values]))
}

describe('components of pcrlock', () => {
  test('let pcrlock in the machine predict the values that its PCRs have, and no altered one', async ({ boot }) => {
    await using machine = await boot('minimal')
    const predict = await predictorFor(machine.spec)
    const events = await predict(machine.spec)
    const right = await predictedByPcrlock(machine, await written('right', events))
    const actual = await machine.tpm.readPcrs()
    expect([...right.keys()].sort((a, b) => a - b)).toEqual(PROTECTED)
    for (const pcr of PROTECTED) expect(right.get(pcr)).toContain(actual.get(pcr))

    const altered = events.map((event): PredictedEvent => {
      return event.pcr === 4 && event.by === 'firmware'
        ? { ...event, measured: { kind: 'bytes', bytes: Buffer.from('something else') } }
        : event
    })
    const wrong = await predictedByPcrlock(machine, await written('altered', altered))
    expect([...wrong.keys()].sort((a, b) => a - b)).toEqual(PROTECTED.filter((pcr) => pcr !== 4))
  })
})
