import { BootwrightError } from '../../system/index.ts'
import { type Method, parseInterface, VarlinkErrorReply, type VarlinkInterface } from '../../varlink/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { askToCancel, type CancelSocket, listenForCancel, type RunEnd } from './cancel-socket.ts'
import { DisabledFailure, untilSignal, updateOne } from './change.ts'
import { NoTransfersFailure, type SysupdateContext } from './open.ts'
import { parseSysupdateOptions } from './options.ts'
import { UpdateProgress } from './update-progress.ts'
import { findTarget, TARGET_TYPES, type TargetIdentifier, type TargetSystem } from './varlink-targets.ts'

const UPDATES =
  parseInterface(`# Makes updates and tells how far they are, which io.systemd.SysUpdate cannot. For root alone.
interface io.bootwright.SysUpdate

${TARGET_TYPES}
# What an update is at
type Phase (
	# Looks for what is installed and what is available
	discovering,
	# Deletes old versions
	making_room,
	# Downloads or copies, verifies and writes, one transfer after the other; nothing of it is seen by anybody yet
	acquiring,
	# Activates what was acquired; this is not cancelled any more
	installing,
	# Is done
	installed
)

# What one transfer is at
type TransferPhase (
	# Its turn has not come
	waiting,
	# Its source is read, and its target written
	acquiring,
	# Is whole, verified and on the disk, and waits to be activated
	acquired,
	# Is activated
	installed
)

# How far one transfer is
type Transfer (
	# The name of its definition
	id: string,
	# What it is at
	phase: TransferPhase,
	# What has come of its source, as it is sent: before it is decompressed
	receivedBytes: int,
	# How much there is in all, where the source tells it
	totalBytes: ?int,
	# How much comes, of the last three seconds; only while it is acquired
	bytesPerSecond: ?int
)

# What was activated
type Resource (
	# The name of its definition
	transfer: string,
	# The file, directory or partition
	path: string
)

# Acquires and installs a version. To be called with 'more': there is a reply at each change of a phase and four times a second, and
# the last one comes when all is installed. Who ends the connection cancels the update, as does who does not read for half a minute.
method Update(
	# What to update
	target: TargetIdentifier,
	# The version; the newest that is available without
	version: ?string,
	# Whether to install only what is acquired already, and to ask no source
	offline: ?bool
) -> (
	# What it is at
	phase: Phase,
	# The version that it installs, as soon as that is known
	version: ?string,
	# Those that there is something to do for, in their order
	transfers: []Transfer,
	# What was activated, in the last reply
	resources: ?[]Resource
)

# Ends the update of a target that somebody has begun with Update. The reply comes when what was half done is put away and the target
# is free for another one.
method Cancel(
	# What is updated
	target: TargetIdentifier
) -> ()

# There is no such target, or nothing that is on in its definitions
error NoSuchTarget()
# The component is switched off
error ComponentDisabled()
# There is nothing to install
error NoUpdateNeeded()
# The target is in use by another run
error Busy(
	# Whose, where that can be told
	message: string
)
# The update was cancelled: nothing of it is installed
error Cancelled()
# There is no update that could be cancelled, or it could not be any more
error NotRunning()
# It could not be installed
error UpdateFailed(
	# A word for the reason that stays the same: UPDATE_UNTRUSTED, DOWNLOAD_FAILED, NO_SPACE, UPDATE_REFUSED, ...
	code: string,
	# The reason
	message: string,
	# What can be done about it
	hint: ?string
)
`)

const NAME = UPDATES.name
const DIRECTORY = '/run/bootwright/sysupdate'
const TICK_MS = 250

