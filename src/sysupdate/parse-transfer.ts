import { type DefinitionFile, definitionError, type Place, readDefinition } from './definition-file.ts'
import { LINUX_GENERIC, partitionTypeNamed } from './partition-types.ts'
import { type Pattern, parseId128, parsePattern, withoutAnyDepth } from './pattern.ts'
import { expandSpecifiers, type Specifiers } from './specifiers.ts'
import {
  type DefinitionProblem,
  PATH_BASES,
  type PathBase,
  type Resource,
  SOURCE_TYPES,
  type SourceType,
  TARGET_TYPES,
  type TargetType,
  type Transfer,
} from './types.ts'
import { isDownloadUrl, isNormalizedAbsolutePath, isVersion, isWebUrl, parseBoolean } from './values.ts'
import { splitWords } from './words.ts'

/** What a definition is read in. */
export interface DefinitionContext {
  readonly specifiers: Specifiers
  /** The architecture as systemd names it. */
  readonly architecture: string
  /** What `PathRelativeTo=explicit` is relative to (`--transfer-source=`). */
  readonly transferSource: string | undefined
}

const NAME_MAX = 255
const PATH_MAX = 4095
const ANY_DEPTH_SOURCES: ReadonlySet<SourceType> = new Set(['url-file', 'url-tar', 'regular-file', 'tar'])
/** What each source can be made into; the first is what it becomes without Type=. */
const TARGETS_OF: Readonly<Record<SourceType, readonly TargetType[]>> = {
  'url-file': ['regular-file', 'partition'],
  'regular-file': ['regular-file', 'partition'],
  'url-tar': ['directory', 'subvolume'],
  tar: ['directory', 'subvolume'],
  directory: ['directory', 'subvolume'],
  subvolume: ['subvolume', 'directory'],
}

interface Draft {
  minVersion?: string | undefined
  protectVersions: string[]
  isVerified: boolean
  changeLog: string[]
  appStream: string[]
  features: string[]
  requisiteFeatures: string[]
  sourceType?: SourceType
  sourcePath?: string
  sourceBase: PathBase
  sourcePatterns: Pattern[]
  targetType?: TargetType
  targetPath?: string
  targetBase: PathBase
  targetPatterns: Pattern[]
  partitionType: string
  partitionUuid?: string | undefined
  partitionFlags?: bigint | undefined
  partitionNoAuto?: boolean | undefined
  partitionGrowFileSystem?: boolean | undefined
  readOnly?: boolean | undefined
  mode?: number
  triesLeft?: bigint
  triesDone?: bigint
  instancesMax?: number | undefined
  removesTemporary: boolean
  currentSymlink?: string | undefined
}

/**
 * Reads a transfer definition (sysupdate.d(5)): its file, then its drop-ins.
 *
 * A value that is wrong is a problem and is passed over. `MALFORMED_INPUT` names a pattern that is wrong, or what is missing.
 */
export function parseTransfer(
  id: string,
  files: readonly DefinitionFile[],
  context: DefinitionContext,
  problems: DefinitionProblem[],
): Transfer {
  const draft: Draft = {
    protectVersions: [],
    isVerified: true,
    changeLog: [],
    appStream: [],
    features: [],
    requisiteFeatures: [],
    sourceBase: 'root',
    sourcePatterns: [],
    targetBase: 'root',
    targetPatterns: [],
    partitionType: LINUX_GENERIC,
    removesTemporary: true,
  }
  readDefinition(files, ['Transfer', 'Source', 'Target'], handlersOf(draft, context), problems)
  return finish(id, files[0]?.path ?? id, draft, context, problems)
}

