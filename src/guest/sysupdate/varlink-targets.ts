import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { findComponents, isComponentName } from '../../sysupdate/index.ts'
import { invalidParameter } from '../../varlink/index.ts'

/** The types of an interface that say what is updated. */
export const TARGET_TYPES = `# What kind of thing is updated
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
`

export interface TargetIdentifier {
  readonly class: string
  readonly name?: string | null
}

/** Where a target is. */
export interface TargetSystem {
  readonly root: string
  readonly component: string | undefined
}

/** Where images of each kind are; only those that are directories are looked into. */
const IMAGES: Readonly<Record<string, readonly string[]>> = {
  machine: ['etc', 'run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `${path}/machines`),
  portable: ['etc', 'run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `${path}/portables`),
  sysext: ['etc', 'run', 'var/lib'].map((path) => `${path}/extensions`),
  confext: ['run', 'var/lib', 'usr/local/lib', 'usr/lib'].map((path) => `${path}/confexts`),
}

/**
 * Finds a target of the system below a root; undefined where there is none of this name. Rejects with `InvalidParameter` what can be
 * no target.
 */
export function findTarget(root: string, { class: kind, name }: TargetIdentifier): TargetSystem | undefined {
  const isNamed = name !== undefined && name !== null
  if ((kind === 'host') === isNamed) throw invalidParameter('target')
  if (!isNamed) return { root, component: undefined }
  if (kind === 'component') {
    if (!isComponentName(name)) throw invalidParameter('target')
    return findComponents(root).names.includes(name) ? { root, component: name } : undefined
  }
  const image = imagesOf(root, kind).find((one) => one.name === name)
  return image === undefined ? undefined : { root: image.path, component: undefined }
}

/** In the order of the kinds in the interface, then of their names. */
export function listTargets(root: string): TargetIdentifier[] {
  const components = findComponents(root)
  return [
    ...Object.keys(IMAGES).flatMap((kind) => imagesOf(root, kind).map(({ name }) => ({ class: kind, name }))),
    ...(components.hasDefault ? [{ class: 'host' }] : []),
    ...components.names.map((name) => ({ class: 'component', name })),
  ]
}

/** Directories that hold a system with definitions; of two of one name, the first one. */
function imagesOf(root: string, kind: string): { readonly name: string; readonly path: string }[] {
  const found = new Map<string, string>()
  for (const place of IMAGES[kind] ?? []) {
    const directory = `${root.replace(/\/+$/, '')}/${place}`
    if (!existsSync(directory)) continue
    for (const name of readdirSync(directory)) {
      const path = `${directory}/${name}`
      if (name.startsWith('.') || found.has(name) || !lstatSync(path).isDirectory()) continue
      if (findComponents(path).hasDefault) found.set(name, path)
    }
  }
  return [...found].map(([name, path]) => ({ name, path })).sort((a, b) => (a.name < b.name ? -1 : 1))
}
