import { type DeprecatedInterface, INTERFACES } from './interfaces.ts'

/** A use of a deprecated interface. */
export interface Finding {
  readonly interface: DeprecatedInterface
  /** Relative to the root that was scanned. */
  readonly path: string
  /** From 1; undefined in a program, which has no lines. */
  readonly line: number | undefined
  readonly text: string
}

const SHOWN_CHARACTERS = 160
/** Comments of configuration files and scripts: what they speak of is not used. */
const COMMENT = /^\s*[#;]/
/** What a program holds as text: at least four printable characters in a row. */
const PRINTABLE = /[\x20-\x7e]{4,}/g

/** Looks for deprecated interfaces in the content of one file. */
export function scanFile(path: string, content: Uint8Array): Finding[] {
  const candidates = INTERFACES.filter(({ files }) => files === undefined || files.test(path))
  if (candidates.length === 0) return []
  const text = Buffer.from(content).toString('latin1')
  const isProgram = text.slice(0, 8_192).includes('\0')
  return isProgram ? scanProgram(path, text, candidates) : scanText(path, text, candidates)
}

function scanText(path: string, text: string, candidates: readonly DeprecatedInterface[]): Finding[] {
  // Most files use nothing: one look at the whole saves the lines.
  if (!candidates.some(({ pattern }) => multiline(pattern).test(text))) return []
  return text.split('\n').flatMap((line, index) =>
    COMMENT.test(line)
      ? []
      : candidates
          .filter(({ pattern }) => pattern.test(line))
          .map((found) => ({
            interface: found,
            path,
            line: index + 1,
            text: line.trim().slice(0, SHOWN_CHARACTERS),
          })),
  )
}

/** Once for each interface: a program tells only that it knows it. */
function scanProgram(path: string, text: string, candidates: readonly DeprecatedInterface[]): Finding[] {
  return candidates.flatMap((candidate) => {
    if (candidate.files !== undefined || !candidate.pattern.test(text)) return []
    const found = text.match(PRINTABLE)?.find((word) => candidate.pattern.test(word))
    if (found === undefined) return []
    return [{ interface: candidate, path, line: undefined, text: found.slice(0, SHOWN_CHARACTERS) }]
  })
}

function multiline(pattern: RegExp): RegExp {
  return new RegExp(pattern.source, `${pattern.flags}m`)
}
