/**
 * Boot to ready under emulation: the plain forky image that bare mkosi makes, booted by `mkosi vm`, against the same image
 * and ours booted by us. Ready is the login prompt on the serial console, the same sign for all.
 *
 * Usage: node bench/boot.ts [rounds]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type BuiltImage, build } from '../src/image/index.ts'
import { DEFAULT_SPEC, firmwareNamed, machine, PrivateNetwork, withoutControls } from '../src/machine/index.ts'
import { BootwrightError, run } from '../src/system/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { machineStates } from '../src/verify/index.ts'
import { report, rounds } from './support/rounds.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const WORK = join(cacheDirectory(), 'bench')
const PROMPT = /\blogin: *$/
const LIMIT_MS = 300_000

const toolchain = await setUp({ onProgress: (step, line) => process.stderr.write(`${step}: ${line}\n`) })
const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), 'plain', toolchain, new Cache())
await mkdir(WORK, { recursive: true })

/** `mkosi` on its own, on the peer's definition, with nothing kept in the checkout. */
function bareMkosi(...args: readonly string[]) {
  return toolchain.mkosi([
    `--directory=${join(CHECKOUT, 'bench/plain')}`,
    `--output-directory=${WORK}`,
    `--workspace-directory=${WORK}`,
    ...args,
  ])
}

async function ours(image: Pick<BuiltImage, 'name' | 'version' | 'diskPath'>): Promise<number> {
  const directory = join(WORK, 'network')
  await mkdir(directory, { recursive: true })
  await using network = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] })
  const begun = performance.now()
  const spec = {
    ...DEFAULT_SPEC,
    image,
    firmware,
    accelerator: 'tcg',
    uuid: '11111111-2222-4333-8444-555555555555',
    memoryMiB: 2048,
  } as const
  await using running = await machine(spec, {
    toolchain,
    network,
    stateParent: machineStates(cacheDirectory()),
    name: `bench-${process.pid}-${Math.round(begun)}`,
  }).start()
  const ready = Promise.withResolvers<number>()
  running.console.onBytes(() => {
    if (PROMPT.test(running.console.partialLine)) ready.resolve((performance.now() - begun) / 1000)
  })
  const timer = setTimeout(async () => {
    ready.reject(await running.explain(new BootwrightError('BOOT_STALLED', `${image.name}: no login prompt`)))
  }, LIMIT_MS)
  try {
    return await ready.promise
  } finally {
    clearTimeout(timer)
  }
}

async function mkosiVm(): Promise<number> {
  const command = bareMkosi(
    '--kvm=no',
    '--tpm=yes',
    '--ram=2G',
    '--cpus=2',
    '--console=native',
    '--register=no',
    '--ephemeral=yes',
    'vm',
  )
  const begun = performance.now()
  // It must not outlive us, whatever ends us.
  const [file = '', ...args] = ['setpriv', '--pdeathsig', 'TERM', '--', ...command.argv]
  const child = spawn(file, args, {
    cwd: CHECKOUT,
    env: { ...process.env, ...command.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  const ended = once(child, 'exit')
  let seen = ''
  const ready = Promise.withResolvers<number>()
  const look = (chunk: Buffer) => {
    seen = (seen + chunk.toString('latin1')).slice(-4000)
    if (PROMPT.test(withoutControls(seen))) ready.resolve((performance.now() - begun) / 1000)
  }
  child.stdout.on('data', look)
  child.stderr.on('data', look)
  const timer = setTimeout(
    () => ready.reject(new BootwrightError('BOOT_STALLED', `mkosi vm: no login prompt:\n${seen}`)),
    LIMIT_MS,
  )
  ended.then(() => ready.reject(new BootwrightError('TOOL_FAILED', `mkosi vm ended:\n${seen}`)))
  try {
    return await ready.promise
  } finally {
    clearTimeout(timer)
    // Its own process group: mkosi, and the machine monitor that it has started.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
    await ended
  }
}

await run(bareMkosi('build'), { onLine: (line) => process.stderr.write(`${line}\n`) })
const images = new Map<string, BuiltImage>()
for (const name of ['cloud', 'minimal']) {
  images.set(
    name,
    await build(name, {
      toolchain,
      imagesDirectory: join(CHECKOUT, 'images'),
      outDirectory: join(CHECKOUT, 'out'),
      cache: new Cache(),
    }),
  )
}
const plain = { name: 'plain', version: '1', diskPath: join(WORK, 'plain.raw') }
const imageNamed = (name: string) => {
  const image = images.get(name)
  if (image === undefined) throw new BootwrightError('BUG', `${name} was not built`)
  return image
}

const rows = await rounds(Number(process.argv[2] ?? 3), [
  { name: 'plain, mkosi vm', run: mkosiVm },
  { name: 'plain, bootwright', run: () => ours(plain) },
  { name: 'cloud, bootwright', run: () => ours(imageNamed('cloud')) },
  { name: 'minimal, bootwright', run: () => ours(imageNamed('minimal')) },
])
await report('boot-to-login', rows, [
  { name: 'cloud, bootwright', peer: 'plain, mkosi vm', limit: 0.6 },
  { name: 'minimal, bootwright', peer: 'plain, mkosi vm', limit: 0.4 },
  { name: 'plain, bootwright', peer: 'plain, mkosi vm', limit: 1.0 },
])
await rm(join(WORK, 'network'), { recursive: true, force: true })
