import type { RunningMachine } from '../../machine/index.ts'
import { BootwrightError } from '../../system/index.ts'
import type { Requirement } from '../requirement.ts'
import { output, sh } from '../shell.ts'

const EFI_GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
/** Of systemd's boot loader and stub. */
const LOADER_VARIABLE = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'
const EFIVARS = '/sys/firmware/efi/efivars'

export const UNSIGNED_BOOT: Requirement = {
  name: 'the firmware starts nothing that was altered (Secure Boot)',
  isMet: async ({ machine }) => (await readVariable(machine, 'SecureBoot'))?.[0] !== 1,
}

/** Where the boot partition is mounted. */
export function espPath(machine: RunningMachine): Promise<string> {
  return output(machine, 'bootctl', '--print-esp-path')
}

/** The content of a variable of the firmware; undefined when there is none. */
export async function readVariable(
  machine: RunningMachine,
  name: string,
  vendor = EFI_GLOBAL_VARIABLE,
): Promise<Buffer | undefined> {
  const { exitCode, stdout } = await machine.runUnchecked(['cat', `${EFIVARS}/${name}-${vendor}`])
  // Its attributes come first.
  return exitCode === 0 ? stdout.subarray(4) : undefined
}

/** Non-volatile, and visible at runtime too. */
export async function writeVariable(machine: RunningMachine, name: string, data: Uint8Array): Promise<void> {
  const octal = [7, 0, 0, 0, ...data].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
  // In one piece.
  const script = `file=${EFIVARS}/$1-${EFI_GLOBAL_VARIABLE}; chattr -i "$file" 2>/dev/null; printf "$2" >"$file"`
  const { status, stderr } = await sh(machine, script, name, octal)
  if (status === 0) return
  throw new BootwrightError('GUEST_COMMAND_FAILED', `The firmware did not take its variable ${name}: ${stderr.trim()}`)
}

export async function deleteVariable(machine: RunningMachine, name: string): Promise<void> {
  await machine.run(['rm', '-f', `${EFIVARS}/${name}-${EFI_GLOBAL_VARIABLE}`])
}

/** What boot loader or stub say of themselves in a variable; empty when they do not. */
export async function loaderWord(machine: RunningMachine, name: string): Promise<string> {
  const data = await readVariable(machine, name, LOADER_VARIABLE)
  return (data?.toString('utf16le') ?? '').replace(/\0.*$/s, '')
}
