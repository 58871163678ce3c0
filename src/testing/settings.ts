import { BootwrightError } from '../system/index.ts'
import { Cache } from '../toolchain/index.ts'
import { findProject, type Project } from './project.ts'
import { makeRunId } from './run-id.ts'

/** How the tests were asked to run: by `bootwright test`, or through the environment of a plain `vitest`. */
export interface Settings {
  readonly project: Project
  readonly cache: Cache
  /** The run that evidence is kept under, `out/runs/<id>/`. */
  readonly runId: string
  /** What `--image`, `--cloud` and `--firmware` chose. */
  readonly image: string | undefined
  readonly cloud: string | undefined
  readonly firmware: string | undefined
  /** How many tests may have machines at once. */
  readonly jobs: number | undefined
  /** Evidence stays when a test has passed, too. */
  readonly keep: boolean
  /** A test that failed waits, with its machine on the terminal. */
  readonly sit: boolean
  /** Each test waits before its machines end. */
  readonly debug: boolean
}

/** Names of the variables that carry the settings from the command line to Vitest's workers. */
export const SETTING_VARIABLES = {
  runId: 'BOOTWRIGHT_RUN',
  image: 'BOOTWRIGHT_IMAGE',
  cloud: 'BOOTWRIGHT_CLOUD',
  firmware: 'BOOTWRIGHT_FIRMWARE',
  jobs: 'BOOTWRIGHT_JOBS',
  keep: 'BOOTWRIGHT_KEEP',
  sit: 'BOOTWRIGHT_SIT',
  debug: 'BOOTWRIGHT_DEBUG',
} as const satisfies Partial<Record<keyof Settings, string>>

/** Rejects with `INVALID_ARGUMENT` for a number of jobs that is none. */
export function readSettings(env: Readonly<Record<string, string | undefined>> = process.env): Settings {
  const text = (key: keyof typeof SETTING_VARIABLES) => env[SETTING_VARIABLES[key]] || undefined
  return {
    project: findProject(process.cwd(), env),
    cache: new Cache(),
    runId: text('runId') ?? makeRunId(new Date()),
    image: text('image'),
    cloud: text('cloud'),
    firmware: text('firmware'),
    jobs: parseJobs(text('jobs') ?? 'auto'),
    keep: text('keep') !== undefined,
    sit: text('sit') !== undefined,
    debug: text('debug') !== undefined,
  }
}

/** `auto`: as many as memory and cores allow. */
export function parseJobs(text: string): number | undefined {
  if (text === 'auto') return undefined
  const jobs = Number(text)
  if (/^\d+$/.test(text) && jobs > 0 && Number.isSafeInteger(jobs)) return jobs
  throw new BootwrightError('INVALID_ARGUMENT', `Expected auto or a number of at least 1 for --jobs, found "${text}"`)
}
