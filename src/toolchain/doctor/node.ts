import { runUnchecked } from '../../system/index.ts'
import { isAtLeast } from '../python.ts'
import { degraded, missing, ok, type Probe } from './probe.ts'

export const nodeProbe: Probe = {
  id: 'node',
  title: 'Node',
  async run() {
    const found = `${process.version} at ${process.execPath}`
    if (isAtLeast(process.version, [26])) return ok(found)
    return missing(found, 'Start through ./bootwright, which installs Node 26.')
  },
}

export const npmProbe: Probe = {
  id: 'npm',
  title: 'npm',
  async run() {
    try {
      const { stdout } = await runUnchecked({ argv: ['npm', '--version'] })
      return ok(stdout.trim())
    } catch {
      return degraded('none', 'Install npm; it is needed when package-lock.json changes.')
    }
  },
}
