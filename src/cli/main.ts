#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { asHostError, BootwrightError, exitStatus } from '../system/index.ts'
import { printError } from './print-error.ts'

/** Each is loaded when it is called: what the others need would cost more than a build that finds nothing to do. */
const COMMANDS: Readonly<Record<string, () => Promise<(signal: AbortSignal) => Command>>> = {
  verify: async () => (await import('./verify.ts')).verifyCommand,
  test: async () => (await import('./test.ts')).testCommand,
  build: async () => (await import('./build.ts')).buildCommand,
  boot: async () => (await import('./boot.ts')).bootCommand,
  setup: async () => (await import('./setup.ts')).setupCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  predict: async () => (await import('./predict.ts')).predictCommand,
  attest: async () => (await import('./attest.ts')).attestCommand,
  measure: async () => (await import('./measure.ts')).measureCommand,
  'guest-tools': async () => (await import('./guest-tools.ts')).guestToolsCommand,
  conformance: async () => (await import('./conformance.ts')).conformanceCommand,
  matrix: async () => (await import('./matrix.ts')).matrixCommand,
  deprecations: async () => (await import('./deprecations.ts')).deprecationsCommand,
  release: async () => (await import('./release.ts')).releaseCommand,
  serve: async () => (await import('./serve.ts')).serveCommand,
  sysupdate: async () => (await import('./sysupdate.ts')).sysupdateCommand,
  fraction: async () => (await import('./fraction.ts')).fractionCommand,
  imds: async () => (await import('./imds.ts')).imdsCommand,
  eventlog: async () => (await import('./eventlog.ts')).eventlogCommand,
}

/**
 * The first Ctrl-C (or SIGTERM) ends everything in order; the second one ends this process, and with it, through their
 * namespaces, everything that it has started.
 */
function interruptible(): AbortController {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130)
      controller.abort(new BootwrightError('INTERRUPTED', `Interrupted by ${name}`))
    })
  }
  return controller
}

const { signal } = interruptible()
const program = new Command('bootwright')
  .description(
    'Builds bootable images, predicts how they measure, boots them beside fake clouds, and proves what happened.',
  )
  .option('--debug', 'show the stack of an error', false)
  .exitOverride()
  .showHelpAfterError('hint: Add --help to see what there is.')
  .configureHelp({ showGlobalOptions: true })
const asked = process.argv.slice(2).find((word) => !word.startsWith('-')) ?? ''
for (const name of Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS)) {
  const command = await COMMANDS[name]?.()
  if (command !== undefined) program.addCommand(command(signal).copyInheritedSettings(program))
}

try {
  if (process.argv[2] === 'measure')
    process.exitCode = await (await import('./measure.ts')).runMeasure(process.argv.slice(3))
  else if (process.argv[2] === 'sysupdate')
    process.exitCode = await (await import('./sysupdate.ts')).runSysupdate(process.argv.slice(3))
  else await program.parseAsync()
} catch (error) {
  process.exitCode = fail(error)
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed it already; help that was asked for is no failure.
    return error.exitCode === 0 ? 0 : 2
  }
  if (error instanceof InvalidArgumentError) return 2
  // A disk that is full or closed to us is no bug, wherever it is met.
  const named = asHostError(error)
  printError(named, { withStack: program.opts<{ debug: boolean }>().debug })
  // 128 + SIGINT, as a shell tells it of any program.
  return signal.aborted ? 130 : exitStatus(named)
}