/** Our own interface beside systemd's: it always does what is right. */
export function updatesInterface(context: SysupdateContext, root: string, output: ToolOutput): VarlinkInterface {
  const { runtimeDirectory = DIRECTORY } = context
  const targetOf = (target: unknown): TargetSystem => {
    const found = findTarget(root, target as TargetIdentifier)
    if (found === undefined) throw new VarlinkErrorReply(`${NAME}.NoSuchTarget`)
    return found
  }

  const Update: Method = async ({ parameters, peer, signal: hangUp, send }) => {
    if (peer.uid !== 0) throw new VarlinkErrorReply('org.varlink.service.PermissionDenied')
    const target = targetOf(parameters.target)
    const version = (parameters.version ?? undefined) as string | undefined
    const options = {
      ...parseSysupdateOptions(['update']),
      ...target,
      names: version === undefined ? [] : [version],
      isOffline: parameters.offline === true,
    }
    const progress = new UpdateProgress(() => performance.now())
    const [cancelled, gone] = [new AbortController(), new AbortController()]
    let told = Promise.resolve()
    let isTelling = false
    const tell = (): void => {
      isTelling = true
      const { snapshot } = progress
      told = told
        .then(() => send(snapshot))
        .then(() => {
          isTelling = false
        })
      told.catch(() => gone.abort(interrupted('The caller has hung up')))
    }
    const ticking = setInterval(() => {
      if (!isTelling) tell()
    }, TICK_MS)
    let cancelSocket: CancelSocket | undefined
    let end: RunEnd = 'finished'
    try {
      const changed = await untilSignal((ended) =>
        updateOne(options, output, context, AbortSignal.any([ended, hangUp, gone.signal, cancelled.signal]), {
          tell: (event) => {
            if (progress.take(event)) tell()
          },
          locked: async () => {
            const cancel = (): void => cancelled.abort(interrupted('The update was cancelled'))
            cancelSocket = await listenForCancel(runtimeDirectory, wordFor(target), cancel).catch((error: unknown) => {
              output.log('warning', `Nobody else can cancel this update: ${String(error)}`)
              return undefined
            })
          },
        }),
      )
      if (changed === undefined) throw new VarlinkErrorReply(`${NAME}.NoUpdateNeeded`)
      return { ...progress.snapshot, resources: changed.parts }
    } catch (error) {
      if (!cancelled.signal.aborted) throw replyFor(error, output)
      end = 'cancelled'
      throw new VarlinkErrorReply(`${NAME}.Cancelled`)
    } finally {
      clearInterval(ticking)
      cancelSocket?.end(end)
      // The last reply comes behind all others. Who does not take them any more takes none.
      await told.catch(() => undefined)
    }
  }

  const Cancel: Method = async ({ parameters, peer, signal }) => {
    if (peer.uid !== 0) throw new VarlinkErrorReply('org.varlink.service.PermissionDenied')
    const how = await askToCancel(runtimeDirectory, wordFor(targetOf(parameters.target)), signal)
    if (how !== 'cancelled') throw new VarlinkErrorReply(`${NAME}.NotRunning`)
    return {}
  }

  return { description: UPDATES, methods: { Update, Cancel }, streams: ['Update'] }
}

function wordFor({ root, component = '' }: TargetSystem): string {
  return `${root} ${component}`
}

function interrupted(message: string): BootwrightError {
  return new BootwrightError('INTERRUPTED', `${message}: what was half done is put away.`)
}

/** What a failure is called in the interface; it is told in the journal, too. */
function replyFor(error: unknown, output: ToolOutput): unknown {
  if (error instanceof VarlinkErrorReply) return error
  if (error instanceof NoTransfersFailure) return new VarlinkErrorReply(`${NAME}.NoSuchTarget`)
  if (error instanceof DisabledFailure) return new VarlinkErrorReply(`${NAME}.ComponentDisabled`)
  if (!(error instanceof BootwrightError || error instanceof ToolFailure)) return error
  output.log('error', error.message)
  const { message } = error
  if (!(error instanceof BootwrightError)) return failed({ code: 'UPDATE_REFUSED', message })
  const { code, hint } = error
  if (code === 'UPDATE_LOCKED') return new VarlinkErrorReply(`${NAME}.Busy`, { message })
  return failed({ code, message, ...(hint === undefined ? {} : { hint }) })
}

function failed(facts: { readonly code: string; readonly message: string; readonly hint?: string }): VarlinkErrorReply {
  return new VarlinkErrorReply(`${NAME}.UpdateFailed`, facts)
}
