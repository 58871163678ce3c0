import { findPython } from '../python.ts'
import { ok, type Probe } from './probe.ts'

export const pythonProbe: Probe = {
  id: 'python',
  title: 'Python, for mkosi',
  async run() {
    const { path, version } = await findPython()
    return ok(`${version} at ${path}`)
  },
}
