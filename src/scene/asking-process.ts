import type { AskingProcess, Peer } from '../cloud/index.ts'
import type { Answering } from './guest-reads.ts'

/** The asker waits for its answer meanwhile, and some clients do not wait for long. */
const PATIENCE_MS = 500

/**
 * Finds the process that has the socket with a local port: its number and name, and on the next line its control group.
 * Prints nothing where there is none, as for a socket of another network namespace. `-n`, as the names of users would be
 * asked of services.
 */
const SCRIPT = `
while read -r _ local _ _ _ _ _ _ _ inode _; do
  case $local in *:$1) [ "$inode" = 0 ] || socket=$inode ;; esac
done <<TABLES
$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
TABLES
[ -n "$socket" ] || exit 0
ls -ln /proc/[0-9]*/fd 2>/dev/null | while read -r line; do
  case $line in
  /proc/*) here=\${line%/fd:} ;;
  *"socket:[$socket]")
    read -r name <"$here/comm"
    echo "\${here#/proc/} $name"
    cat "$here/cgroup"
    break
    ;;
  esac
done`

/** Tells which process of a guest asks from an address of it; undefined where it cannot be told, or not soon enough. */
export function askingProcess(
  guest: Answering & { readonly isAnswering: boolean },
): (peer: Peer) => Promise<AskingProcess | undefined> {
  return async ({ port }) => {
    // Before it speaks there is nobody to ask, and a metadata service that waited for it would be waited for.
    if (!guest.isAnswering) return undefined
    const hex = port.toString(16).toUpperCase().padStart(4, '0')
    const argv = ['sh', '-c', SCRIPT, 'sh', hex]
    const result = await guest.runUnchecked(argv, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined)
    const found = /^(\d+) (.*)\n(?:.*\n)*?0::(.*)/.exec(result?.stdout.toString() ?? '')
    if (found === null) return undefined
    const [, pid, name = '', group = ''] = found
    const unit = group.split('/').findLast((part) => /\.(service|scope)$/.test(part))
    return { pid: Number(pid), name, ...(unit === undefined ? {} : { unit }) }
  }
}
