import type { GuestResult } from '../machine/index.ts'
import {
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  type TcgEventLog,
  type UserspaceLog,
} from '../measure/index.ts'

/** As much of a machine as is needed to ask its guest something. */
export interface Answering {
  runUnchecked(
    argv: readonly string[],
    options?: { signal?: AbortSignal; input?: string | Uint8Array },
  ): Promise<GuestResult>
}

const TPM = '/sys/class/tpm/tpm0'
export const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
export const USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log'

/** What a command in the guest printed; undefined when it failed. */
export async function printed(guest: Answering, argv: readonly string[]): Promise<Buffer | undefined> {
  const { exitCode, stdout } = await guest.runUnchecked(argv)
  return exitCode === 0 ? stdout : undefined
}

/** PCR values of all active banks, as the kernel reads them from the TPM; undefined without a TPM. */
export async function readPcrs(guest: Answering): Promise<PcrBanks | undefined> {
  const text = await printed(guest, ['sh', '-c', `cd ${TPM} && grep . pcr-*/*`])
  if (text === undefined) return undefined
  const banks: Record<string, Record<number, string>> = {}
  for (const [, bank = '', pcr = '', value = ''] of text.toString().matchAll(/^pcr-(\w+)\/(\d+):([0-9A-Fa-f]+)$/gm)) {
    banks[bank] ??= {}
    banks[bank][Number(pcr)] = value
  }
  return parsePcrBanks(banks)
}

/** The firmware's event log; undefined when the kernel has none. */
export async function readFirmwareLog(guest: Answering): Promise<TcgEventLog | undefined> {
  const bytes = await printed(guest, ['cat', '--', FIRMWARE_LOG])
  return bytes === undefined ? undefined : parseEventLog(bytes)
}

/** The log of systemd's own measurements, empty where there is none. */
export async function readUserspaceLog(guest: Answering): Promise<UserspaceLog> {
  return parseUserspaceLog((await printed(guest, ['cat', '--', USERSPACE_LOG])) ?? new Uint8Array())
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
