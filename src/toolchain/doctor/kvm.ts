import { accelerator } from '../accelerator.ts'
import { degraded, ok, type Probe } from './probe.ts'

export const kvmProbe: Probe = {
  id: 'kvm',
  title: 'KVM',
  async run({ toolchain, cache, signal }) {
    if (toolchain === undefined) {
      return degraded('cannot be tried before the tools are ready', 'Run `./bootwright setup`, then this again.')
    }
    const { name, reason } = await accelerator(toolchain, cache, { signal })
    if (name === 'kvm') return ok(reason)
    return degraded(
      `${reason}; machines run under multi-threaded TCG`,
      /EACCES|EPERM/.test(reason)
        ? 'Add yourself to the group kvm.'
        : 'Nothing to do; on a host with full KVM, machines are several times faster.',
    )
  },
}