function handlersOf(draft: Draft, context: DefinitionContext) {
  const expanded = (key: string, value: string, place: Place, max = PATH_MAX): string | undefined => {
    const text = expandSpecifiers(value, context.specifiers, max)
    if (text === undefined) place.warn(`Failed to expand specifiers in ${key}=, ignoring: ${value}`)
    return text
  }
  const version = (key: string, value: string, place: Place): string | undefined => {
    const text = expanded(key, value, place, NAME_MAX)
    if (text === undefined || isVersion(text)) return text
    place.warn(`${key}= string is not valid, ignoring: ${text}`)
    return undefined
  }
  const bool = (key: string, set: (value: boolean) => void) => (value: string, place: Place) => {
    const parsed = parseBoolean(value)
    if (parsed === undefined) place.warn(`Failed to parse ${key}=${value}, ignoring: Invalid argument`)
    else set(parsed)
  }
  const tristate = (key: string, set: (value: boolean | undefined) => void) => {
    const filled = bool(key, set)
    return (value: string, place: Place) => (value === '' ? set(undefined) : filled(value, place))
  }
  const choice = <T extends string>(key: string, names: readonly T[], set: (value: T) => void) => {
    return (value: string, place: Place) => {
      const found = names.find((name) => name === value)
      if (found === undefined) place.warn(`Failed to parse ${key}=${value}, ignoring: Invalid argument`)
      else set(found)
    }
  }
  const base = (set: (value: PathBase) => void) => {
    const filled = choice('PathRelativeTo', PATH_BASES, set)
    return (value: string, place: Place) => (value === '' ? set('root') : filled(value, place))
  }
  const urls = (key: string, list: string[]) => (value: string, place: Place) => {
    if (value === '') {
      list.length = 0
      return
    }
    const url = expanded(key, value, place)
    if (url === undefined) return
    if (isWebUrl(url)) list.push(url)
    else place.warn(`${key}= URL is not valid, ignoring: ${value}`)
  }
  const list = (key: string, names: string[]) => (value: string, place: Place) => {
    if (value === '') {
      names.length = 0
      return
    }
    const words = splitWords(value, { quotes: true })
    if (words === undefined) place.warn(`Invalid syntax, ignoring: ${key}=${value}`)
    for (const word of words ?? []) if (!names.includes(word)) names.push(word)
  }
  const patterns = (isSource: boolean, found: Pattern[]) => (value: string, place: Place) => {
    if (value === '') {
      found.length = 0
      return
    }
    for (const word of splitWords(value, { quotes: false }) ?? []) {
      const text = expandSpecifiers(word, context.specifiers, NAME_MAX)
      if (text === undefined) {
        place.warn(`Failed to expand specifiers in MatchPattern=, ignoring: ${word}`)
        continue
      }
      found.push(readPattern(text, isSource, place))
    }
  }
  const u64 = (key: string, set: (value: bigint) => void) => (value: string, place: Place) => {
    if (/^-0*[1-9]\d*$/.test(value) || (/^\d+$/.test(value) && BigInt(value) >= 2n ** 64n)) {
      place.warn(`Failed to parse ${key}=${value}, ignoring: Numerical result out of range`)
    } else if (!/^\d+$/.test(value)) place.warn(`Failed to parse ${key}=${value}, ignoring: Invalid argument`)
    else set(BigInt(value))
  }
  return {
    'Transfer.MinVersion': (value: string, place: Place) => {
      draft.minVersion = value === '' ? undefined : (version('MinVersion', value, place) ?? draft.minVersion)
    },
    'Transfer.ProtectVersion': (value: string, place: Place) => {
      if (value === '') draft.protectVersions.length = 0
      else {
        const text = version('ProtectVersion', value, place)
        if (text !== undefined) draft.protectVersions.push(text)
      }
    },
    'Transfer.Verify': bool('Verify', (value) => {
      draft.isVerified = value
    }),
    'Transfer.ChangeLog': urls('ChangeLog', draft.changeLog),
    'Transfer.AppStream': urls('AppStream', draft.appStream),
    'Transfer.Features': list('Features', draft.features),
    'Transfer.RequisiteFeatures': list('RequisiteFeatures', draft.requisiteFeatures),
    'Source.Type': choice('Type', SOURCE_TYPES, (value) => {
      draft.sourceType = value
    }),
    'Source.Path': (value: string, place: Place) => {
      draft.sourcePath = expanded('Path', value, place) ?? draft.sourcePath ?? ''
    },
    'Source.PathRelativeTo': base((value) => {
      draft.sourceBase = value
    }),
    'Source.MatchPattern': patterns(true, draft.sourcePatterns),
    'Target.Type': choice('Type', TARGET_TYPES, (value) => {
      draft.targetType = value
    }),
    'Target.Path': (value: string, place: Place) => {
      draft.targetPath = expanded('Path', value, place) ?? draft.targetPath ?? ''
    },
    'Target.PathRelativeTo': base((value) => {
      draft.targetBase = value
    }),
    'Target.MatchPattern': patterns(false, draft.targetPatterns),
    'Target.MatchPartitionType': (value: string, place: Place) => {
      const type = value === '' ? LINUX_GENERIC : partitionTypeNamed(value, context.architecture)
      if (type === undefined) place.warn(`Failed to parse partition type, ignoring: ${value}`)
      else draft.partitionType = type
    },
    'Target.PartitionUUID': (value: string, place: Place) => {
      const uuid = parseId128(value)
      if (value !== '' && uuid === undefined) place.warn(`Failed to parse partition UUID, ignoring: ${value}`)
      else draft.partitionUuid = uuid
    },
    'Target.PartitionFlags': (value: string, place: Place) => {
      const digits = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(value)?.[1]
      if (value !== '' && digits === undefined) place.warn(`Failed to parse partition flags, ignoring: ${value}`)
      else draft.partitionFlags = digits === undefined ? undefined : BigInt(`0x${digits}`)
    },
    'Target.PartitionNoAuto': tristate('PartitionNoAuto', (value) => {
      draft.partitionNoAuto = value
    }),
    'Target.PartitionGrowFileSystem': tristate('PartitionGrowFileSystem', (value) => {
      draft.partitionGrowFileSystem = value
    }),
    'Target.ReadOnly': tristate('ReadOnly', (value) => {
      draft.readOnly = value
    }),
    'Target.Mode': (value: string, place: Place) => {
      if (!/^[0-7]+$/.test(value)) place.warn(`Failed to parse Mode=${value}, ignoring: Invalid argument`)
      else if (value.replace(/^0+/, '').length > 4) {
        place.warn(`Failed to parse Mode=${value}, ignoring: Numerical result out of range`)
      } else draft.mode = Number.parseInt(value, 8)
    },
    'Target.TriesLeft': u64('TriesLeft', (value) => {
      draft.triesLeft = value
    }),
    'Target.TriesDone': u64('TriesDone', (value) => {
      draft.triesDone = value
    }),
    'Target.InstancesMax': (value: string, place: Place) => {
      if (value === '') {
        draft.instancesMax = undefined
        return
      }
      if (!/^\d{1,15}$/.test(value)) {
        place.warn(`Failed to parse InstancesMax= value, ignoring: ${value}`)
        return
      }
      if (Number(value) < 2) place.warn(`InstancesMax= value must be at least 2, bumping: ${value}`)
      draft.instancesMax = Math.max(2, Number(value))
    },
    'Target.RemoveTemporary': bool('RemoveTemporary', (value) => {
      draft.removesTemporary = value
    }),
    'Target.CurrentSymlink': (value: string, place: Place) => {
      if (value === '') {
        draft.currentSymlink = undefined
        return
      }
      const path = expanded('CurrentSymlink', value, place)
      if (path === undefined) return
      if (isNormalizedAbsolutePath(path.startsWith('/') ? path : `/${path}`)) draft.currentSymlink = path
      else place.warn(`CurrentSymlink= path is not normalized, ignoring: ${path}`)
    },
  }
}

