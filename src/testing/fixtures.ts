import { relative } from 'node:path'
import { test as base, expect, type TestContext, vi } from 'vitest'
import { listImages } from '../image/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Boot, BootOptions } from './boot-options.ts'
import { checkImage } from './names.ts'
import { workerName } from './run-id.ts'
import { readSettings } from './settings.ts'
import type { SharedNetwork } from './shared-network.ts'
import { TestScope } from './test-scope.ts'
import { Workbench } from './workbench.ts'

/** Waits follow progress; this only ends what forgot to. Vitest's own 5 s would end every cold boot. */
const TIMEOUT_MS = 600_000
vi.setConfig({ testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS })

const DEFAULT_FIRMWARE = 'plain'

/**
 * Vitest's `test`, with machines.
 *
 * - `boot(image, options)` starts a machine of this test; all of them end with it.
 * - `bootForFile(image, options)` starts one that all tests of the file share; it ends with the file. A fixture of scope
 *   `file` gives it a name: `test.extend('web', { scope: 'file' }, ({ bootForFile }) => bootForFile('cloud'))`.
 * - `bootForWorker(image, options)` starts one for all files that a worker of Vitest runs. With Vitest's `isolate`, which is
 *   on without a word, each file has a worker of its own.
 * - `openNetwork()` makes a network for several machines of this test: `boot('minimal', { network, name: 'web-1' })`.
 * - `image`, `cloud` and `firmware` are what `bootwright test --image … --cloud … --firmware …` chose, for tests that run
 *   with any: the project's only or default image, no cloud, and the firmware `plain` otherwise.
 */
export const test = base
  .extend('workbench', { scope: 'worker' }, () => new Workbench(readSettings()))
  .extend('image', { scope: 'worker' }, async ({ workbench }): Promise<string> => {
    const { project, image } = workbench.settings
    const chosen = image ?? project.image
    if (chosen !== undefined) {
      await checkImage(project, chosen)
      return chosen
    }
    const names = await listImages(project.imagesDirectory)
    const [only] = names
    if (only !== undefined && names.length === 1) return only
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `The project has the images ${names.join(', ')}, and none was chosen`,
      {
        hint: 'Choose with --image, or name the usual one in bootwright.json: { "image": … }.',
      },
    )
  })
  .extend('cloud', { scope: 'worker' }, ({ workbench }): string | undefined => workbench.settings.cloud)
  .extend('firmware', { scope: 'worker' }, ({ workbench }): string => workbench.settings.firmware ?? DEFAULT_FIRMWARE)
  .extend('fileMachines', { scope: 'file' }, (): SharedMachines => ({ scope: undefined, errors: [] }))
  .extend('workerMachines', { scope: 'worker' }, (): SharedMachines => ({ scope: undefined, errors: [] }))
  .extend('sharedWatch', { auto: true }, ({ task, fileMachines, workerMachines }, { onCleanup }): void => {
    const errorsBefore = task.result?.errors?.length ?? 0
    onCleanup(async () => {
      if (task.result?.state !== 'fail') return
      const errors = (task.result.errors ?? []).slice(errorsBefore)
      for (const machines of [fileMachines, workerMachines]) {
        machines.errors.push(...errors)
        await machines.scope?.tell(errors)
      }
    })
  })
  .extend('bootForFile', { scope: 'file' }, ({ workbench, fileMachines }, { onCleanup }): Boot => {
    const path = relative(workbench.settings.project.directory, expect.getState().testPath ?? 'file')
    return bootShared(workbench, path, fileMachines, onCleanup)
  })
  .extend('bootForWorker', { scope: 'worker' }, ({ workbench, workerMachines }, { onCleanup }): Boot => {
    return bootShared(workbench, workerName(), workerMachines, onCleanup)
  })
  .extend('machines', ({ workbench, task, signal, annotate }, { onCleanup }): TestScope => {
    const errorsBefore = task.result?.errors?.length ?? 0
    const scope = new TestScope({
      workbench,
      testName: fullName(task),
      attempt: task.result?.retryCount ?? 0,
      isShared: false,
      signal,
      notice: (text) => {
        // Reporters show annotations with a test that failed, or not at all.
        say(text)
        void annotate(text, 'notice').catch(() => undefined)
      },
    })
    onCleanup(async () => {
      const errors = (task.result?.errors ?? []).slice(errorsBefore)
      await scope.end({ isFailed: task.result?.state === 'fail', errors })
    })
    return scope
  })
  .extend('boot', ({ machines }): Boot => bootIn(machines))
  .extend(
    'openNetwork',
    ({ machines }): (() => Promise<SharedNetwork>) =>
      () =>
        machines.openNetwork(),
  )

/** Machines that several tests share, and what has gone wrong in these. */
interface SharedMachines {
  scope: TestScope | undefined
  readonly errors: { message: string }[]
}

function bootShared(
  workbench: Workbench,
  testName: string,
  machines: SharedMachines,
  onCleanup: (end: () => Promise<void>) => void,
): Boot {
  const { signal } = new AbortController()
  const scope = new TestScope({ workbench, testName, attempt: 0, isShared: true, signal, notice: say })
  machines.scope = scope
  onCleanup(() => scope.end({ isFailed: machines.errors.length > 0, errors: machines.errors }))
  return bootIn(scope)
}

function bootIn(scope: TestScope): Boot {
  // The options decide what the machine can do: that is for the types alone.
  return (async (image: string, options: BootOptions = {}) => scope.boot(image, options)) as Boot
}

function say(text: string): void {
  process.stderr.write(`bootwright: ${text}\n`)
}

/** File, groups and name, as the reporters print them. */
function fullName(task: TestContext['task']): string {
  const names = [task.name]
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) names.unshift(suite.name)
  return [task.file.name, ...names.filter((name) => name !== task.file.name)].join(' > ')
}
