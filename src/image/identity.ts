import { createHash } from 'node:crypto'
import { lstatSync, realpathSync } from 'node:fs'
import { basename, dirname, relative, sep } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { ImageDefinition } from './definition.ts'
import { includesOf } from './includes.ts'
import { hashTree, type TreeHash } from './input-tree.ts'
import type { MadeTree } from './made-trees.ts'
import type { Summary, SummarySource } from './summary.ts'

/** One input of a build, for `build.json`. The names are the same in every checkout. */
export interface BuildInput {
  readonly name: string
  readonly sha256: string
}

/** What decides the outcome of a build. */
export interface BuildIdentity {
  /** Hash of all inputs. */
  readonly identity: string
  /** Without what only adds to the installed packages (extra files, last scripts): names mkosi's incremental cache. */
  readonly baseIdentity: string
  readonly inputs: readonly BuildInput[]
}

/** The configuration of an image: its own directory, and what it includes. */
export interface Configuration {
  readonly trees: readonly NamedHash[]
  /** Decides what mkosi's summary says, but for the presence of late inputs. */
  readonly earlyDigest: string
}

interface NamedHash extends TreeHash {
  readonly name: string
}

/** Raised when the way in which an image is built changes. */
const RECIPE = 1

/** Hashes the directories that the definition consists of. A few milliseconds. */
export function readConfiguration(definition: ImageDefinition): Configuration {
  const image = `images/${definition.name}`
  const { sharedDirectory, directory } = definition
  const [shared, own] = [realpathSync(sharedDirectory), realpathSync(directory)]
  const elsewhere = includesOf(directory, (path) => path === shared || isBelow(path, own))
  const trees = [
    { name: '.', ...hashTree('.', sharedDirectory, { only: /^mkosi(?:\.|$)/ }) },
    { name: image, ...hashTree(image, directory) },
    ...elsewhere.map((path) => {
      const name = relative(shared, path)
      return { name, ...hashTree(name, path) }
    }),
  ]
  return { trees, earlyDigest: digest(trees.map((tree) => tree.earlyDigest)) }
}

export interface IdentityOptions {
  readonly version: string
  /** The time that Debian's archive is pinned to. */
  readonly snapshot: string | undefined
  readonly madeTrees?: readonly MadeTree[]
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** The identity of a build. Rejects with `BUILD_FAILED` when an input that the definition names is not there. */
export function buildIdentity(
  definition: ImageDefinition,
  configuration: Configuration,
  summary: Summary,
  toolchain: Toolchain,
  options: IdentityOptions,
): BuildIdentity {
  const { env = process.env, madeTrees = [] } = options
  const outside = summary.sources
    .filter((source) => isOutside(source, definition, toolchain))
    .map((source) => hashOutside(source, definition))
  const trees = [...configuration.trees, ...outside]
  // Not there where there are none: identities of older builds hold.
  const made = madeTrees.length === 0 ? [] : [madeTrees.map(({ name, identity }) => [name, identity])]
  const environment = ['SOURCE_DATE_EPOCH', ...summary.passEnvironment].map((name) => [name, env[name] ?? null])
  const facts = [
    RECIPE,
    process.arch,
    toolchain.versions.mkosi ?? '',
    toolchain.identity,
    options.snapshot ?? null,
    environment,
  ]
  return {
    identity: digest([facts, options.version, trees.map(({ name, digest: all }) => [name, all]), ...made]),
    baseIdentity: digest([facts, trees.map(({ name, earlyDigest }) => [name, earlyDigest])]),
    inputs: [
      ...trees.map(({ name, digest: all }) => ({ name, sha256: all })),
      ...madeTrees.map(({ name, identity }) => ({ name, sha256: identity })),
    ],
  }
}

function isOutside({ path }: SummarySource, definition: ImageDefinition, toolchain: Toolchain): boolean {
  // It names the mirror and the proxy of this host, which the outcome does not depend on.
  if (path === toolchain.sandboxTree) return false
  if (isBelow(path, definition.directory)) return false
  const [first = ''] = relative(definition.sharedDirectory, path).split(sep)
  return !/^mkosi(?:\.|$)/.test(first) && !isOwnOutput(path)
}

/** `%O/…` without an output directory: what another image of the same build leaves. */
function isOwnOutput(path: string): boolean {
  return dirname(path) === '/' && lstatSync(path, { throwIfNoEntry: false }) === undefined
}

function hashOutside({ path, reach }: SummarySource, definition: ImageDefinition): NamedHash {
  const inside = isBelow(path, definition.sharedDirectory)
  const name = inside ? relative(definition.sharedDirectory, path) : `outside/${basename(path)}`
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    throw new BootwrightError(
      'BUILD_FAILED',
      `The image definition ${definition.name} uses ${path}, which is not there`,
      {
        hint: `Make it, or remove it from the configuration below ${definition.directory}.`,
      },
    )
  }
  return { name, ...hashTree(name, path, { isContent: true, reach }) }
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}${sep}`)
}

function digest(facts: unknown): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex')
}
