import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { userDataForSystemd } from '../cloud/index.ts'
import {
  BOOTED,
  DEFAULT_SPEC,
  forkMachine,
  forkRunning,
  type MachineContext,
  type MachineSpec,
  machine,
  type RunningMachine,
} from '../machine/index.ts'
import { askingProcess, openScene, type SceneOptions, withRevoked } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { BootOptions, ForkChoice } from './boot-options.ts'
import type { CallLog } from './call-log.ts'
import { describedInstance } from './cloud-description.ts'
import { keepEvidence } from './evidence.ts'
import { MachineRecord, type RecordParts } from './machine-record.ts'
import { predictor } from './prediction.ts'
import { reserveRoom } from './room.ts'
import { workerName } from './run-id.ts'
import type { SharedNetwork } from './shared-network.ts'
import type { Workbench } from './workbench.ts'

/** Where a machine is started for. */
export interface BootContext {
  readonly workbench: Workbench
  /** The test, as the queue for room names it. */
  readonly owner: string
  /** Whether the machine outlives the test that wants it. */
  readonly isShared: boolean
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
  /** Makes a second machine of one of this test. */
  readonly fork: RecordParts['fork']
}

/**
 * The same for every machine without a cloud, so that two measure alike, but for those that share a network; a machine ID
 * derives from it.
 */
function uuidOf(index: number): string {
  return `b0070000-1111-4222-8333-4444444444${(0x44 + index).toString(16).padStart(2, '0')}`
}

const DEFAULT_FIRMWARE = 'plain'

/** Starts a machine, with everything that it needs. */
export async function bootMachine(image: string, options: BootOptions, context: BootContext): Promise<MachineRecord> {
  const { log } = context
  return log.record('boot', [image, shownOptions(options)], () => start(image, options, context))
}

async function start(image: string, options: BootOptions, context: BootContext): Promise<MachineRecord> {
  const { workbench, signal } = context
  const { settings } = workbench
  const member = await options.network?.place(options.name)
  // Names first: a slip of the pen should not cost minutes.
  const cloud = options.cloud === undefined ? undefined : describedInstance(options.cloud)
  const macAddress = cloud?.instance.interfaces[0].mac ?? member?.macAddress ?? DEFAULT_SPEC.macAddress
  const variant = await workbench.firmware(options.firmware ?? DEFAULT_FIRMWARE)
  const built = await workbench.image(image, options.sign === false ? undefined : variant)
  const firmware = await withRevoked(variant, built, options.revoked ?? [], settings.cache)
  const cloudSmbios = cloud?.provider.smbios(cloud.instance) ?? {}
  const spec: MachineSpec = {
    ...DEFAULT_SPEC,
    image: built,
    firmware,
    tpm: options.tpm ?? DEFAULT_SPEC.tpm,
    accelerator: await workbench.accelerator(firmware.needsSmm),
    memoryMiB: options.memoryMiB ?? DEFAULT_SPEC.memoryMiB,
    cores: options.cores ?? DEFAULT_SPEC.cores,
    uuid: options.smbios?.system?.uuid ?? cloudSmbios.system?.uuid ?? uuidOf(member?.index ?? 0),
    macAddress,
    smbios: { ...cloudSmbios, ...options.smbios },
    credentials: options.credentials ?? {},
    kernelCommandLineExtra: options.kernelCommandLine ?? [],
    channel: options.channel ?? true,
    ...(options.diskMiB === undefined ? {} : { diskMiB: options.diskMiB }),
    ...(options.disks === undefined ? {} : { disks: options.disks }),
    ...(options.furtherMacAddresses === undefined ? {} : { furtherMacAddresses: options.furtherMacAddresses }),
    ...(options.clockOffsetSeconds === undefined ? {} : { clockOffsetSeconds: options.clockOffsetSeconds }),
    ...(options.screen === undefined ? {} : { screen: options.screen }),
  }
  const { silenceMs } = options
  const allowedSymptoms = [...settings.project.allowedSymptoms, ...(options.allowedSymptoms ?? [])]
  await using surroundings = await surround(spec, cloud, options.network, context)
  const predict = predictor({
    spec,
    image: built,
    place: surroundings.place,
    cache: settings.cache,
    userData: surroundings.userData,
    signal,
  })
  const adopt = (running: RunningMachine, isAnswering: boolean) =>
    surroundings.adopt(running, { image: built, predict, allowedSymptoms }, isAnswering)
  if (options.from !== 'cold' && spec.channel) {
    const forked = await forkMachine(spec, surroundings.place, {
      cache: settings.cache,
      point: BOOTED,
      surroundings: plain(cloud?.instance),
      ...('identity' in options && options.identity !== undefined ? { identity: options.identity } : {}),
      signal,
      silenceMs,
      onUnreached: async (maker) => {
        context.notice(`its evidence is in ${relative(process.cwd(), context.directory)}`)
        const { directory: stateDirectory, qmp } = maker
        const transcript = surroundings.transcript()
        const calls = context.log.lines('all')
        const { toolchain } = surroundings.place
        await keepEvidence(context.directory, { stateDirectory, guest: undefined, qmp, transcript, calls, toolchain })
      },
      onFallback: (reason) => {
        context.notice(`could not go on from its snapshot, boots from cold: ${reason.message}`)
        context.log.begin('snapshot removed')(reason)
      },
    })
    return adopt(forked, true)
  }
  const record = adopt(await machine(spec, surroundings.place).start({ signal, silenceMs }), false)
  // Through the machine itself: its face would write it down as a verb of the test.
  if (options.until !== 'power-on' && spec.channel) {
    await record.running?.booted({ signal })
    record.guestAnswers()
  }
  return record
}

