import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { AllowedSymptom } from './symptoms.ts'

/** The repository whose images are booted: this checkout, or somebody else's that has Bootwright installed. */
export interface Project {
  readonly directory: string
  /** One subdirectory an image. */
  readonly imagesDirectory: string
  /** Built images, and runs. */
  readonly outDirectory: string
  /** Where firmware variants are described; the project's own come before those that Bootwright brings. */
  readonly firmwareDirectories: readonly string[]
  /** Tests that are known to fail. */
  readonly quarantineFile: string
  /** The image of tests that take any. */
  readonly image: string | undefined
  /** What guests of this project may show without failing their test. */
  readonly allowedSymptoms: readonly AllowedSymptom[]
}

/** `bootwright.json`, all of it optional; paths are relative to its directory. */
interface ProjectFile {
  readonly images: string
  readonly out: string
  readonly firmware: string
  readonly quarantine: string
  readonly image: string
  readonly allowedSymptoms: readonly AllowedSymptom[]
}

const CONFIGURATION = 'bootwright.json'
const PATHS = ['images', 'out', 'firmware', 'quarantine', 'image'] as const
/** This program: its sources in a checkout, or what npm has installed. */
export const PACKAGE = resolve(import.meta.dirname, '../..')

/**
 * Finds the project: `$BOOTWRIGHT_PROJECT`, else the nearest directory at or above `from` that has a `bootwright.json` or
 * images (`images/<name>/mkosi.conf`), else the checkout that this program runs from.
 *
 * Rejects with `INVALID_ARGUMENT` when there is none, and with `MALFORMED_INPUT` for a `bootwright.json` that is none.
 */
export function findProject(
  from: string = process.cwd(),
  env: Readonly<Record<string, string | undefined>> = process.env,
): Project {
  const named = env.BOOTWRIGHT_PROJECT
  if (named !== undefined && named !== '') return projectAt(resolve(named))
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    if (isProject(directory)) return projectAt(directory)
    if (directory === dirname(directory)) break
  }
  if (isProject(PACKAGE)) return projectAt(PACKAGE)
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `Expected images/<name>/mkosi.conf or ${CONFIGURATION} in ${from} or a directory above, found neither`,
    { hint: 'Change into your project, or name it with BOOTWRIGHT_PROJECT.' },
  )
}

/** A directory as a project, whatever is in it. Rejects with `MALFORMED_INPUT` for a `bootwright.json` that is none. */
export function projectAt(directory: string): Project {
  const file = readConfiguration(join(directory, CONFIGURATION))
  const own = join(directory, file.firmware ?? 'ovmf')
  const brought = join(PACKAGE, 'ovmf')
  return {
    directory,
    imagesDirectory: join(directory, file.images ?? 'images'),
    outDirectory: join(directory, file.out ?? 'out'),
    firmwareDirectories: own === brought ? [own] : [own, brought],
    quarantineFile: join(directory, file.quarantine ?? 'quarantine.json'),
    image: file.image,
    allowedSymptoms: file.allowedSymptoms ?? [],
  }
}

function isProject(directory: string): boolean {
  if (existsSync(join(directory, CONFIGURATION))) return true
  const images = join(directory, 'images')
  return existsSync(images) && readdirSync(images).some((name) => existsSync(join(images, name, 'mkosi.conf')))
}

function readConfiguration(path: string): Partial<ProjectFile> {
  if (!existsSync(path)) return {}
  const refuse = (found: string, cause?: unknown) =>
    new BootwrightError('MALFORMED_INPUT', `Cannot read ${path}: ${found}`, {
      cause,
      hint: `It is a JSON object with any of ${[...PATHS, 'allowedSymptoms'].join(', ')}.`,
    })
  let file: unknown
  try {
    file = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw refuse('it is not JSON', cause)
  }
  if (typeof file !== 'object' || file === null || Array.isArray(file)) throw refuse('it is no object')
  for (const [key, value] of Object.entries(file)) {
    const isText = (PATHS as readonly string[]).includes(key)
    if (!isText && key !== 'allowedSymptoms') throw refuse(`there is no setting "${key}"`)
    if (isText && typeof value !== 'string') throw refuse(`"${key}" should be a text`)
    if (isText) continue
    const isList = Array.isArray(value) && value.every((entry) => isFilled(entry?.match) && isFilled(entry?.because))
    if (!isList) throw refuse('"allowedSymptoms" should be a list of { "match": …, "because": … }, both given')
  }
  return file as Partial<ProjectFile>
}

function isFilled(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== ''
}
