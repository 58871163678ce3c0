import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BootwrightError, exitStatus } from '../system/index.ts'
import { findProject, PACKAGE, type Project, projectAt } from '../testing/index.ts'
import { printError } from './print-error.ts'

/** The checkout or package that this program runs from. */
export const CHECKOUT = PACKAGE

/** The repository that this program works on: that of the working directory, else the checkout. */
export const PROJECT: Project = project()

/** Built images and runs. */
export const OUT = PROJECT.outDirectory
export const IMAGES = PROJECT.imagesDirectory
/** The project's own variants, else those that Bootwright brings. */
export const FIRMWARE = existsSync(join(PROJECT.directory, 'ovmf'))
  ? join(PROJECT.directory, 'ovmf')
  : join(PACKAGE, 'ovmf')

function project(): Project {
  try {
    return findProject()
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'INVALID_ARGUMENT') {
      printError(error, { withStack: false })
      process.exit(exitStatus(error))
    }
    // Commands that need an image say that there is none; the others do not care.
    return projectAt(process.cwd())
  }
}
