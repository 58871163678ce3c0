import { existsSync, readFileSync } from 'node:fs'
import { type AccessRequest, GET_ACTION, type PolkitAnswer } from '../../imds/index.ts'
import { runUnchecked } from '../../system/index.ts'

const BUS_SOCKET = '/run/dbus/system_bus_socket'
/** An answer of somebody who has to type a password takes its time. */
const ASK_MS = 120_000

/** Asks polkit over the system bus, by busctl(1); undefined where there is no bus. */
export async function askPolkit(
  { peer, details, mayAsk, signal }: AccessRequest,
  run: typeof runUnchecked = runUnchecked,
): Promise<PolkitAnswer | undefined> {
  if (!existsSync(BUS_SOCKET)) return undefined
  const started = peer.pid === undefined ? undefined : startTime(peer.pid)
  if (peer.pid === undefined || peer.uid === undefined || started === undefined) return 'no'
  const subject = [
    'unix-process',
    '3',
    'pid',
    'u',
    `${peer.pid}`,
    'start-time',
    't',
    started,
    'uid',
    'i',
    `${peer.uid}`,
  ]
  const pairs = Object.entries(details).flat()
  const flags = mayAsk ? '1' : '0'
  const { exitCode, stdout } = await run(
    {
      argv: [
        ...['busctl', '--system', '--json=short', `--timeout=${ASK_MS / 1000}`, 'call', 'org.freedesktop.PolicyKit1'],
        ...['/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.PolicyKit1.Authority', 'CheckAuthorization'],
        ...['(sa{sv})sa{ss}us', ...subject, GET_ACTION, String(pairs.length / 2), ...pairs, flags, ''],
      ],
    },
    { signal },
  )
  return exitCode === 0 ? parseAnswer(stdout) : 'no'
}

/** `CheckAuthorization` gives whether somebody may, and whether he could if he were asked. */
export function parseAnswer(json: string): PolkitAnswer {
  try {
    const { data } = JSON.parse(json) as { data: [[isAuthorized: unknown, isChallenge: unknown]] }
    const [[isAuthorized, isChallenge]] = data
    if (isAuthorized === true) return 'yes'
    return isChallenge === true ? 'challenge' : 'no'
  } catch {
    return 'no'
  }
}

/** In ticks since the system was started (proc_pid_stat(5), field 22): a number of a process is used again. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
