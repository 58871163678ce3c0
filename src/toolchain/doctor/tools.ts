import { BootwrightError } from '../../system/index.ts'
import { toolsOrigin } from '../distribution.ts'
import { readyMkosi, requireHostMkosi } from '../mkosi.ts'
import { degraded, missing, ok, type Probe } from './probe.ts'

const SET_UP = 'Run `./bootwright setup`; verify and test do it by themselves too.'

export const mkosiProbe: Probe = {
  id: 'mkosi',
  title: 'mkosi',
  async run({ cache }) {
    const origin = await toolsOrigin()
    // Elsewhere nothing is fetched that could still be to come.
    const mkosi = await (origin.distribution === 'debian'
      ? readyMkosi(cache, undefined)
      : requireHostMkosi(cache, origin))
    if (mkosi === undefined) return degraded('not fetched yet', SET_UP)
    return ok(`${mkosi.version}, ${mkosi.origin === 'host' ? "this host's" : "Debian's package"}`)
  },
}

export const toolsProbe: Probe = {
  id: 'tools',
  title: 'Tools',
  async run({ toolchain, toolchainError }) {
    if (toolchainError instanceof Error) {
      const hint = toolchainError instanceof BootwrightError ? toolchainError.hint : undefined
      return missing(toolchainError.message, hint ?? SET_UP)
    }
    if (toolchain === undefined) return degraded('not made yet', SET_UP)
    const { qemu, ovmf, swtpm, systemd } = toolchain.versions
    return ok(
      `${toolchain.kind === 'host' ? "this host's: " : ''}QEMU ${qemu}, OVMF ${ovmf ?? 'of this host'}, swtpm ${swtpm}, systemd ${systemd}`,
    )
  },
}
