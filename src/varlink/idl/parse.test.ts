import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { formatInterface } from './format.ts'
import { parseInterface } from './parse.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

const WHOLE = `# One line
# and another
interface org.example.whole

type Mood(
	# Good
	glad,
	sad
)

type Nested(
	a: ?[]int,
	b: [string](
		c: bool,
		d: (
			e,
			f
		)
	),
	mood: ?Mood
)

# Does it
method Do(
	# With this
	nested: Nested,
	real: float,
	some: any,
	thing: object
) -> ()

error Nothing()

error Failed(
	why: string
)
`

/** A text, whether it is an interface (the words with which it is refused), and where systemd decides otherwise. */
const VERDICTS: readonly [body: string, problem?: string | undefined, systemdTakesIt?: boolean][] = [
  [''],
  ['method M()->()'],
  ['\tmethod\tM\t(\ta\t:\tint\t)\t->\t(\t)\r\n'],
  ['method M() -> () error E() type T(a:int)'],
  ['type T (a, b)'],
  ['type T (a)'],
  ['type T (a: T)'],
  ['type T (A: int, a_1b: int, type: int, int: string)'],
  ['type T (a: ?[string]U) type U (x, y)'],
  ['type T (a: (b: (c, d)))'],
  ['# é\n#\n#x\nmethod M() -> () # behind'],
  ['error E (a: int)'],
  // The specification takes these; systemd does not.
  ['type T ()', undefined, false],
  ['type T (a: [][]int, b: [string][]int)', undefined, false],
  ['type T (a: []?int)', undefined, false],
  ['type T (a: ? int)', undefined, false],
  ['method m() -> ()', 'offset 21: expected a name that begins with a capital letter, found "m"'],
  ['method M_x() -> ()', 'found "M_x"'],
  ['method M1() -> () method M1() -> ()', 'offset 32: expected a name that is not there yet, found "M1"'],
  ['method M1() -> () type M1 (a: int)', 'expected a name that is not there yet'],
  ['method M(a) -> ()', 'expected fields with their types'],
  ['method M() -> (a: E) error E()', 'offset 32: expected a type that the interface has, found "E"'],
  ['method M() -> (a: M)', 'expected a type that the interface has'],
  ['method M()', 'expected "->", found its end'],
  ['method M(# x\n a: int', 'expected ")", found its end'],
  ['type T (a, b: int)', 'expected ")", found ":"'],
  ['type T (a: int, b)', 'expected ":", found ")"'],
  ['type T (a: int,)', 'expected the name of a field, found ")"'],
  ['type T (a: int, a: int)', 'expected a name that is not there yet, found "a"'],
  ['type T (a, a)', 'expected a name that is not there yet'],
  ['type T (_a: int)', 'found "_a"'],
  ['type T (a_: int)', 'found "a_"'],
  ['type T (a__b: int)', 'found "a__b"'],
  ['type T (a-b: int)', 'found "a-b"'],
  ['type T (1a: int)', 'found "1a"'],
  ['type T (a: U)', 'expected a type that the interface has, found "U"'],
  ['type T (a: ??int)', 'expected one "?" and the type'],
  ['type T (a: [int]int)', 'found "["'],
  ['type T a', 'expected "(", found "a"'],
  ['type T []int', 'expected "(", found "[]"'],
  ['type type (a: int)', 'found "type"'],
  ['error E', 'expected "(", found its end'],
  ['error E (a, b)', 'expected fields with their types'],
  ['foo', 'expected "type", "method" or "error", found "foo"'],
  ['method M() -> () \u0000', 'found "\\u0000"'],
  ['method M() -> () 💥', 'found "💥"'],
]

function resultOrMalformed<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    expect(error).toMatchObject({ code: 'MALFORMED_INPUT', detail: { offset: expect.any(Number) } })
    return undefined
  }
}

describe('parseInterface()', () => {
  it('reads back what was written, comments included', () => {
    expect(formatInterface(parseInterface(WHOLE))).toBe(WHOLE)
    expect(parseInterface(WHOLE).members.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'type Mood',
      'type Nested',
      'method Do',
      'error Nothing',
      'error Failed',
    ])
  })

  it.for(VERDICTS)('decides about %j', ([body, problem]) => {
    const text = `interface a.b\n${body}`
    if (problem === undefined) {
      const described = parseInterface(text)
      expect(parseInterface(formatInterface(described))).toEqual(described)
    } else {
      const message = expect.stringContaining(problem)
      expect(() => parseInterface(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT', message }))
    }
  })

  it.for(['a.b', 'a.B', 'A.b', 'a.0.0', 'a.b-c', 'com.example.0example', 'xn--lgbbat1ad8j.example.algeria'])(
    'takes the name %s',
    (name) => expect(parseInterface(`interface ${name}`).name).toBe(name),
  )

  it.for(['a', 'a.', '.a', 'a..b', 'a.b-', 'a.-b', '1a.b', 'a.b_c', 'a.ü'])('refuses the name %s', (name) => {
    expect(() => parseInterface(`interface ${name}\n`)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it('takes or refuses each beginning, and never reads what it does not say', () => {
    let taken = 0
    for (let length = 0; length < WHOLE.length; length++) {
      const described = resultOrMalformed(() => parseInterface(WHOLE.slice(0, length)))
      if (described === undefined) continue
      taken++
      expect(WHOLE.startsWith(formatInterface(described).trimEnd())).toBe(true)
    }
    // Behind each of its members, and where comments and blank lines follow.
    expect(taken).toBeLessThan(WHOLE.length / 4)
  })

  it('refuses what is nested without end', () => {
    for (const deep of [`${'(a: '.repeat(10_000)}int`, `(a: ${'[]'.repeat(10_000)}int)`]) {
      expect(() => parseInterface(`interface a.b type T ${deep}`)).toThrow(/at most 64/)
    }
  })

  it('reads a definition of a megabyte in one go', () => {
    const methods = Array.from({ length: 20_000 }, (_, index) => `method M${index}(a: int, b: ?[]string) -> ()\n`)
    expect(parseInterface(`interface a.b\n${methods.join('')}`).members).toHaveLength(20_000)
  })
})

describe.skipIf(toolchain === undefined)(
  'parseInterface() beside varlinkctl (needs the tools: ./bootwright setup)',
  () => {
    it('decides as systemd does, but where the specification is wider', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'bootwright-idl-'))
      try {
        const texts = VERDICTS.filter(([body]) => !body.includes('\u0000'))
        for (const [index, [body]] of texts.entries()) {
          await writeFile(join(directory, String(index)), `interface a.b\n${body}`)
        }
        const script = `for i in $(seq 0 ${texts.length - 1}); do varlinkctl validate-idl "$0/$i" >/dev/null 2>&1; echo $?; done`
        const { stdout } = await runUnchecked(toolchain.command(['sh', '-c', script, directory]))
        const verdicts = stdout.trim().split('\n')
        const ours = texts.map(([body, problem, bySystemd]) => [body, bySystemd ?? problem === undefined])
        expect(texts.map(([body], index) => [body, verdicts[index] === '0'])).toEqual(ours)
      } finally {
        await rm(directory, { recursive: true })
      }
    })

    it('writes what systemd writes', async () => {
      const { stdout } = await runUnchecked(toolchain.command(['varlinkctl', 'validate-idl']), { input: WHOLE })
      expect(stdout.trimEnd()).toBe(WHOLE.trimEnd())
    })
  },
)
