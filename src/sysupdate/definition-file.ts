import { type IniItem, parseIni } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { DefinitionProblem } from './types.ts'

/** A file of a definition, as it was read. */
export interface DefinitionFile {
  readonly path: string
  readonly bytes: Uint8Array
}

type Assignment = Extract<IniItem, { kind: 'assignment' }>

/** What a handler of a key can say about its value. */
export interface Place {
  readonly path: string
  readonly line: number
  /** Tells of a value that is passed over. */
  warn(text: string): void
  /** Ends the reading of the definition. */
  fail(text: string): never
}

type Handler = (value: string, place: Place) => void

/**
 * Reads the main file of a definition and its drop-ins in their order. Handlers are named `Section.Key`. What is not
 * known is a problem, not an error; `MALFORMED_INPUT` names what makes a file useless.
 */
export function readDefinition(
  files: readonly DefinitionFile[],
  sections: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
  problems: DefinitionProblem[],
): void {
  for (const { path, bytes } of files) {
    for (const item of parseIni(bytes, sections)) {
      if (item.kind === 'fatal') throw definitionError(path, item.line, item.text)
      if (item.kind === 'warning') problems.push({ path, line: item.line, text: item.text })
      else take(path, item, handlers, problems)
    }
  }
}

function take(
  path: string,
  { section, key, value, line }: Assignment,
  handlers: Readonly<Record<string, Handler>>,
  problems: DefinitionProblem[],
): void {
  const name = `${section}.${key}`
  const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined
  const warn = (text: string) => void problems.push({ path, line, text })
  if (handler === undefined) {
    if (!key.startsWith('X-')) warn(`Unknown key '${key}' in section [${section}], ignoring.`)
    return
  }
  handler(value, { path, line, warn, fail: (text) => fail(path, line, text) })
}

function fail(path: string, line: number, text: string): never {
  throw definitionError(path, line, text)
}

/** `MALFORMED_INPUT` for a definition that cannot be used. */
export function definitionError(path: string, line: number, text: string): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `${path}:${line}: ${text}`, {
    hint: 'sysupdate.d(5) and sysupdate.features(5) describe these files.',
    detail: { path, line },
  })
}
