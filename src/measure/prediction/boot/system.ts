import { createHash } from 'node:crypto'
import {
  type DiskReader,
  diskRange,
  fileSystemIdentity,
  type Gpt,
  type GptPartition,
  smbiosIdentity,
} from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { READY_PHASE_PATH } from '../../pcr11.ts'
import type { PredictedEvent } from '../event.ts'
import { kernelParameter } from './command-line.ts'
import { definedNvpcrs } from './defined-nvpcrs.ts'
import { PCR, unknownMeasured, wordEvent } from './events.ts'
import type { BootedSystem, BootMachine } from './input.ts'
import { type Nvpcr, nvpcrWord } from './nvpcr.ts'
import { hasChange } from './systemd-changes.ts'

/** PCRs that systemd closes with a separator when the initrd is up. */
const SEPARATED_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14]
const OS_SEPARATOR = 'os-separator'
const NVPCR_SEPARATOR = 'nvpcr-separator'
/** Root file system for x86-64 (UAPI.2 Discoverable Partitions Specification), and its attribute "no-auto". */
const ROOT_TYPE = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709'
const NO_AUTO = 1n << 63n
const USER_DATA_SHOWN_BYTES = 256

/** What the system of a measured UKI was started with. */
export interface SystemStart {
  readonly commandLine: string
  /** `.pcrpkey` of the UKI. */
  readonly pcrPublicKey: Uint8Array | undefined
  /** `.initrd` of the UKI. */
  readonly initrd: Uint8Array | undefined
  readonly systemdVersion: number
}

/** Whether systemd takes its system for a measured one: after a measured UKI, unless the command line decides. */
export function isMeasuredOs(commandLine: string, isMeasuredUki: boolean): boolean {
  const asked = kernelParameter(commandLine, 'systemd.tpm2_measured_os')
  if (asked !== undefined && /^(1|y|yes|t|true|on)$/i.test(asked)) return true
  return asked !== undefined && /^(0|n|no|f|false|off)$/i.test(asked) ? false : isMeasuredUki
}

/** The words that systemd measures in initrd and system until users may log in: their order holds in each PCR alone. */
export function system(start: SystemStart, machine: BootMachine, booted: BootedSystem, gpt: Gpt): PredictedEvent[] {
  const { commandLine, systemdVersion } = start
  const events: PredictedEvent[] = []
  if (hasChange(systemdVersion, 'osSeparator')) {
    events.push(...SEPARATED_PCRS.map((pcr) => wordEvent(pcr, OS_SEPARATOR)))
  }
  if (hasChange(systemdVersion, 'nvpcrs')) events.push(...nvpcrEvents(start, booted))
  if (booted.userData !== undefined && booted.userData.byteLength > 0) {
    events.push(wordEvent(PCR.kernelConfig, userDataWord(booted.userData), 'user data of the cloud'))
  }
  events.push(...READY_PHASE_PATH.map((word) => wordEvent(PCR.kernelBoot, word, `phase ${word}`)))
  events.push(...identityEvents(commandLine, machine, booted, gpt))
  return events
}

function nvpcrEvents(start: SystemStart, booted: BootedSystem): PredictedEvent[] {
  const { pcrPublicKey, systemdVersion } = start
  const nvpcrs = booted.nvpcrs ?? nvpcrsOf(start)
  if (nvpcrs instanceof BootwrightError) {
    const measured = unknownMeasured(`what the initrd defines is not known: ${nvpcrs.message}`)
    const unknown = { pcr: PCR.kernelInitrd, type: 'word', by: 'system', what: 'NvPCRs', measured } as const
    return [{ ...unknown, standsFor: 'anything' }, wordEvent(PCR.kernelInitrd, NVPCR_SEPARATOR)]
  }
  const events = nvpcrs.map((nvpcr): PredictedEvent => {
    const what = `NvPCR ${nvpcr.name}`
    if (pcrPublicKey !== undefined && hasChange(systemdVersion, 'nvpcrNames')) {
      return wordEvent(PCR.kernelInitrd, nvpcrWord(nvpcr, pcrPublicKey), what)
    }
    const why = hasChange(systemdVersion, 'nvpcrNames')
      ? 'the UKI has no .pcrpkey, and the name of the NV index depends on it'
      : 'its first value comes from a secret of this TPM'
    return { pcr: PCR.kernelInitrd, type: 'word', by: 'system', what, measured: unknownMeasured(why) }
  })
  return [...events, wordEvent(PCR.kernelInitrd, NVPCR_SEPARATOR)]
}

