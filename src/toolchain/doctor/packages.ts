import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runUnchecked } from '../../system/index.ts'
import { toolsOrigin } from '../distribution.ts'
import { isolatedApt } from '../isolated-apt.ts'
import { programPath } from '../program-path.ts'
import { type DoctorContext, degraded, missing, ok, type Probe, type ProbeOutcome } from './probe.ts'

export const aptProbe: Probe = {
  id: 'apt',
  title: 'apt and dpkg',
  async run() {
    const { distribution, hostName } = await toolsOrigin()
    if (distribution !== 'debian') return ok(`not needed: mkosi makes the tools tree from ${hostName}`)
    const apt = await runUnchecked({ argv: ['apt-get', '--version'] })
    await runUnchecked({ argv: ['dpkg-deb', '--version'] })
    return ok(apt.stdout.split('\n')[0] ?? '')
  },
}

export const keyringProbe: Probe = {
  id: 'keyring',
  title: "Keyring of Debian's archive",
  async run({ sources }) {
    const { keyrings } = await sources()
    return ok(keyrings.map((keyring) => keyring.path).join(', '))
  },
}

export const mirrorProbe: Probe = {
  id: 'mirror',
  title: "Mirror of Debian's archive",
  run: (context) => fetchRelease(context),
}

/** Fetches the release file, as apt reaches it; its signature is checked when packages are. */
async function fetchRelease({ sources, signal }: DoctorContext): Promise<ProbeOutcome> {
  const found = await sources()
  if ((await programPath('apt-get')) === undefined) {
    return degraded(`${found.uri}: not tried without apt`, 'Nothing to do; it is tried when an image is built.')
  }
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-mirror-'))
  try {
    await isolatedApt(directory, found)
    const uri = `${found.uri}/dists/${found.release}/InRelease`
    const file = join(directory, 'InRelease')
    const result = await runUnchecked(
      {
        argv: ['/usr/lib/apt/apt-helper', '-o', 'Acquire::Retries=0', 'download-file', uri, file],
        env: { APT_CONFIG: join(directory, 'apt/apt.conf'), LC_ALL: 'C.UTF-8' },
      },
      { signal, timeoutMs: 30_000 },
    )
    const date = result.exitCode === 0 ? /^Date: (.*)$/m.exec(await readFile(file, 'utf8'))?.[1] : undefined
    if (date !== undefined) return ok(`${found.uri}, ${found.release} of ${date}`)
    const reason = /^E: .*$/m.exec(result.stderr)?.[0] ?? 'it sent no release file'
    return missing(`${found.uri}: ${reason}`, 'Check the network and proxy, or give another mirror: --mirror URL.')
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
