import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runUnchecked } from '../../system/index.ts'
import { degraded, missing, ok, type Probe } from './probe.ts'

/** The flags with which this process gets namespaces: root has the right already, others need a user namespace. */
export function unshareFlags(): string[] {
  return process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
}

const HINT =
  'Allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, and on Ubuntu ' +
  'kernel.apparmor_restrict_unprivileged_userns=0; in a container add --privileged. Or run as root.'

export const userNamespaceProbe: Probe = {
  id: 'user-namespace',
  title: 'User namespaces',
  async run() {
    const result = await runUnchecked({ argv: ['unshare', '--user', '--map-root-user', 'true'] })
    if (result.exitCode === 0) return ok('one can be made')
    const found = result.stderr.trim()
    return process.getuid?.() === 0 ? degraded(found, HINT) : missing(found, HINT)
  },
}

export const mountProbe: Probe = {
  id: 'mount',
  title: 'Mounts in a namespace',
  async run() {
    const directory = await mkdtemp(join(tmpdir(), 'bootwright-mount-'))
    try {
      for (const name of ['low', 'high', 'point']) await mkdir(join(directory, name))
      const unshare = ['unshare', ...unshareFlags(), '--mount', '--']
      const bind = await runUnchecked({ argv: [...unshare, 'mount', '--rbind', '/usr', join(directory, 'point')] })
      if (bind.exitCode !== 0) return missing(bind.stderr.trim(), HINT)
      const layers = `ro,lowerdir=${join(directory, 'high')}:${join(directory, 'low')}`
      const overlay = await runUnchecked({
        argv: [...unshare, 'mount', '-t', 'overlay', '-o', layers, 'overlay', join(directory, 'point')],
      })
      if (overlay.exitCode === 0) return ok('bind and overlay')
      return degraded('bind, but no overlay', 'Load the kernel module overlay; tools lack their files in /etc without.')
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  },
}
