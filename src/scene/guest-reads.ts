import type { GuestResult } from '../machine/index.ts'

/** As much of a machine as is needed to ask its guest something. */
export interface Answering {
  runUnchecked(
    argv: readonly string[],
    options?: { signal?: AbortSignal; input?: string | Uint8Array },
  ): Promise<GuestResult>
}

export const TPM = '/sys/class/tpm/tpm0'
export const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
export const USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log'

/** What a command in the guest printed; undefined when it failed. */
export async function printed(guest: Answering, argv: readonly string[]): Promise<Buffer | undefined> {
  const { exitCode, stdout } = await guest.runUnchecked(argv)
  return exitCode === 0 ? stdout : undefined
}

/** PCR values of all active banks, as the kernel reads them from the TPM, for `parsePcrBanks`; undefined without a TPM. */
export async function readPcrs(guest: Answering): Promise<Record<string, Record<number, string>> | undefined> {
  const text = await printed(guest, ['sh', '-c', `cd ${TPM} && grep . pcr-*/*`])
  if (text === undefined) return undefined
  const banks: Record<string, Record<number, string>> = {}
  for (const [, bank = '', pcr = '', value = ''] of text.toString().matchAll(/^pcr-(\w+)\/(\d+):([0-9A-Fa-f]+)$/gm)) {
    banks[bank] ??= {}
    banks[bank][Number(pcr)] = value.toLowerCase()
  }
  return banks
}

/** The firmware's event log, for `parseEventLog`; undefined when the kernel has none. */
export function readFirmwareLog(guest: Answering): Promise<Buffer | undefined> {
  return printed(guest, ['cat', '--', FIRMWARE_LOG])
}

/** The log of systemd's own measurements, for `parseUserspaceLog`; undefined when it has made none. */
export function readUserspaceLog(guest: Answering): Promise<Buffer | undefined> {
  return printed(guest, ['cat', '--', USERSPACE_LOG])
}

/** Units that have failed, with what the manager says of them. */
export async function readFailedUnits(guest: Answering): Promise<string[]> {
  const text = await printed(guest, [
    'systemctl',
    'list-units',
    '--all',
    '--failed',
    '--plain',
    '--no-legend',
    '--no-pager',
  ])
  return (text?.toString() ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[0] ?? '')
    .filter((name) => name !== '')
    .sort()
}

/** `systemctl status` of a unit in a few lines. */
export async function readStatus(guest: Answering, unit: string): Promise<string> {
  const { stdout } = await guest.runUnchecked(['systemctl', 'status', '--no-pager', '--full', '--lines=5', '--', unit])
  return stdout.toString().trim()
}

const MARK = '--bootwright-next--'
/** Kernel log, dumped cores, and words of sanitizers, in one call: the order of {@link readSymptomLines}. */
const SYMPTOMS = `dmesg 2>/dev/null
echo ${MARK}
journalctl --boot --no-pager --quiet --output=cat MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1 2>/dev/null
echo ${MARK}
journalctl --boot --no-pager --quiet --output=cat _TRANSPORT=stdout _TRANSPORT=journal 2>/dev/null | grep -E 'Sanitizer|runtime error: '
true`

/** Lines in which symptoms may show: of the kernel, and of the journal. */
export async function readSymptomLines(guest: Answering): Promise<string[]> {
  const text = await printed(guest, ['sh', '-c', SYMPTOMS])
  return (text?.toString() ?? '').split('\n').filter((line) => line !== '' && line !== MARK)
}
