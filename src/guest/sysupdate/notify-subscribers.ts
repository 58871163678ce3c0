import { readdirSync, statSync } from 'node:fs'
import type { InstalledPart } from '../../sysupdate/index.ts'
import { connectVarlink } from '../../varlink/index.ts'

/** Who wants to know of updates listens here, each on a socket of his own. */
const SUBSCRIBERS = '/run/systemd/sysupdate/notify'
const METHOD = 'io.systemd.SysUpdate.Notify.OnCompletedUpdate'
const ANSWER_MS = 5 * 60_000

/**
 * Tells everybody who listens that a version was installed, and waits until they have done what they do then. What goes wrong is
 * only told: the update is done.
 */
export async function notifySubscribers(
  component: string | undefined,
  version: string | undefined,
  resources: readonly InstalledPart[] | undefined,
  warn: (text: string) => void,
  directory = SUBSCRIBERS,
): Promise<void> {
  const parameters = {
    ...(component === undefined ? {} : { component }),
    ...(version === undefined ? {} : { version }),
    ...(resources === undefined ? {} : { resources }),
  }
  await Promise.all(
    socketsIn(directory).map(async (path) => {
      try {
        const signal = AbortSignal.timeout(ANSWER_MS)
        await using connection = await connectVarlink(path, { signal })
        await connection.call(METHOD, parameters, { signal })
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        warn(`Notification subscriber '${path}' returned error, ignoring: ${why}`)
      }
    }),
  )
}

function socketsIn(directory: string): string[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .map((name) => `${directory}/${name}`)
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isSocket() === true)
}
