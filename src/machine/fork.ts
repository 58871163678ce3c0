import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Cache } from '../toolchain/index.ts'
import { channelCredentials } from './channel-script.ts'
import { checkSpec } from './check-spec.ts'
import { type MachineContext, machine, type StartOptions } from './machine.ts'
import type { RunningMachine } from './running-machine.ts'
import type { MachineSpec } from './spec.ts'

/** A named state of a machine's life that is worth keeping, and how to get there from power-on. */
export interface SnapshotPoint {
  /** With everything that {@link reach} depends on: two points of one name are taken for the same. */
  readonly name: string
  reach(machine: RunningMachine, options: StartOptions): Promise<unknown>
}

/** systemd has finished booting. */
export const BOOTED: SnapshotPoint = { name: 'booted', reach: (running, { signal }) => running.booted({ signal }) }

export interface ForkOptions extends StartOptions {
  readonly cache: Cache
  /** Where the fork begins; {@link BOOTED} when absent. */
  readonly point?: SnapshotPoint
  /** What shaped the snapshot besides the spec: the instance that its cloud described, for example. */
  readonly surroundings?: unknown
  /** `fresh`: another machine ID and another VM generation, upon which the kernel's random numbers part ways. */
  readonly identity?: 'same' | 'fresh'
  /** Called with the machine that did not reach the point of a snapshot, before it is gone. */
  readonly onUnreached?: (maker: RunningMachine) => Promise<void>
  /** Called with the reason when a snapshot could not be used, and the machine boots from cold instead. */
  readonly onFallback?: (reason: BootwrightError) => void
}

const KIND = 'snapshots'
/** Raised when what a snapshot consists of, or how it is made, changes. */
const LAYOUT = 6
/** A snapshot takes a few hundred MiB; the ones that were used last stay. */
const KEPT = 12

/**
 * A machine that is at the point already: memory, devices, disk, variable store and TPM as a machine of the same spec had
 * them there. The first call boots that machine and keeps its state in the cache; nothing of it is shared between forks.
 *
 * A snapshot that was made with another image, firmware, toolchain or spec is never used. One that does not work is
 * removed, and the machine boots from cold.
 */
export async function forkMachine(
  spec: MachineSpec,
  context: MachineContext,
  options: ForkOptions,
): Promise<RunningMachine> {
  await checkSpec(spec)
  const point = options.point ?? BOOTED
  const identity = await snapshotIdentity(spec, context, point, options.surroundings)
  const snapshot = await options.cache.entry(
    KIND,
    identity,
    (directory) => makeSnapshot(spec, context, point, directory, options),
    { signal: options.signal },
  )
  const isFresh = options.identity === 'fresh'
  try {
    const running = await goOn(snapshot, spec, context, options)
    await markUsed(options.cache, snapshot)
    return running
  } catch (cause) {
    options.signal?.throwIfAborted()
    if (!(cause instanceof BootwrightError) || !['SNAPSHOT_FAILED', 'HELPER_EXITED'].includes(cause.code)) throw cause
    options.onFallback?.(cause)
    await rm(snapshot, { recursive: true, force: true })
  }
  const forked = isFresh ? { ...spec, generationId: randomUUID() } : spec
  await using scope = new AsyncDisposableStack()
  const running = scope.use(await machine(forked, context).start(options))
  await point.reach(running, options)
  if (isFresh && spec.channel) await wake(running, isFresh, options)
  scope.move()
  return running
}

/**
 * Another machine that goes on from where a running one is now; the running one stands still for a moment, and goes on too.
 * Of what it has, the new one gets copies. Rejects with `SNAPSHOT_FAILED`.
 */
export async function forkRunning(
  original: RunningMachine,
  context: MachineContext,
  options: Pick<ForkOptions, 'identity' | 'signal'> = {},
): Promise<RunningMachine> {
  // Where it is cleared away with the machine, whatever ends us.
  const snapshot = await mkdtemp(join(original.directory, 'fork-'))
  try {
    await original.snapshot(snapshot)
    return await goOn(snapshot, original.spec, context, options)
  } finally {
    await rm(snapshot, { recursive: true, force: true })
  }
}

