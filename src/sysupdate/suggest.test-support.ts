/** Judges conditions where this runs: JSON on standard input, `[[subject, value], …]`, to JSON on standard output. */
import { readFileSync } from 'node:fs'
import { parseOption } from './parse-option.ts'
import { suggestion } from './suggest.ts'

const conditions = JSON.parse(readFileSync(0, 'utf8')) as readonly (readonly [string, string])[]
const answers = conditions.map(([subject, value]) => {
  const bytes = Buffer.from(`[Feature]\nSuggestOn${subject}=${value}\n`)
  return suggestion(parseOption('feature', 'x', [{ path: 'x.feature', bytes }], []))
})
process.stdout.write(JSON.stringify(answers))
