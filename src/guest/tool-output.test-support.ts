import { type ToolOutput, toolOutput } from './tool-output.ts'

/** A tool's output, kept: what goes to a pipe, in an environment that says nothing else. */
export function keptOutput(environment: Readonly<Record<string, string>> = {}): {
  readonly output: ToolOutput
  readonly kept: { stdout: string; stderr: string }
} {
  const kept = { stdout: '', stderr: '' }
  const output = toolOutput({
    environment,
    isOutTerminal: false,
    isErrorTerminal: false,
    out: (text) => {
      kept.stdout += text
    },
    error: (text) => {
      kept.stderr += text
    },
  })
  return { output, kept }
}