function readPattern(text: string, isSource: boolean, place: Place): Pattern {
  if (text.startsWith('**/')) {
    if (!isSource) return place.fail(`'**/' prefix is only supported in a source MatchPattern=, refusing: ${text}`)
    if (/\//.test(text.slice(3)) || text.length === 3) {
      return place.fail(`The pattern after a '**/' prefix must be a valid filename, refusing: ${text}`)
    }
  }
  try {
    return parsePattern(text)
  } catch {
    return place.fail(`MatchPattern= string is not valid, refusing: ${text}`)
  }
}

function finish(
  id: string,
  file: string,
  draft: Draft,
  context: DefinitionContext,
  problems: DefinitionProblem[],
): Transfer {
  const refuse = (text: string): never => {
    throw definitionError(file, 1, text)
  }
  const { sourceType, sourcePath, targetPath } = draft
  if (sourceType === undefined) return refuse(`Source Type= must be one of ${SOURCE_TYPES.join(', ')}.`)
  const possible = TARGETS_OF[sourceType]
  const isDevice = targetPath === '/dev' || targetPath?.startsWith('/dev/') === true
  const targetType =
    draft.targetType ?? (possible.includes('partition') && isDevice ? 'partition' : (possible[0] ?? 'regular-file'))
  if (!possible.includes(targetType)) {
    return refuse(`Target type '${targetType}' is incompatible with source type '${sourceType}', refusing.`)
  }
  if (sourcePath === undefined) return refuse('Source specification lacks Path=.')
  if (draft.sourceBase === 'explicit' && context.transferSource === undefined) {
    return refuse('PathRelativeTo=explicit requires --transfer-source= to be specified.')
  }
  if (draft.targetBase === 'explicit')
    return refuse('PathRelativeTo=explicit can only be used in source specifications.')
  const isUrl = sourceType === 'url-file' || sourceType === 'url-tar'
  if (isUrl && !isDownloadUrl(sourcePath)) return refuse(`Source path is not a valid HTTP or HTTPS URL: ${sourcePath}`)
  if (!isUrl && !isNormalizedAbsolutePath(sourcePath)) {
    return refuse(`Source path is not a normalized, absolute path: ${sourcePath}`)
  }
  if (draft.sourcePatterns.length === 0) return refuse('Source specification lacks MatchPattern=.')
  if (targetPath === undefined) return refuse('Target specification lacks Path= field.')
  if (targetPath !== 'auto' && !isNormalizedAbsolutePath(targetPath)) {
    return refuse(`Target path is not a normalized, absolute path: ${targetPath}`)
  }
  if (draft.sourcePatterns.some(({ isAnyDepth }) => isAnyDepth) && !ANY_DEPTH_SOURCES.has(sourceType)) {
    return refuse(`The '**/' prefix is not supported for source type '${sourceType}', refusing.`)
  }
  let targetPatterns: readonly Pattern[] = draft.targetPatterns
  if (targetPatterns.length === 0) {
    const text = 'Target specification lacks MatchPattern= expression. Assuming same value as in source specification.'
    problems.push({ path: file, line: 1, text })
    targetPatterns = draft.sourcePatterns.map(withoutAnyDepth)
  }
  const source: Resource = {
    type: sourceType,
    path: sourcePath,
    pathRelativeTo: draft.sourceBase,
    patterns: draft.sourcePatterns,
    partitionType: LINUX_GENERIC,
  }
  const target: Resource = {
    type: targetType,
    path: targetPath,
    pathRelativeTo: draft.targetBase,
    patterns: targetPatterns,
    partitionType: draft.partitionType,
  }
  return {
    id,
    file,
    minVersion: draft.minVersion,
    protectVersions: draft.protectVersions,
    isVerified: draft.isVerified,
    changeLog: draft.changeLog,
    appStream: draft.appStream,
    features: draft.features,
    requisiteFeatures: draft.requisiteFeatures,
    source,
    target,
    partitionUuid: draft.partitionUuid,
    partitionFlags: draft.partitionFlags,
    partitionNoAuto: draft.partitionNoAuto,
    partitionGrowFileSystem: draft.partitionGrowFileSystem,
    readOnly: draft.readOnly,
    mode: draft.mode,
    triesLeft: draft.triesLeft,
    triesDone: draft.triesDone,
    instancesMax: draft.instancesMax,
    removesTemporary: draft.removesTemporary,
    currentSymlink: draft.currentSymlink,
  }
}
