import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type MachineSpec, PrivateNetwork } from '../../src/machine/index.ts'
import {
  type BootLogs,
  compareBoot,
  type EventFinding,
  type PredictedEvent,
  parseEventLog,
  parseUserspaceLog,
  wrongFindings,
} from '../../src/measure/index.ts'
import {
  type Answering,
  calibrate,
  type PredictionOptions,
  predictMachine,
  readFirmwareLog,
  readUserspaceLog,
} from '../../src/scene/index.ts'
import { Cache } from '../../src/toolchain/index.ts'
import { STATES, tools } from './scene.ts'

export type Predict = (
  spec: MachineSpec,
  options?: Omit<PredictionOptions, 'toolchain' | 'calibration'>,
) => Promise<readonly PredictedEvent[]>

/** Predicts machines of one shape. Whatever differs between them, their calibration is that of this one. */
export async function predictorFor(shape: MachineSpec): Promise<Predict> {
  const toolchain = await tools()
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-measured-'))
  try {
    await mkdir(STATES, { recursive: true })
    await using network = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] })
    const context = { toolchain, network, stateParent: STATES, name: basename(directory) }
    const calibration = await calibrate(shape, context, new Cache())
    return async (spec, options) => (await predictMachine(spec, { ...options, toolchain, calibration })).events
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** What a guest says that was measured. */
export async function logsOf(guest: Answering): Promise<BootLogs> {
  const [log, userspaceLog] = await Promise.all([readFirmwareLog(guest), readUserspaceLog(guest)])
  if (log === undefined) throw new Error('the guest has no event log of its firmware')
  return { log: parseEventLog(log), userspaceLog: parseUserspaceLog(userspaceLog ?? new Uint8Array()) }
}

/** All that is not as predicted, a line each, with shortened digests. */
export function differences(predicted: readonly PredictedEvent[], logs: BootLogs): string[] {
  return wrongFindings(compareBoot(predicted, logs)).map(line)
}

/** What could not be predicted, a line each. */
export function unknowns(predicted: readonly PredictedEvent[], logs: BootLogs): string[] {
  return compareBoot(predicted, logs)
    .filter(({ status }) => status === 'unknown')
    .map(line)
}

function line({ pcr, status, cause }: EventFinding): string {
  return `PCR ${pcr} ${status}: ${cause.replaceAll(/[0-9a-f]{16}…/g, '…')}`
}
