import { BootwrightError } from '../system/index.ts'
import { BootWatch } from './boot-watch.ts'
import type { GuestChannel } from './channel.ts'
import type { WaitOptions } from './guest.ts'
import { describeExit } from './guest-exit.ts'
import type { RunningMachine } from './running-machine.ts'

/** What is loaded by kexec when nothing is loaded already; paths in the guest. */
export interface KexecOptions extends WaitOptions {
  readonly kernel?: string
  readonly initrd?: string
  /** Instead of the running kernel's own. */
  readonly commandLine?: string
  /**
   * Words after the running kernel's own, where the guest finds the kernel by itself: systemd 262 takes that of the boot
   * entry that would be next.
   */
  readonly commandLineExtra?: readonly string[]
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** Restarts the guest through its firmware. Resolves when its channel answers again, in another boot. */
export async function reboot(machine: RunningMachine, channel: GuestChannel, options: WaitOptions): Promise<void> {
  await kernelRestart(machine, channel, options, { argv: ['systemctl', 'reboot'], isReset: true })
}

/**
 * Restarts userspace under the running kernel (systemd-soft-reboot.service(8)). Resolves when the channel answers again.
 */
export async function softReboot(machine: RunningMachine, channel: GuestChannel, options: WaitOptions): Promise<void> {
  const before = { boot: await bootId(channel), userspace: await userspaceStart(channel) }
  await restart(machine, channel, options, ['systemctl', 'soft-reboot'])
  const after = { boot: await bootId(channel), userspace: await userspaceStart(channel) }
  if (after.boot === before.boot && after.userspace !== before.userspace) return
  throw new BootwrightError(
    'GUEST_COMMAND_FAILED',
    after.boot === before.boot
      ? 'Expected another start of userspace after a soft reboot, found the same'
      : 'Expected the same kernel after a soft reboot, found that it was booted anew',
  )
}

/**
 * Goes on with another kernel without the firmware. Rejects with `GUEST_COMMAND_FAILED` where the guest cannot do that.
 */
export async function kexec(machine: RunningMachine, channel: GuestChannel, options: KexecOptions): Promise<void> {
  const { kernel, initrd, commandLine, commandLineExtra } = options
  if (kernel !== undefined) {
    const command = commandLine === undefined ? '--reuse-cmdline' : `--command-line=${commandLine}`
    const argv = ['kexec', '--load', kernel, ...(initrd === undefined ? [] : [`--initrd=${initrd}`]), command]
    const loading = await channel.run(argv, { signal: options.signal })
    if (loading.exitCode !== 0) throw noKexec(`kexec --load ended with ${describeExit(loading)}: ${loading.stderr}`)
  }
  const loaded = await channel.run(['cat', '/sys/kernel/kexec_loaded'], { signal: options.signal })
  if (loaded.exitCode !== 0) throw noKexec('its kernel has no kexec')
  const words = commandLineExtra?.map((word) => `--kernel-cmdline=${word}`)
  const argv = ['systemctl', 'kexec', ...(words === undefined ? [] : ['--kernel-cmdline-reuse', ...words])]
  await kernelRestart(machine, channel, options, { argv, isReset: false }).catch((cause) => {
    throw cause instanceof BootwrightError && cause.code === 'GUEST_COMMAND_FAILED'
      ? noKexec(cause.message, cause)
      : cause
  })
}

function noKexec(reason: string, cause?: unknown): BootwrightError {
  return new BootwrightError('GUEST_COMMAND_FAILED', `The guest cannot be restarted with kexec: ${reason.trim()}`, {
    cause,
    hint: 'It needs kexec-tools in the image, a kernel that is loaded, and CONFIG_KEXEC.',
  })
}

/** A restart after which another boot must run; with or without a reset of the machine, as QEMU has seen it. */
async function kernelRestart(
  machine: RunningMachine,
  channel: GuestChannel,
  options: WaitOptions,
  { argv, isReset }: { argv: readonly string[]; isReset: boolean },
): Promise<void> {
  const before = await bootId(channel)
  let resets = 0
  const stop = machine.qmp.onEvent((event) => {
    if (event.event === 'RESET') resets++
  })
  try {
    await restart(machine, channel, options, argv)
  } finally {
    stop()
  }
  const problem =
    (await bootId(channel)) === before
      ? 'found the same'
      : resets > 0 === isReset
        ? undefined
        : `found that the machine was ${isReset ? 'not ' : ''}reset`
  if (problem === undefined) return
  throw new BootwrightError('GUEST_COMMAND_FAILED', `Expected another boot after ${argv.join(' ')}, ${problem}`)
}

/** Gives the order and resolves when the guest's end of the channel has started anew and answers. */
async function restart(
  machine: RunningMachine,
  channel: GuestChannel,
  options: WaitOptions,
  argv: readonly string[],
): Promise<void> {
  await using watch = new BootWatch(machine, options)
  const refused = Promise.withResolvers<never>()
  refused.promise.catch(() => undefined)
  const back = channel.reopened(watch.signal).then(() => channel.ready(watch.signal))
  channel.run(argv, { signal: watch.signal }).then(
    (result) => {
      if (result.exitCode === 0 || result.signal !== undefined) return
      const reason = `${argv.join(' ')} ended with ${describeExit(result)}: ${result.stderr.toString().trim()}`
      refused.reject(new BootwrightError('GUEST_COMMAND_FAILED', reason, { detail: { exitCode: result.exitCode } }))
    },
    // The guest's end is on its way down, as it should be.
    () => undefined,
  )
  try {
    await Promise.race([back, refused.promise, watch.stalled])
  } catch (error) {
    options.signal?.throwIfAborted()
    throw error
  }
}

async function bootId(channel: GuestChannel): Promise<string> {
  return (await channel.readFile(BOOT_ID)).toString().trim()
}

/** When this userspace has started, in µs since the kernel did. */
async function userspaceStart(channel: GuestChannel): Promise<string> {
  const { stdout } = await channel.run(['systemctl', 'show', '--property=UserspaceTimestampMonotonic', '--value'])
  return stdout.toString().trim()
}
