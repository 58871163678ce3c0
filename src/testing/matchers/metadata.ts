import type { SceneCloud } from '../../scene/index.ts'
import { eventually } from '../within.ts'
import { type Subject, subjectOf, type Verdict, verdict } from './subject.ts'
import type { Patience } from './system.ts'

const PATIENCE_MS = 10_000
const BROKER = '/usr/lib/systemd/systemd-imds'
/**
 * Through systemd's broker where the image has it, which may be the only one whom the network lets through; else with a
 * request for nothing in particular, whose answer in HTTP may be any. bash alone can send that.
 */
const ASK = `if [ -x ${BROKER} ] && ${BROKER} --cache=no --well-known=hostname; then exit 0; fi
exec 3<>"/dev/tcp/$1/$2" || exit 1
printf 'GET / HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' "$1" >&3
read -t 5 -r line <&3 && printf %s "$line"`

/** Waits until the guest gets an answer from its cloud's metadata service: seen by both sides. */
export async function toReachMetadata(received: unknown, { withinMs = PATIENCE_MS }: Patience = {}): Promise<Verdict> {
  const { machine, record } = subjectOf(received)
  const cloud = record?.parts.scene.cloud
  if (cloud === undefined) {
    return verdict(false, ['Expected the guest to reach its metadata service, but it was started in no cloud'], [])
  }
  return reaches(machine, cloud, withinMs)
}

/** The same for a guest and a service that are given. */
export async function reaches(guest: Subject, { provider, service }: SceneCloud, withinMs: number): Promise<Verdict> {
  const [endpoint] = provider.endpoints
  const address = endpoint.ipv4 ?? endpoint.ipv6 ?? ''
  const before = service.transcript.exchanges.length
  const ask = async () => {
    const { exitCode, stdout, stderr } = await guest.runUnchecked([
      'bash',
      '-c',
      ASK,
      'bash',
      address,
      String(endpoint.port),
    ])
    return { exitCode, line: stdout.toString().trim(), complaint: stderr.toString().trim().split('\n').at(-1) ?? '' }
  }
  const { exitCode, line, complaint } = await eventually(withinMs, ask, (answer) => answer.exitCode === 0)
  const arrived = service.transcript.exchanges.length - before
  const isAnswered = exitCode === 0 && line !== '' && arrived > 0
  return verdict(
    isAnswered,
    [
      `Expected the guest to reach the metadata service of ${provider.title} at ${address} port ${endpoint.port}`,
      `  in the guest    ${exitCode === 0 ? `the answer was ${JSON.stringify(line)}` : complaint || `status ${exitCode}`}`,
      `  at the service  ${arrived === 0 ? 'no request arrived' : `${arrived} requests arrived, the last one ended as ${service.transcript.exchanges.at(-1)?.outcome}`}`,
    ],
    [`Expected the guest not to reach its metadata service, but it answered ${JSON.stringify(line)}`],
  )
}
