import { open } from 'node:fs/promises'
import { Command } from 'commander'
import { type Fraction, isInFraction, isMachineId, parseFraction, seededRandom } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import { wholeNumber } from './whole-number.ts'

interface FractionOptions {
  readonly generate?: number
  readonly seed: number
  readonly json: boolean
}

const MAX_MACHINES = 100_000_000

export function fractionCommand(): Command {
  return new Command('fraction')
    .summary('tell which machines of a fleet ConditionFraction= selects, without asking them')
    .argument('<fraction>', 'as in the unit: "20%", or "TAG 20%"')
    .argument('[file]', 'machine IDs, one a line; standard input without')
    .option('--generate <number>', 'so many random machine IDs instead', wholeNumber('--generate', 1, MAX_MACHINES))
    .option('--seed <number>', 'other ones', wholeNumber('--seed', 0, 2 ** 32 - 1), 0)
    .option('--json', 'print counts and machine IDs as JSON', false)
    .action(async (value: string, file: string | undefined, options: FractionOptions) => {
      if (file !== undefined && options.generate !== undefined) {
        throw new BootwrightError('INVALID_ARGUMENT', 'Expected a file or --generate, found both')
      }
      const fraction = parseFraction(value)
      const machineIds = options.generate === undefined ? listed(file) : generated(options.generate, options.seed)
      await select(fraction, machineIds, options.json)
    })
}

/** Prints the selected machines, one a line, and on standard error how many of how many they are. */
async function select(
  fraction: Fraction,
  machineIds: AsyncIterable<string> | Iterable<string>,
  isJson: boolean,
): Promise<void> {
  let count = 0
  const selected: string[] = []
  for await (const machineId of machineIds) {
    count++
    if (isInFraction(machineId, fraction)) selected.push(machineId)
  }
  const { tag, permyriad } = fraction
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ schema: 1, tag, permyriad, machines: count, selected })}\n`)
    return
  }
  if (selected.length > 0) process.stdout.write(`${selected.join('\n')}\n`)
  const part = count === 0 ? '' : ` (${((selected.length / count) * 100).toFixed(2)} %)`
  process.stderr.write(`${selected.length} of ${count} machines${part}\n`)
}

async function* listed(path: string | undefined): AsyncGenerator<string> {
  let number = 0
  const name = path ?? 'standard input'
  await using file = path === undefined ? undefined : await open(path)
  const lines = file === undefined ? linesOf(process.stdin) : file.readLines()
  for await (const line of lines) {
    number++
    // As `uuidgen` writes them, too (sd-id128).
    const machineId = line.trim().toLowerCase().replaceAll('-', '')
    if (machineId === '') continue
    if (!isMachineId(machineId)) {
      throw new BootwrightError(
        'INVALID_ARGUMENT',
        `Expected a machine ID of 32 hexadecimal digits in line ${number} of ${name}, found "${line.slice(0, 80)}"`,
        { hint: 'One a line, as in /etc/machine-id.' },
      )
    }
    yield machineId
  }
}

async function* linesOf(stream: NodeJS.ReadStream): AsyncGenerator<string> {
  const { createInterface } = await import('node:readline')
  yield* createInterface({ input: stream })
}

function* generated(count: number, seed: number): Generator<string> {
  const random = seededRandom(seed)
  const word = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0')
  for (let left = count; left > 0; left--) yield `${word()}${word()}${word()}${word()}`
}
