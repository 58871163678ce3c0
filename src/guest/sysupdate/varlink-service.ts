import { BootwrightError } from '../../system/index.ts'
import { type OpenedUpdates, type OptionDefinition, openUpdates, planUpdate } from '../../sysupdate/index.ts'
import {
  type Method,
  parseInterface,
  VarlinkErrorReply,
  type VarlinkParameters,
  type VarlinkService,
  varlinkService,
} from '../../varlink/index.ts'
import { parseBoolean } from '../parse-values.ts'
import type { ToolOutput } from '../tool-output.ts'
import { featureJson } from './features.ts'
import type { SysupdateContext } from './open.ts'
import { findTarget, listTargets, TARGET_TYPES, type TargetIdentifier } from './varlink-targets.ts'
import { updatesInterface } from './varlink-update.ts'

const SYSTEM_UPDATES = parseInterface(`# Updates of this system and of what is updated beside it
interface io.systemd.SysUpdate

${TARGET_TYPES}
# One thing that is updated, as it is listed
type Target (
	# Which one it is
	id: TargetIdentifier
)

# Something that can be switched on
type Feature (
	# Its name
	id: string,
	# What it is
	description: ?string,
	# Where more is said about it
	documentation: ?[]string,
	# Its AppStream catalogue
	appStream: ?string,
	# Whether it is on
	enabled: bool,
	# Whether it should be on here, where that can be told
	suggested: ?bool,
	# What is transferred because of it
	transfers: ?[]string
)

# Lists the features of a target
method ListFeatures(
	# The target
	target: TargetIdentifier
) -> (
	# Its features
	features: []Feature
)

# Looks whether there is something newer
method CheckNew(
	# The target
	target: TargetIdentifier,
	# Whether the user may be asked for a password
	allowInteractiveAuthentication: ?bool
) -> (
	# The version to update to
	available: string
)

# Lists what is updated
method ListTargets() -> (
	# By kind, then by name
	targets: []Target
)

# There is nothing newer
error NoUpdateNeeded()
# There is no such target
error NoSuchTarget()
`)

const NAME = SYSTEM_UPDATES.name

export interface ServiceOptions {
  /** Of the system whose targets are served. */
  readonly root: string
  readonly compat: boolean
}

/**
 * The methods that systemd-sysupdate of systemd 262 has, and those of an interface of our own. Who is not root may list, but
 * not ask sources, nor change anything.
 */
export function sysupdateService(
  context: SysupdateContext,
  { root, compat }: ServiceOptions,
  output: ToolOutput,
): VarlinkService {
  const { environment = process.env } = context
  const warn = (text: string): void => output.log('warning', text)
  const ListTargets: Method = () => ({ targets: listTargets(root).map((id) => ({ id })) })
  const ListFeatures: Method = ({ parameters }) => {
    const opened = openTarget(parameters)
    const features = [...opened.features.values()].map((feature: OptionDefinition) =>
      withoutUndefined(featureJson(feature, opened.transfers)),
    )
    return { features }
  }
  const CheckNew: Method = async ({ parameters, peer }) => {
    if (peer.uid !== 0) throw new VarlinkErrorReply('org.varlink.service.PermissionDenied')
    const opened = openTarget(parameters)
    if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noSuchTarget()
    const verify = parseBoolean(environment.SYSTEMD_SYSUPDATE_NO_VERIFY ?? '') === true ? false : undefined
    const found = await opened.discover({ isOffline: false, verify, compat, warn }).catch((error: unknown) => {
      throw failure(error, warn)
    })
    const { candidate } = planUpdate(found, compat ? 'original' : 'correct', undefined, opened.failedBefore)
    if (candidate === undefined) throw new VarlinkErrorReply(`${NAME}.NoUpdateNeeded`)
    return { available: candidate.version }
  }
  return varlinkService(
    { vendor: 'Bootwright', product: 'bootwright (systemd-sysupdate)', version: '262', url: 'https://systemd.io/' },
    [
      { description: SYSTEM_UPDATES, methods: { ListTargets, ListFeatures, CheckNew } },
      updatesInterface(context, root, output),
    ],
  )

  function openTarget(parameters: VarlinkParameters): OpenedUpdates {
    const target = findTarget(root, parameters.target as TargetIdentifier)
    if (target === undefined) throw noSuchTarget()
    let opened: OpenedUpdates
    try {
      opened = openUpdates({ ...target, directory: undefined, transferSource: undefined, environment })
    } catch (error) {
      throw failure(error, warn)
    }
    if (opened.transfers.length === 0) throw noSuchTarget()
    return opened
  }
}

function noSuchTarget(): VarlinkErrorReply {
  return new VarlinkErrorReply(`${NAME}.NoSuchTarget`)
}

/** Why it failed is for the journal: an error of Varlink has no words. */
function failure(error: unknown, warn: (text: string) => void): unknown {
  if (!(error instanceof BootwrightError) || error instanceof VarlinkErrorReply) return error
  warn(error.message)
  return new VarlinkErrorReply('io.systemd.System', { origin: 'linux', errnoName: 'EINVAL', errno: 22 })
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<T>
}
