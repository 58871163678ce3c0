import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { BootwrightError } from '../../system/index.ts'
import {
  findComponents,
  isComponentName,
  type OpenedUpdates,
  type OptionDefinition,
  openUpdates,
  planUpdate,
} from '../../sysupdate/index.ts'
import {
  invalidParameter,
  type Method,
  parseInterface,
  VarlinkErrorReply,
  type VarlinkParameters,
  type VarlinkService,
  varlinkService,
} from '../../varlink/index.ts'
import { parseBoolean } from '../parse-values.ts'
import { featureJson } from './features.ts'
import type { SysupdateContext } from './open.ts'

export const SYSTEM_UPDATES = parseInterface(`# Updates of this system and of what is updated beside it
interface io.systemd.SysUpdate

# What kind of thing is updated
type TargetClass (
	# A container, or the tree of a machine
	machine,
	# A portable service
	portable,
	# An extension of /usr
	sysext,
	# An extension of /etc
	confext,
	# The system itself
	host,
	# A component of the system
	component
)

# One thing that is updated
type TargetIdentifier (
	# Its kind
	class: TargetClass,
	# Its name; the host has none
	name: ?string
)

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
/** Where images of each kind are; only those that are directories are looked into. */
const IMAGES: Readonly<Record<string, readonly string[]>> = {
  machine: ['etc', 'run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `/${path}/machines`),
  portable: ['etc', 'run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `/${path}/portables`),
  sysext: ['etc', 'run', 'var/lib'].map((path) => `/${path}/extensions`),
  confext: ['run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `/${path}/confexts`),
}

/** The methods that systemd-sysupdate of systemd 262 has. Who is not root may list, but not ask sources. */
export function sysupdateService(
  context: SysupdateContext,
  options: { readonly compat: boolean; readonly warn: (text: string) => void },
): VarlinkService {
  const { environment = process.env } = context
  const ListTargets: Method = () => ({ targets: targets().map((id) => ({ id })) })
  const ListFeatures: Method = ({ parameters }) => {
    const opened = openTarget(parameters, environment)
    const features = [...opened.features.values()].map((feature: OptionDefinition) =>
      withoutUndefined(featureJson(feature, opened.transfers)),
    )
    return { features }
  }
  const CheckNew: Method = async ({ parameters, peer }) => {
    if (peer.uid !== 0) throw new VarlinkErrorReply('org.varlink.service.PermissionDenied')
    const opened = openTarget(parameters, environment)
    if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noSuchTarget()
    const { compat, warn } = options
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
    [{ description: SYSTEM_UPDATES, methods: { ListTargets, ListFeatures, CheckNew } }],
  )

  function openTarget(
    parameters: VarlinkParameters,
    environment: NonNullable<SysupdateContext['environment']>,
  ): OpenedUpdates {
    const { root, component } = placeOf(parameters.target as TargetIdentifier)
    let opened: OpenedUpdates
    try {
      opened = openUpdates({ root, component, directory: undefined, transferSource: undefined, environment })
    } catch (error) {
      throw failure(error, options.warn)
    }
    if (opened.transfers.length === 0) throw noSuchTarget()
    return opened
  }
}

interface TargetIdentifier {
  readonly class: string
  readonly name?: string | null
}

function placeOf({ class: kind, name }: TargetIdentifier): { root: string; component: string | undefined } {
  const isNamed = name !== undefined && name !== null
  if ((kind === 'host') === isNamed) throw invalidParameter('target')
  if (!isNamed) return { root: '/', component: undefined }
  if (kind === 'component') {
    if (!isComponentName(name)) throw invalidParameter('target')
    if (!findComponents('/').names.includes(name)) throw noSuchTarget()
    return { root: '/', component: name }
  }
  const image = imagesOf(kind).find((one) => one.name === name)
  if (image === undefined) throw noSuchTarget()
  return { root: image.path, component: undefined }
}

/** In the order of the kinds in the interface, then of their names. */
function targets(): TargetIdentifier[] {
  const components = findComponents('/')
  return [
    ...Object.keys(IMAGES).flatMap((kind) => imagesOf(kind).map(({ name }) => ({ class: kind, name }))),
    ...(components.hasDefault ? [{ class: 'host' }] : []),
    ...components.names.map((name) => ({ class: 'component', name })),
  ]
}

/** Directories that hold a system with definitions; of two of one name, the first one. */
function imagesOf(kind: string): { readonly name: string; readonly path: string }[] {
  const found = new Map<string, string>()
  for (const directory of IMAGES[kind] ?? []) {
    if (!existsSync(directory)) continue
    for (const name of readdirSync(directory)) {
      const path = `${directory}/${name}`
      if (name.startsWith('.') || found.has(name) || !lstatSync(path).isDirectory()) continue
      if (findComponents(path).hasDefault) found.set(name, path)
    }
  }
  return [...found].map(([name, path]) => ({ name, path })).sort((a, b) => (a.name < b.name ? -1 : 1))
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
