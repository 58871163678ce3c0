import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { runUnchecked } from '../../system/index.ts'
import { unshareFlags } from './namespaces.ts'
import { degraded, missing, ok, type Probe } from './probe.ts'

/** The error code with which a device refuses to be opened, or undefined when it opens. */
async function refusal(device: string): Promise<string | undefined> {
  try {
    const handle = await open(device, constants.O_RDWR)
    await handle.close()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'error'
  }
}

export const tunProbe: Probe = {
  id: 'tun',
  title: 'Network taps and bridges',
  async run({ toolchain }) {
    const code = await refusal('/dev/net/tun')
    if (code !== undefined) {
      const hint =
        code === 'ENOENT'
          ? 'Load the kernel module tun; in a container add --device /dev/net/tun.'
          : 'Open it for users (mode 0666, as udev does: chmod 0666 /dev/net/tun), or run as root.'
      return missing(`/dev/net/tun cannot be opened: ${code}`, hint)
    }
    const make = 'ip tuntap add dev tap0 mode tap && ip link add br0 type bridge && ip link set tap0 master br0'
    // Inside the tools' namespace the rights for a network namespace are there already.
    const result = await (toolchain?.kind === 'managed'
      ? runUnchecked(toolchain.command(['unshare', '--net', '--', 'sh', '-c', make]))
      : runUnchecked({ argv: ['unshare', ...unshareFlags(), '--net', '--', 'sh', '-c', make] }))
    if (result.exitCode === 0) return ok('a tap on a bridge can be made in a network namespace')
    const found = result.stderr.trim()
    if (/ip: not found/.test(found)) {
      return degraded('cannot be tried yet: this host has no program ip', 'Run `./bootwright setup`, then this again.')
    }
    return missing(found, 'Load the kernel modules tun and bridge, and allow user namespaces.')
  },
}

export const vsockProbe: Probe = {
  id: 'vsock',
  title: 'vsock',
  async run() {
    const code = await refusal('/dev/vhost-vsock')
    if (code === undefined) return ok('/dev/vhost-vsock opens')
    // Commands reach a guest over virtio-serial, so that nothing depends on it.
    return ok(`/dev/vhost-vsock: ${code}; not needed`)
  },
}
