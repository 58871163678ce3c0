import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { opensSocket } from '../system/index.ts'
import { parseBoolean } from './values.ts'

const EFIVARS = '/sys/firmware/efi/efivars'
/** The PCR that systemd-stub measures the parts of a UKI into. */
const KERNEL_BOOT_PCR = 11

/** systemd-detect-virt(1), which knows all of them; undefined without it. */
export function detectVirtualization(...options: readonly string[]): { isSo: boolean; id: string } | undefined {
  const { status, stdout } = spawnSync('systemd-detect-virt', options, { encoding: 'utf8' })
  return status === null ? undefined : { isSo: status === 0, id: stdout.trim() }
}

const JUDGES: Readonly<Record<string, () => boolean | 'Invalid argument' | 'Object is remote' | undefined>> = {
  selinux: () => existsSync('/sys/fs/selinux/enforce') && existsSync('/etc/selinux/config'),
  smack: () => existsSync('/sys/fs/smackfs/'),
  apparmor: () => parseBoolean(textOf('/sys/module/apparmor/parameters/enabled') ?? '') === true,
  audit: () => isInitialUserNamespace() && opensSocket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT),
  ima: () => existsSync('/sys/kernel/security/ima/'),
  tomoyo: () => existsSync('/sys/kernel/security/tomoyo/version'),
  'uefi-secureboot': () => isEfiBoot() && (variable('SecureBoot', GLOBAL)?.readUInt8(0) ?? 0) !== 0,
  tpm2: () => existsSync('/sys/class/tpmrm') && hasFirmwareTpm2() && !isContainer(),
  cvm: () => detectVirtualization('--cvm')?.isSo,
  'measured-uki': isMeasuredUki,
}
const [AF_NETLINK, SOCK_RAW, NETLINK_AUDIT] = [16, 3, 9]
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const LOADER = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'

/** `SuggestOnSecurity=`, as `ConditionSecurity=` of systemd.unit(5); a word for why it cannot be told, undefined without the means. */
export function judgeSecurity(parameter: string): boolean | 'Invalid argument' | 'Object is remote' | undefined {
  return Object.hasOwn(JUDGES, parameter) ? JUDGES[parameter]?.() : false
}

function isMeasuredUki(): boolean | 'Invalid argument' | 'Object is remote' {
  const forced = parseBoolean(process.env.SYSTEMD_FORCE_MEASURE ?? '')
  if (forced !== undefined) return forced
  const value = hasFirmwareTpm2() ? variable('StubPcrKernelImage', LOADER) : undefined
  if (value === undefined) return false
  const pcr = value.toString('utf16le').replace(/\0.*$/s, '')
  if (!/^\d+$/.test(pcr)) return 'Invalid argument'
  return Number(pcr) === KERNEL_BOOT_PCR ? true : 'Object is remote'
}

/** Whether the firmware knows of a TPM 2: by its ACPI table, else by the log that it leaves. */
function hasFirmwareTpm2(): boolean {
  if (!isEfiBoot()) return false
  if (existsSync('/sys/firmware/acpi/tables/TPM2')) return true
  const hasLog = existsSync('/sys/kernel/security/tpm0/binary_bios_measurements')
  return hasLog && textOf('/sys/class/tpm/tpm0/tpm_version_major') === '2'
}

/** What a container sees of the firmware is its host's. */
export function isEfiBoot(): boolean {
  return existsSync('/sys/firmware/efi/') && !isContainer()
}

function isContainer(): boolean {
  return detectVirtualization('--container')?.isSo === true
}

/** A variable of the firmware, without its attributes. */
function variable(name: string, vendor: string): Buffer | undefined {
  try {
    const bytes = readFileSync(`${EFIVARS}/${name}-${vendor}`)
    return bytes.byteLength > 4 ? bytes.subarray(4) : undefined
  } catch {
    return undefined
  }
}

/** In any other one the kernel speaks of no audit. */
function isInitialUserNamespace(): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(textOf('/proc/self/uid_map') ?? '')
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
