import { toolOutput } from '../tool-output.ts'
import { sysupdate } from './sysupdate.ts'

export interface HereOutcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly lastError: string
}

/** Runs our program in this process, as if no terminal were there. */
export async function sysupdateHere(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<HereOutcome> {
  let [stdout, stderr] = ['', '']
  const output = toolOutput({
    environment,
    isOutTerminal: false,
    isErrorTerminal: false,
    out: (text) => {
      stdout += Buffer.from(text).toString()
    },
    error: (text) => {
      stderr += text
    },
  })
  const exitCode = await sysupdate(argv, output, {
    version: 'systemd 262\n',
    environment,
    retry: { retries: 1, backOffMs: () => 1 },
  })
  return { exitCode, stdout, stderr, lastError: stderr.trim().split('\n').at(-1) ?? '' }
}
