import type { SmbiosIdentity } from '../formats/index.ts'

/**
 * SMBIOS strings by which software in a guest recognises its cloud, in the words of what a guest reads back; an absent
 * field keeps the virtual machine monitor's own value. BIOS is structure type 0, system 1, baseboard 2, chassis 3
 * (DMTF DSP0134).
 */
export type CloudSmbios = Partial<Pick<SmbiosIdentity, 'bios' | 'system' | 'baseboard' | 'chassis'>>

/**
 * The modalias that Linux derives from an identity, followed by `cat<chassis asset tag>:` as systemd's udev rules and
 * imds generator append it: what the matches of hwdb are compared with. Fields of absent strings are left out, so it
 * is right for matches on the strings that are set and says nothing on the others.
 */
export function hwdbModalias({ bios, system, baseboard, chassis }: CloudSmbios): string {
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['bvn', bios?.vendor],
    ['bvr', bios?.version],
    ['bd', bios?.releaseDate],
    ['svn', system?.manufacturer],
    ['pn', system?.productName],
    ['pvr', system?.version],
    ['rvn', baseboard?.manufacturer],
    ['rn', baseboard?.product],
    ['rvr', baseboard?.version],
    ['cvn', chassis?.manufacturer],
    ['cvr', chassis?.version],
    ['sku', system?.skuNumber],
  ]
  const parts = fields.flatMap(([prefix, value]) => (value === undefined ? [] : [`${prefix}${squeeze(value)}:`]))
  const asset = chassis?.assetTag ? `cat${chassis.assetTag}:` : ''
  return `dmi:${parts.join('')}${asset}`
}

/** The kernel keeps printable characters without blanks and colons. */
function squeeze(value: string): string {
  return value.replaceAll(/[^!-9;-~]/g, '')
}
