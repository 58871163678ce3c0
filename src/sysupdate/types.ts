import type { Pattern, PatternFields } from './pattern.ts'

export const SOURCE_TYPES = ['url-file', 'url-tar', 'tar', 'regular-file', 'directory', 'subvolume'] as const
export type SourceType = (typeof SOURCE_TYPES)[number]
export const TARGET_TYPES = ['partition', 'regular-file', 'directory', 'subvolume'] as const
export type TargetType = (typeof TARGET_TYPES)[number]
export type ResourceType = SourceType | TargetType

export const PATH_BASES = ['root', 'esp', 'xbootldr', 'boot', 'explicit'] as const
/** What a path is relative to (PathRelativeTo=). */
export type PathBase = (typeof PATH_BASES)[number]

/** Where instances are found: one of the two halves of a transfer. */
export interface Resource {
  readonly type: ResourceType
  /** A path, an URL, or `auto` for the disk of the system. */
  readonly path: string
  readonly pathRelativeTo: PathBase
  readonly patterns: readonly Pattern[]
  /** UUID of the type of partitions that count. */
  readonly partitionType: string
}

/** One `*.transfer` file: what is kept in step with what (sysupdate.d(5)). */
export interface Transfer {
  /** The name of its file without the suffix. */
  readonly id: string
  readonly file: string
  readonly minVersion: string | undefined
  readonly protectVersions: readonly string[]
  readonly isVerified: boolean
  /** Addresses in which `@v` stands for the version. */
  readonly changeLog: readonly string[]
  readonly appStream: readonly string[]
  readonly features: readonly string[]
  readonly requisiteFeatures: readonly string[]
  readonly source: Resource
  readonly target: Resource
  readonly partitionUuid: string | undefined
  readonly partitionFlags: bigint | undefined
  readonly partitionNoAuto: boolean | undefined
  readonly partitionGrowFileSystem: boolean | undefined
  readonly readOnly: boolean | undefined
  readonly mode: number | undefined
  readonly triesLeft: bigint | undefined
  readonly triesDone: bigint | undefined
  /** At least 2. */
  readonly instancesMax: number | undefined
  readonly removesTemporary: boolean
  readonly currentSymlink: string | undefined
}

/** One condition for suggesting something, as units have them (`Condition…=`). */
export interface SuggestCondition {
  /** The key without `SuggestOn`. */
  readonly subject: string
  readonly isTrigger: boolean
  readonly isNegated: boolean
  readonly parameter: string
}

/** One `*.feature` or `*.component` file. */
export interface OptionDefinition {
  readonly id: string
  readonly description: string | undefined
  readonly documentation: readonly string[]
  readonly appStream: string | undefined
  readonly isEnabled: boolean
  readonly suggest: boolean | undefined
  readonly suggestOn: readonly SuggestCondition[]
}

/** Something in a definition that is passed over. */
export interface DefinitionProblem {
  readonly path: string
  readonly line: number
  readonly text: string
}

/** One version of a resource, as it is found. */
export interface Instance {
  /** Of its resource. */
  readonly type: ResourceType
  /** A path, an URL, or the partition. */
  readonly path: string
  readonly fields: PatternFields
  /** Written only in part, or whole but not activated yet. */
  readonly state: 'complete' | 'partial' | 'pending'
  /** Position of the pattern that it fits. */
  readonly patternIndex: number
  /** Of a file on a server: what to ask for. */
  readonly address?: string
  /** Of a partition: its number in the table. */
  readonly partitionNumber?: number
  /** Of a partition: its label. */
  readonly label?: string
}
