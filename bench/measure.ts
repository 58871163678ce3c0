/**
 * `calculate` of a UKI of 68 MB in four banks: the guest tools' `systemd-measure` as a whole process, and the same
 * as a call in a process that runs already, against systemd's own. Also the most memory that the process had.
 *
 * Usage: node bench/measure.ts [rounds]
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parsePe } from '../src/formats/index.ts'
import { guestTool, guestToolsProgram, toolOutput } from '../src/guest/index.ts'
import { build } from '../src/image/index.ts'
import { ukiProfile } from '../src/measure/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { keepResult, report, rounds } from './support/rounds.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const ORIGINAL = '/usr/lib/systemd/systemd-measure'
/** Kernel and initrd of the UKI that mkosi makes by itself, 68 MB with the rest; those of our image are much smaller. */
const BYTES: Readonly<Record<string, number>> = { '.linux': 14_000_000, '.initrd': 53_900_000 }
const [wanted = '11', inside] = process.argv.slice(2)

if (inside === undefined) await outside()
else await compare(inside)

/** Makes everything ready, then goes on in the tools tree: so the original needs no wrapper that would be timed with it. */
async function outside(): Promise<void> {
  const cache = new Cache()
  const toolchain = await setUp()
  const places = { imagesDirectory: join(CHECKOUT, 'images'), outDirectory: join(CHECKOUT, 'out') }
  const image = await build('cloud', { toolchain, cache, ...places })
  await mkdir(cache.directory, { recursive: true })
  const directory = await mkdtemp(join(cacheDirectory(), 'bench-measure-'))
  try {
    await symlink(await guestToolsProgram(cache), join(directory, 'systemd-measure'))
    const uki = await readFile(image.ukiPath)
    for (const { name, bytes } of ukiProfile(parsePe(uki), uki).measured) {
      await writeFile(join(directory, name.slice(1)), filled(bytes, BYTES[name] ?? bytes.byteLength))
    }
    const { argv } = toolchain.command([process.execPath, import.meta.filename, wanted, directory])
    const [file = '', ...args] = argv
    const child = spawn(file, args, { stdio: 'inherit' })
    const [status] = (await once(child, 'close')) as [number | null]
    process.exitCode = status ?? 1
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function compare(directory: string): Promise<void> {
  const sections = ['linux', 'osrel', 'cmdline', 'initrd', 'ucode', 'uname', 'sbat', 'profile', 'hwids', 'dtbauto']
  const isThere = (name: string): boolean => spawnSync('test', ['-e', join(directory, name)]).status === 0
  const argv = ['calculate', ...sections.filter(isThere).map((name) => `--${name}=${join(directory, name)}`)]
  const answer = printed(ORIGINAL, argv)
  const check = (text: string): void => {
    if (text !== answer) throw new Error(`Not what the original prints:\n${text}\n${answer}`)
  }
  const ours = join(directory, 'systemd-measure')
  const wholeProcess = (name: string, file: string) => ({
    name,
    run: async (): Promise<number> => {
      const begun = performance.now()
      const text = printed(file, argv)
      const seconds = (performance.now() - begun) / 1000
      check(text)
      return seconds
    },
  })
  const call = {
    name: 'call',
    run: async (): Promise<number> => {
      let text = ''
      const output = toolOutput({
        environment: {},
        isOutTerminal: false,
        isErrorTerminal: false,
        out: (more) => {
          text += more
        },
        error: () => undefined,
      })
      const begun = performance.now()
      await guestTool('systemd-measure')(argv, output)
      const seconds = (performance.now() - begun) / 1000
      check(text)
      return seconds
    },
  }
  const peak = await peakMiB(ours, argv)
  const rows = await rounds(Number(wanted), [
    wholeProcess('systemd-measure', ORIGINAL),
    wholeProcess('guest tools', ours),
    call,
  ])
  await report('measure', rows, [
    { name: 'guest tools', peer: 'systemd-measure', limit: 0.9 },
    { name: 'call', peer: 'systemd-measure', limit: 0.55 },
  ])
  process.stdout.write(
    `  ${peak < 150 ? 'met   ' : 'MISSED'} memory of the process: ${peak.toFixed(0)} MiB (goal: under 150)\n`,
  )
  await keepResult('measure-memory', { peakMiB: peak, limitMiB: 150 })
}

/** The bytes again and again, up to a length. */
function filled(bytes: Uint8Array, length: number): Uint8Array {
  return length <= bytes.byteLength ? bytes : Buffer.alloc(length, bytes)
}

function printed(file: string, argv: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, argv, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file} ended with ${status}: ${stderr}`)
  return stdout
}

/** The high-water mark that the kernel keeps (VmHWM, proc_pid_status(5)), read until the process is gone. */
async function peakMiB(file: string, argv: readonly string[]): Promise<number> {
  const child = spawn(file, argv, { stdio: 'ignore' })
  let isRunning = true
  child.once('exit', () => {
    isRunning = false
  })
  let peak = 0
  while (isRunning) {
    try {
      const status = readFileSync(join('/proc', String(child.pid), 'status'), 'utf8')
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
    } catch {
      // It has just ended.
    }
    await new Promise((done) => setTimeout(done, 1))
  }
  return peak
}