async function goOn(
  snapshot: string,
  spec: MachineSpec,
  context: MachineContext,
  options: Pick<ForkOptions, 'identity'> & StartOptions,
): Promise<RunningMachine> {
  const isFresh = options.identity === 'fresh'
  await using scope = new AsyncDisposableStack()
  const running = scope.use(
    await machine(isFresh ? { ...spec, generationId: randomUUID() } : spec, context).resume(snapshot, options),
  )
  if (spec.channel) await wake(running, isFresh, options)
  scope.move()
  return running
}

/** Tells a guest that has slept in a file what time it is, and who it is from now on. */
async function wake(running: RunningMachine, isFresh: boolean, { signal }: StartOptions): Promise<void> {
  const now = `date --utc --set=@${(Date.now() / 1000).toFixed(3)} >/dev/null`
  const machineId = randomBytes(16).toString('hex')
  const identity = `printf '%s\\n' ${machineId} >/etc/machine-id`
  await running.run(['sh', '-ec', isFresh ? `${now}\n${identity}` : now], { signal })
}

/** Changes with everything that may make a machine at this point another one. */
export async function snapshotIdentity(
  spec: MachineSpec,
  { toolchain }: Pick<MachineContext, 'toolchain'>,
  point: Pick<SnapshotPoint, 'name'>,
  surroundings?: unknown,
): Promise<string> {
  const [image, code, variables, ...contents] = await Promise.all([
    spec.image.identity ?? fileIdentity(spec.image.diskPath),
    fileDigest(spec.firmware.codePath),
    fileDigest(spec.firmware.variablesPath),
    ...(spec.disks ?? []).map(({ contentPath }) => (contentPath === undefined ? '' : fileIdentity(contentPath))),
  ])
  const parts = {
    layout: LAYOUT,
    point: point.name,
    toolchain: toolchain.identity,
    spec: { ...spec, image, firmware: { code, variables, needsSmm: spec.firmware.needsSmm } },
    credentials: Object.entries(spec.credentials).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    channel: spec.channel ? channelCredentials() : undefined,
    contents,
    surroundings,
  }
  return `${spec.image.name}-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`
}

async function makeSnapshot(
  spec: MachineSpec,
  context: MachineContext,
  point: SnapshotPoint,
  directory: string,
  options: ForkOptions,
): Promise<void> {
  // In the cache's own file system, so that the state only has to be renamed.
  const maker = { ...context, stateParent: directory, name: 'maker' }
  {
    await using running = await machine(spec, maker).start(options)
    try {
      await point.reach(running, options)
    } catch (cause) {
      await options.onUnreached?.(running)
      throw cause
    }
    const saved = await running.save()
    await saved.keep()
  }
  const made = join(directory, maker.name)
  for (const name of await readdir(made)) await rename(join(made, name), join(directory, name))
  await rm(made, { recursive: true })
}

/** The most recently used snapshots stay. A fork that runs has all that it needs of its own. */
async function markUsed(cache: Cache, snapshot: string): Promise<void> {
  const now = new Date()
  await utimes(snapshot, now, now).catch(() => undefined)
  const parent = cache.path(KIND)
  const names = (await readdir(parent)).filter((name) => !name.startsWith('.') && name !== basename(snapshot))
  const used = await Promise.all(
    names.map(async (name) => ({
      name,
      at: await stat(join(parent, name)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    })),
  )
  for (const { name } of used.sort((a, b) => b.at - a.at).slice(KEPT - 1)) {
    await rm(join(parent, name), { recursive: true, force: true })
  }
}

async function fileDigest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

/** A disk is too large to be hashed each time: what the file system knows of it changes with every write. */
async function fileIdentity(path: string): Promise<string> {
  const { size, mtimeNs, ino, dev } = await stat(path, { bigint: true })
  return [path, size, mtimeNs, ino, dev].join(' ')
}
