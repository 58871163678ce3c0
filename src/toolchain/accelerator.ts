import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cache } from './cache.ts'
import type { Toolchain } from './toolchain.ts'

/** How QEMU runs a machine on this host, and why. */
export interface Accelerator {
  readonly name: 'kvm' | 'tcg'
  readonly reason: string
}

export interface AcceleratorOptions {
  /** Whether the firmware will use System Management Mode, as the one for Secure Boot does; a nested KVM may lack it. */
  readonly smm?: boolean
  readonly signal?: AbortSignal | undefined
}

/** What happened when the firmware was started: it came up, or the reason why not. */
export type FirmwareStart = { readonly isUp: true } | { readonly isUp: false; readonly reason: string }

/** OVMF needs under two seconds with KVM; what has not come up by then never will. */
const START_TIMEOUT_MS = 20_000

/**
 * Decides between KVM and TCG by starting the firmware for a moment, because a `/dev/kvm` that opens and makes a
 * virtual CPU may still be unable to run OVMF. The answer is remembered per kernel, processor, QEMU and OVMF.
 */
export async function accelerator(
  toolchain: Toolchain,
  cache: Cache,
  options: AcceleratorOptions = {},
): Promise<Accelerator> {
  const refusal = await kvmRefusal()
  if (refusal !== undefined) return { name: 'tcg', reason: refusal }
  const key = `accelerator-${await hostKey(toolchain, options.smm === true)}`
  const known = await cache.recall(key)
  if (isAccelerator(known)) return known
  const start = await startFirmware(toolchain, 'kvm', options)
  const answer: Accelerator = start.isUp
    ? { name: 'kvm', reason: 'the firmware starts under KVM' }
    : { name: 'tcg', reason: `the firmware does not start under KVM: ${start.reason}` }
  await cache.remember(key, answer)
  return answer
}

/** Starts OVMF without a disk and waits for its boot manager to speak up on the serial port. Ends QEMU again. */
export async function startFirmware(
  toolchain: Toolchain,
  accel: 'kvm' | 'tcg',
  options: AcceleratorOptions & { timeoutMs?: number } = {},
): Promise<FirmwareStart> {
  options.signal?.throwIfAborted()
  const firmware = join(toolchain.root, 'usr/share/OVMF')
  const code = options.smm === true ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd'
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-firmware-'))
  try {
    const variables = join(directory, 'vars.fd')
    await copyFile(join(firmware, 'OVMF_VARS_4M.fd'), variables)
    const command = toolchain.command([
      'qemu-system-x86_64',
      ...['-machine', `q35,accel=${accel},smm=${options.smm === true ? 'on' : 'off'}`],
      ...['-cpu', 'max'],
      ...['-m', '256'],
      ...['-global', `driver=cfi.pflash01,property=secure,value=${options.smm === true ? 'on' : 'off'}`],
      ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${join(firmware, code)}`],
      ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
      ...['-nodefaults', '-display', 'none', '-no-reboot'],
      ...['-serial', 'stdio'],
    ])
    return await watchFirmware(command.argv, options.timeoutMs ?? START_TIMEOUT_MS, options.signal)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function watchFirmware(argv: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<FirmwareStart> {
  const [file, ...args] = argv
  const child = spawn(file ?? '', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (status, by) => resolve(`QEMU ended with ${by ?? `status ${status}`}`))
  })
  let output = ''
  const verdict = Promise.withResolvers<FirmwareStart>()
  const listen = (text: Buffer): void => {
    output = (output + text.toString('latin1')).slice(-20_000)
    if (/BdsDxe/.test(output)) verdict.resolve({ isUp: true })
    const failure = /^.*(KVM internal error|failed to initialize kvm|Could not access KVM).*$/m.exec(output)?.[0]
    if (failure !== undefined) verdict.resolve({ isUp: false, reason: failure.trim() })
  }
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  const timer = setTimeout(() => {
    verdict.resolve({ isUp: false, reason: `it said nothing for ${timeoutMs / 1000} s` })
  }, timeoutMs)
  const abort = (): void => verdict.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const early = ended.then((how) => ({ isUp: false, reason: `${how}: ${lastLine(output)}` }) as const)
    return await Promise.race([verdict.promise, early])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    // The wrapper replaces itself by QEMU, so this process id is QEMU's own.
    child.kill('SIGKILL')
    await ended
  }
}

/** Why KVM is out of the question without any trial, or undefined. */
async function kvmRefusal(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `machines are x86-64, this host is ${process.arch}`
  try {
    const device = await open('/dev/kvm', constants.O_RDWR)
    await device.close()
    return undefined
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    return code === 'ENOENT' ? 'this host has no /dev/kvm' : `/dev/kvm cannot be opened: ${code}`
  }
}

async function hostKey(toolchain: Toolchain, smm: boolean): Promise<string> {
  const cpu = await readFile('/proc/cpuinfo', 'utf8')
  const model = ['vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'microcode'].map(
    (field) => new RegExp(`^${field}\\s*: (.*)$`, 'm').exec(cpu)?.[1] ?? '',
  )
  const facts = [release(), ...model, toolchain.versions.qemu, toolchain.versions.ovmf, toolchain.kind, smm]
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
}

function isAccelerator(fact: unknown): fact is Accelerator {
  const { name, reason } = (fact ?? {}) as { name?: unknown; reason?: unknown }
  return (name === 'kvm' || name === 'tcg') && typeof reason === 'string'
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.trim().slice(0, 200) ?? ''
}
