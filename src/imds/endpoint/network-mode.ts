import type { NetworkMode } from '../network/network-file.ts'
import { kernelItems } from './kernel-command-line.ts'
import type { EndpointSources } from './sources.ts'

/** What `systemd.imds.network=` of the kernel command line says, the last that means anything; `unlocked` without. */
export function networkMode({
  kernelCommandLine,
  isInitrd,
}: Pick<EndpointSources, 'kernelCommandLine' | 'isInitrd'>): NetworkMode {
  let mode: NetworkMode = 'unlocked'
  for (const { key, value } of kernelItems(kernelCommandLine, { isInitrd })) {
    if (key === 'systemd.imds.network') mode = parseNetworkMode(value ?? '') ?? mode
  }
  return mode
}

export function parseNetworkMode(text: string): NetworkMode | undefined {
  if (text === 'off' || text === 'locked' || text === 'unlocked') return text
  if (/^(?:1|yes|y|true|t|on)$/i.test(text)) return 'locked'
  return /^(?:0|no|n|false|f)$/i.test(text) ? 'off' : undefined
}
