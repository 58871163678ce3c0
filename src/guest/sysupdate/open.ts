import {
  type DefinitionProblem,
  type OpenedUpdates,
  openUpdates,
  type RetryOptions,
  readOsRelease,
} from '../../sysupdate/index.ts'
import { formatJson } from '../json-format.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import type { SysupdateOptions } from './options.ts'

export interface SysupdateContext {
  readonly version: string
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly retry?: RetryOptions
  /** Where runs can be reached that were begun over Varlink. */
  readonly runtimeDirectory?: string
}

/** There is nothing to work with: no error where all components are asked. */
export class NoTransfersFailure extends ToolFailure {}

/** The definitions that a command line names, with what is wrong in them told. */
export function open(
  { component, definitions, root, image, transferSource }: SysupdateOptions,
  output: ToolOutput,
  { environment = process.env }: SysupdateContext,
): OpenedUpdates {
  if (image !== undefined && definitions === undefined) {
    throw new ToolFailure(
      'Definitions inside of a disk image cannot be read: name their directory with --definitions=, or mount the image and use --root=.',
    )
  }
  const opened = openUpdates({ component, directory: definitions, root, image, transferSource, environment })
  warn(opened.problems, output)
  if (opened.isOldSuffix) {
    output.log('warning', 'As a legacy feature, transfer definitions were read from *.conf: rename them to *.transfer.')
  }
  return opened
}

/** The version that is booted, for who works on the system itself; undefined where it does not tell. */
export function runningVersion({ root, image, component }: SysupdateOptions): string | undefined {
  if (root !== '/' || image !== undefined || component !== undefined) return undefined
  return readOsRelease('/').get('IMAGE_VERSION') || undefined
}

export function warn(problems: readonly DefinitionProblem[], output: ToolOutput): void {
  for (const { path, line, text } of problems) output.log('warning', `${path}:${line}: ${text}`)
}

export function noTransfers(component: string | undefined): ToolFailure {
  const whose = component === undefined ? '' : ` for component '${component}'`
  return new NoTransfersFailure(`No transfer definitions${whose} found.`)
}

/** A result as JSON. */
export function print({ json }: SysupdateOptions, output: ToolOutput, value: unknown): void {
  output.out(`${formatJson(value, json, output)}\n`)
}
