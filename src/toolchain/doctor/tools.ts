import { readyMkosi } from '../mkosi.ts'
import { degraded, ok, type Probe } from './probe.ts'

const SET_UP = 'Run `./bootwright setup`; verify and test do it by themselves too.'

export const mkosiProbe: Probe = {
  id: 'mkosi',
  title: 'mkosi',
  async run({ cache }) {
    const mkosi = await readyMkosi(cache, undefined)
    if (mkosi === undefined) return degraded('not fetched yet', SET_UP)
    return ok(`${mkosi.version}, ${mkosi.origin === 'host' ? "this host's" : "Debian's package"}`)
  },
}

export const toolsProbe: Probe = {
  id: 'tools',
  title: 'Tools tree',
  async run({ toolchain }) {
    if (toolchain === undefined) return degraded('not made yet', SET_UP)
    const { qemu, ovmf, swtpm, systemd } = toolchain.versions
    return ok(`QEMU ${qemu}, OVMF ${ovmf}, swtpm ${swtpm}, systemd ${systemd}`)
  },
}
