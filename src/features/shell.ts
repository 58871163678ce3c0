import type { RunningMachine } from '../machine/index.ts'

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script in the guest, which goes on after what fails. */
export async function sh(machine: RunningMachine, script: string, ...args: readonly string[]): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await machine.runUnchecked(['sh', '-uc', script, 'sh', ...args])
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

/** What a command prints, without the line break at its end; it must succeed. */
export async function output(machine: RunningMachine, ...argv: readonly string[]): Promise<string> {
  return (await machine.run(argv)).stdout.trimEnd()
}

/** Asks until the answer is the one that is waited for, or for as long as that may take. Resolves with the last one. */
export async function eventually<T>(
  ask: () => Promise<T>,
  isRight: (answer: T) => boolean,
  withinMs = 15_000,
): Promise<T> {
  const end = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (isRight(answer) || performance.now() > end) return answer
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

/** Writes units of one run below /run, and has the manager read them. Leaving the scope stops and removes them. */
export async function temporaryUnits(
  machine: RunningMachine,
  units: Readonly<Record<string, string>>,
): Promise<AsyncDisposable> {
  for (const [name, text] of Object.entries(units)) await machine.writeFile(`/run/systemd/system/${name}`, text)
  await machine.run(['systemctl', 'daemon-reload'])
  const names = Object.keys(units).filter((name) => !name.includes('/'))
  return {
    async [Symbol.asyncDispose]() {
      const paths = Object.keys(units).map((name) => `/run/systemd/system/${name}`)
      await sh(machine, 'systemctl stop "$@"; systemctl reset-failed "$@"', ...names)
      await machine.run(['rm', '-f', ...paths])
      await machine.run(['systemctl', 'daemon-reload'])
    },
  }
}
