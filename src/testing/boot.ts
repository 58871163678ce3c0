import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BOOTED, DEFAULT_SPEC, forkMachine, type MachineSpec, machine, type RunningMachine } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { BootOptions } from './boot-options.ts'
import type { CallLog } from './call-log.ts'
import { describedInstance } from './cloud-description.ts'
import { MachineRecord } from './machine-record.ts'
import { reserveRoom } from './room.ts'
import { openScene } from './scene.ts'
import type { Workbench } from './workbench.ts'

/** Where a machine is started for. */
export interface BootContext {
  readonly workbench: Workbench
  /** The test, as the queue for room names it. */
  readonly owner: string
  /** Evidence of this machine, and logs of its network. */
  readonly directory: string
  /** Unique among the machines that run on this host. */
  readonly name: string
  readonly signal: AbortSignal
  /** Tells what a person should know, though the test goes on. */
  notice(text: string): void
  /** The machine is on. Whatever happens from now on, it has to be ended. */
  adopt(record: MachineRecord): void
  readonly log: CallLog
}

/** The same for every machine without a cloud, so that two measure alike; a machine ID derives from it. */
const UUID = 'b0070000-1111-4222-8333-444444444444'
const DEFAULT_FIRMWARE = 'plain'

/** Starts a machine, with everything that it needs. */
export async function bootMachine(image: string, options: BootOptions, context: BootContext): Promise<MachineRecord> {
  const { log } = context
  return log.record('boot', [image, shownOptions(options)], () => start(image, options, context))
}

async function start(image: string, options: BootOptions, context: BootContext): Promise<MachineRecord> {
  const { workbench, signal } = context
  const { settings } = workbench
  const macAddress = DEFAULT_SPEC.macAddress
  // Names first: a slip of the pen should not cost minutes.
  const cloud = options.cloud === undefined ? undefined : describedInstance(options.cloud, macAddress)
  const firmware = await workbench.firmware(options.firmware ?? DEFAULT_FIRMWARE)
  const built = await workbench.image(image)
  const toolchain = await workbench.tools()
  const cloudSmbios = cloud?.provider.smbios(cloud.instance) ?? {}
  const spec: MachineSpec = {
    ...DEFAULT_SPEC,
    image: built,
    firmware,
    tpm: options.tpm ?? DEFAULT_SPEC.tpm,
    accelerator: await workbench.accelerator(firmware.needsSmm),
    memoryMiB: options.memoryMiB ?? DEFAULT_SPEC.memoryMiB,
    cores: options.cores ?? DEFAULT_SPEC.cores,
    uuid: options.smbios?.system?.uuid ?? cloudSmbios.system?.uuid ?? UUID,
    smbios: { ...cloudSmbios, ...options.smbios },
    credentials: options.credentials ?? {},
    kernelCommandLineExtra: options.kernelCommandLine ?? [],
    channel: options.channel ?? true,
    ...(options.diskMiB === undefined ? {} : { diskMiB: options.diskMiB }),
    ...(options.clockOffsetSeconds === undefined ? {} : { clockOffsetSeconds: options.clockOffsetSeconds }),
    ...(options.screen === undefined ? {} : { screen: options.screen }),
  }
  await using resources = new AsyncDisposableStack()
  resources.use(
    await reserveRoom({
      cache: settings.cache,
      owner: context.owner,
      memoryMiB: spec.memoryMiB,
      cores: spec.cores,
      jobs: settings.jobs,
      signal,
      onWait: (reason) => context.notice(`waits for room on this host: ${reason}`),
    }),
  )
  await mkdir(context.directory, { recursive: true })
  const scene = resources.use(await openScene({ toolchain, directory: context.directory, cloud, macAddress, signal }))
  const place = { toolchain, network: scene.network, stateParent: workbench.stateParent, name: context.name }
  const adopt = (running: RunningMachine, isAnswering: boolean) => {
    const record = new MachineRecord(
      running,
      {
        image: built,
        scene,
        evidenceDirectory: context.directory,
        allowedSymptoms: [...settings.project.allowedSymptoms, ...(options.allowedSymptoms ?? [])],
        log: context.log,
        resources: resources.move(),
      },
      isAnswering,
    )
    context.adopt(record)
    return record
  }
  if (options.from !== 'cold' && spec.channel) {
    const forked = await forkMachine(spec, place, {
      cache: settings.cache,
      point: BOOTED,
      surroundings: plain(cloud?.instance),
      ...('identity' in options && options.identity !== undefined ? { identity: options.identity } : {}),
      signal,
      onFallback: (reason) => {
        context.notice(`could not go on from its snapshot, boots from cold: ${reason.message}`)
        context.log.begin('snapshot removed')(reason)
      },
    })
    return adopt(forked, true)
  }
  const record = adopt(await machine(spec, place).start({ signal }), false)
  // Through the machine itself: its face would write it down as a verb of the test.
  if (options.until !== 'power-on' && spec.channel) {
    await record.running?.booted({ signal })
    record.guestAnswers()
  }
  return record
}

/** What an instance is, in JSON: the identity of a snapshot that was made beside it. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value ?? null, (_, part: unknown) => {
      // Node's own way to write a Buffer, for all kinds of bytes.
      return part instanceof Uint8Array ? Buffer.from(part).toString('base64') : part
    }),
  )
}

function shownOptions(options: BootOptions): object {
  const { cloud, credentials, ...rest } = options
  return {
    ...(cloud === undefined ? {} : { cloud: typeof cloud === 'string' ? cloud : cloud.cloud }),
    ...rest,
    // Names only: they may be secrets.
    ...(credentials === undefined ? {} : { credentials: Object.keys(credentials).join(', ') }),
  }
}

/** The directory of the n-th machine of a test. */
export function machineDirectory(testDirectory: string, count: number): string {
  if (count < 1) throw new BootwrightError('BUG', 'Machines of a test are counted from 1')
  return count === 1 ? testDirectory : join(testDirectory, `machine-${count}`)
}