/** A second machine from where a running one is now: in a network of its own, beside an equal instance of its cloud. */
export async function forkRecord(
  original: MachineRecord,
  options: ForkChoice,
  context: BootContext,
): Promise<MachineRecord> {
  const { running } = original
  if (running === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Machine "${original.name}" is off: only a running one can be forked`)
  }
  if (original.parts.sharesNetwork) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Machine "${original.name}" shares its network: a fork would have its addresses, and the others could not tell them apart`,
      { hint: 'Boot another machine in that network under a name of its own.' },
    )
  }
  const { spec } = running
  const { cloud } = original.parts.scene
  const copied = cloud === undefined ? undefined : { provider: cloud.provider, instance: cloud.instance.current }
  await using surroundings = await surround(spec, copied, undefined, context)
  const forked = await forkRunning(running, surroundings.place, { ...options, signal: context.signal })
  const { image, predict, allowedSymptoms } = original.parts
  return surroundings.adopt(forked, { image, predict, allowedSymptoms }, spec.channel)
}

/** Room on this host, a network, and a cloud in it: what a machine has around it, until a record takes it over. */
interface Surroundings extends AsyncDisposable {
  readonly place: MachineContext
  /** What the metadata service has been asked, one JSON object a line. */
  transcript(): string | undefined
  /** That its cloud has for the instance now. */
  userData(): Uint8Array | undefined
  adopt(
    running: RunningMachine,
    parts: Pick<RecordParts, 'image' | 'predict' | 'allowedSymptoms'>,
    isAnswering: boolean,
  ): MachineRecord
}

async function surround(
  spec: MachineSpec,
  cloud: SceneOptions['cloud'],
  shared: SharedNetwork | undefined,
  context: BootContext,
): Promise<Surroundings> {
  const { workbench, directory, signal, log } = context
  const { settings } = workbench
  await using scope = new AsyncDisposableStack()
  scope.use(
    await reserveRoom({
      cache: settings.cache,
      owner: context.owner,
      worker: workerName(),
      isShared: context.isShared,
      memoryMiB: spec.memoryMiB,
      cores: spec.cores,
      jobs: settings.jobs,
      signal,
      onWait: (reason) => context.notice(`waits for room on this host: ${reason}`),
    }),
  )
  await mkdir(directory, { recursive: true })
  const toolchain = await workbench.tools()
  const { macAddress } = spec
  const scene =
    shared === undefined
      ? scope.use(await openScene({ toolchain, directory, cloud, macAddress, signal }))
      : { network: shared.private, cloud: undefined }
  const resources = scope.move()
  return {
    transcript: () => scene.cloud?.service.transcript.toJsonLines(),
    userData: () =>
      scene.cloud === undefined ? undefined : userDataForSystemd(scene.cloud.provider, scene.cloud.instance.current),
    place: { toolchain, network: scene.network, stateParent: workbench.stateParent, name: context.name },
    adopt(running, parts, isAnswering) {
      if (scene.cloud !== undefined) scene.cloud.service.whoAsks = askingProcess(running)
      const record = new MachineRecord(
        running,
        {
          ...parts,
          scene,
          sharesNetwork: shared !== undefined,
          evidenceDirectory: directory,
          log,
          toolchain,
          fork: context.fork,
          resources: resources.move(),
        },
        isAnswering,
      )
      context.adopt(record)
      return record
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
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
  const { cloud, credentials, network: _shared, disks, ...rest } = options
  return {
    ...(cloud === undefined ? {} : { cloud: typeof cloud === 'string' ? cloud : cloud.cloud }),
    ...rest,
    ...(disks === undefined ? {} : { disks: disks.map(({ name }) => name).join(', ') }),
    // Names only: they may be secrets.
    ...(credentials === undefined ? {} : { credentials: Object.keys(credentials).join(', ') }),
  }
}

/** The directory of the n-th machine of a test. */
export function machineDirectory(testDirectory: string, count: number): string {
  if (count < 1) throw new BootwrightError('BUG', 'Machines of a test are counted from 1')
  return count === 1 ? testDirectory : join(testDirectory, `machine-${count}`)
}