/** Those that the initrd defines; none where their set-up must fail, for want of a key. The error where that cannot be read. */
function nvpcrsOf({ initrd, pcrPublicKey, systemdVersion }: SystemStart): readonly Nvpcr[] | BootwrightError {
  if (initrd === undefined) return []
  if (pcrPublicKey === undefined && hasChange(systemdVersion, 'nvpcrNames')) return []
  try {
    return definedNvpcrs(initrd)
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return error
    throw error
  }
}

/** The digest protects the data, what follows shows what it was. */
function userDataWord(userData: Uint8Array): string {
  const digest = createHash('sha256').update(userData).digest('hex')
  return `imds-userdata:${digest}:${Buffer.from(userData.subarray(0, USER_DATA_SHOWN_BYTES)).toString('base64')}`
}

/** PCR 15: keys of encrypted volumes, the machine, its root file system. */
function identityEvents(commandLine: string, machine: BootMachine, booted: BootedSystem, gpt: Gpt): PredictedEvent[] {
  const root = rootPartition(commandLine, gpt)
  const content = root === undefined ? undefined : fileSystemOf(machine.disk, root)
  const isEncrypted = content?.type === 'crypto_LUKS'
  const unknown = (what: string, why: string): PredictedEvent => ({
    pcr: PCR.systemIdentity,
    type: 'word',
    by: 'system',
    what,
    measured: unknownMeasured(why),
  })
  const events: PredictedEvent[] = []
  if (isEncrypted) events.push(unknown('key of the root volume', 'it is a secret of the volume'))
  const id = machineId(commandLine, machine, booted)
  events.push(
    id === undefined
      ? unknown('machine ID', 'the system makes one up: it has none, and the machine has no UUID')
      : wordEvent(PCR.systemIdentity, `machine-id:${id}`),
  )
  if (root === undefined) return events
  if (content === undefined || isEncrypted) {
    const why = isEncrypted ? 'it lies on an encrypted volume' : `the format of partition ${root.number} is not known`
    return [...events, unknown('root file system', why)]
  }
  const fields = [content.type, content.uuid, content.label, root.partitionGuid, root.typeGuid, root.name]
  const word = ['file-system', '/', ...fields].map(escaped).join(':')
  return [...events, wordEvent(PCR.systemIdentity, word, 'root file system')]
}

/** A system without a machine ID takes, in a virtual machine, the machine's UUID. */
function machineId(commandLine: string, { smbios }: BootMachine, booted: BootedSystem): string | undefined {
  const asked = kernelParameter(commandLine, 'systemd.machine_id')?.replaceAll('-', '').toLowerCase()
  if (asked !== undefined && /^[0-9a-f]{32}$/.test(asked)) return asked
  const fromFirmware = smbiosIdentity(smbios).system.uuid?.replaceAll('-', '').toLowerCase()
  return asked === 'firmware' ? fromFirmware : (booted.machineId ?? fromFirmware)
}

/** The partition that systemd-gpt-auto-generator mounts as root. */
function rootPartition(commandLine: string, gpt: Gpt): GptPartition | undefined {
  const root = kernelParameter(commandLine, 'root')
  const isAutomatic = root === undefined || root === 'gpt-auto' || root === 'gpt-auto-force'
  if (!isAutomatic) return undefined
  return gpt.partitions.find(({ typeGuid, attributes }) => typeGuid === ROOT_TYPE && (attributes & NO_AUTO) === 0n)
}

function fileSystemOf(disk: DiskReader, { offset, size }: GptPartition) {
  return fileSystemIdentity(diskRange(disk, offset, size))
}

/** Bytes that would be taken for separators, or not be seen, as `\xNN`. */
function escaped(field: string): string {
  const bytes = [...Buffer.from(field)]
  return bytes
    .map((byte) =>
      byte < 0x20 || byte >= 0x7f || byte === 0x3a || byte === 0x5c
        ? `\\x${byte.toString(16).padStart(2, '0')}`
        : String.fromCharCode(byte),
    )
    .join('')
}
