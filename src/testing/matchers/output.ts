import { type Verdict, verdict } from './subject.ts'

/** What commands in the guest leave: as text, or as bytes. */
interface Output {
  readonly stdout: string | Uint8Array
  readonly stderr?: string | Uint8Array
}

const SHOWN = 2_000

/** Wants standard output to be a text, up to the newline at its end, or to match a pattern. */
export function toPrint(received: unknown, expected: string | RegExp): Verdict {
  if (!isOutput(received)) {
    const found = received instanceof Promise ? 'a promise: is there an await missing?' : typeof received
    return verdict(
      false,
      [`Expected the output of a command, found ${found}`],
      [`Expected the output of a command, found ${found}`],
    )
  }
  const stdout = text(received.stdout)
  const found = stdout.replace(/\r?\n$/, '')
  const pass =
    typeof expected === 'string' ? found === expected.replace(/\r?\n$/, '') : new RegExp(expected).test(found)
  const stderr = text(received.stderr ?? '').trim()
  const wanted = typeof expected === 'string' ? JSON.stringify(expected) : String(expected)
  return {
    ...verdict(
      pass,
      [
        'Expected the command to print something else',
        `  expected  ${wanted}`,
        `  found     ${shown(found)}`,
        ...(stderr === '' ? [] : [`  and on standard error: ${shown(stderr)}`]),
      ],
      [`Expected the command not to print ${wanted}, but it printed ${shown(found)}`],
    ),
    ...(typeof expected === 'string' && expected.includes('\n') ? { expected, actual: found } : {}),
  }
}

function isOutput(received: unknown): received is Output {
  return typeof received === 'object' && received !== null && 'stdout' in received
}

function text(bytes: string | Uint8Array): string {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()
}

function shown(value: string): string {
  return JSON.stringify(value.length > SHOWN ? `${value.slice(0, SHOWN)}… (${value.length} characters)` : value)
}
