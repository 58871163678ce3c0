import { isIPv4, isIPv6 } from 'node:net'
import { addressBytes } from '../../system/index.ts'

/** Addresses under a name of this host alone, for systemd-resolved (systemd-resolved.service(8), `static.d`); with its newline. */
export function staticRecords(name: string, addresses: readonly string[]): string {
  const records = addresses.map((address) => ({
    key: { class: 1, type: isIPv6(address) ? 28 : 1, name },
    address: [...addressBytes(address)],
  }))
  return `${JSON.stringify(records)}\n`
}

/** Whether the text is an address of this family and nothing else. */
export function isAddress(text: string, family: 4 | 6): boolean {
  return family === 4 ? isIPv4(text) : isIPv6(text) && !text.includes('%')
}
