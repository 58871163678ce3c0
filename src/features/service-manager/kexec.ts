import { randomBytes } from 'node:crypto'
import type { RunningMachine } from '../../machine/index.ts'
import type { Requirement } from '../requirement.ts'
import { sh } from '../shell.ts'
import { forget, held, type Kept, preserving, read, store } from './keeper.ts'

const TEMPLATE = 'bootwright-kexec@.service'
const KEEPS = 'bootwright-kexec@keeps.service'
const FORGETS = 'bootwright-kexec@forgets.service'
/** What both kernels need for the descriptors to have a place: the initrd of the second one as well. */
const TEXT = `[Service]\n${preserving('yes')}Type=oneshot\nExecStart=true\n`
/** Warnings of the kernel and of who speaks through it. */
const WARNING_LEVEL = 5

/** Where there is no boot loader with entries, systemd has nothing to go on with. */
export const BOOT_ENTRY: Requirement = {
  name: 'systemctl kexec finds no boot entry to go on with',
  isMet: async ({ machine }) => (await sh(machine, 'systemctl kexec --dry-run')).status === 0,
}

/** What systemd-shutdown says, without the second of each two letters. */
const LOST = /\(name '([^']*)'\).*wil be lost acros kexec/

/** What came of two units' descriptors, each a memfd and a socket, when the kernel gave way to another one. */
export interface KexecOutcome {
  /** What the memfds said. */
  readonly words: string
  readonly isAnotherBoot: boolean
  /** How often this system went through a kexec with live update, before and after. */
  readonly counts: { readonly before: string; readonly after: string }
  /** How many, with `FileDescriptorStorePreserve=yes` and with `restart`. */
  readonly stored: string
  readonly held: string
  readonly keeps: Kept
  readonly forgets: Kept
  /** Names of the descriptors that were given up, as the machine said on its way out. */
  readonly lost: readonly string[]
}

/** Goes on with the same kernel and initrd once more, by way of kexec. */
export async function overKexec(machine: RunningMachine): Promise<KexecOutcome> {
  // Nobody could know them who has not kept them.
  const words = randomBytes(16).toString('hex')
  await machine.writeFile(`/run/systemd/system/${TEMPLATE}`, TEXT)
  const lines: string[] = []
  using _listening = { [Symbol.dispose]: machine.console.onLine((line) => lines.push(line)) }
  try {
    await store(machine, KEEPS, 'yes', words)
    await store(machine, FORGETS, 'restart', words)
    const before = { boot: await bootId(machine), count: await kexecCount(machine) }
    const stored = await allHeld(machine)
    await machine.run(['sh', '-c', `echo ${WARNING_LEVEL} >/proc/sys/kernel/printk`])
    await machine.kexec({ commandLineExtra: [credential(`systemd.extra-unit.${TEMPLATE}`, TEXT)] })
    await machine.booted()
    return {
      words,
      isAnotherBoot: (await bootId(machine)) !== before.boot,
      counts: { before: before.count, after: await kexecCount(machine) },
      stored,
      held: await allHeld(machine),
      keeps: await read(machine, KEEPS, 'yes'),
      forgets: await read(machine, FORGETS, 'restart'),
      lost: lines.flatMap((line) => LOST.exec(singly(line))?.[1] ?? []),
    }
  } finally {
    for (const unit of [KEEPS, FORGETS]) await forget(machine, unit)
    await sh(machine, `rm -f /run/systemd/system/${TEMPLATE}; systemctl daemon-reload`)
  }
}

/** Each letter once: on its way out the kernel writes one twice here and there. */
function singly(line: string): string {
  return line.replace(/(.)\1+/g, '$1')
}

/** A unit for the initrd and the system, as one word: both read their credentials from the kernel's command line. */
function credential(name: string, text: string): string {
  return `systemd.set_credential_binary=${name}:${Buffer.from(text).toString('base64')}`
}

async function allHeld(machine: RunningMachine): Promise<string> {
  return `${await held(machine, KEEPS)} ${await held(machine, FORGETS)}`
}

async function bootId(machine: RunningMachine): Promise<string> {
  return (await machine.readFile('/proc/sys/kernel/random/boot_id')).toString().trim()
}

async function kexecCount(machine: RunningMachine): Promise<string> {
  return (await sh(machine, 'systemctl show --value --property=KExecCount')).stdout.trim()
}
