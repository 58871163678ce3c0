/** Why a run of mkosi failed, read from what it printed. */
export interface MkosiFailure {
  /** The last thing that mkosi said it was doing; undefined when it failed before it did anything. */
  readonly step: string | undefined
  readonly complaint: string
  /** The last lines of the program that mkosi was running, without mkosi's own. */
  readonly tail: readonly string[]
}

const MARK = '‣ '
/** mkosi names the image that it works on in front of each message. */
const IMAGE_PREFIX = /^\[[\w.-]+\]\s*/
/** How mkosi speaks of a program that failed; what it says else before it ends are steps. */
const PROGRAM_FAILED = /returned non-zero exit code|failed with non-zero exit code|was killed by|not found\.$/
const TAIL_LINES = 10

/** Finds step and complaint in the standard error of a failed mkosi. */
export function readFailure(output: string): MkosiFailure {
  const lines = output.split('\n').map((line) => line.trimEnd())
  const own = lines.flatMap((line, index) => (line.startsWith(MARK) ? [{ index, text: message(line) }] : []))
  // In parentheses mkosi gives hints and tells what it cleans up while it fails.
  const spoken = own.filter(({ text }) => !text.startsWith('('))
  const last = spoken.at(-1)
  const broken = last === undefined ? undefined : exceptionAfter(lines.slice(last.index + 1))
  if (last !== undefined && broken !== undefined) return { step: last.text, complaint: broken, tail: [] }
  const complaint = spoken.find(({ text }) => PROGRAM_FAILED.test(text)) ?? spoken.at(-1)
  if (complaint === undefined) {
    const words = lines.filter((line) => line !== '')
    return { step: undefined, complaint: words.at(-1) ?? 'it said nothing', tail: words.slice(-TAIL_LINES, -1) }
  }
  const step = spoken.filter(({ index }) => index < complaint.index).at(-1)
  const from = Math.max(step === undefined ? 0 : step.index + 1, complaint.index - TAIL_LINES)
  const tail = lines.slice(from, complaint.index).filter((line) => line !== '' && !line.startsWith(MARK))
  return { step: step?.text, complaint: complaint.text, tail }
}

/** The exception with which mkosi itself broke, in Python's words. */
function exceptionAfter(lines: readonly string[]): string | undefined {
  const start = lines.indexOf('Traceback (most recent call last):')
  return start < 0 ? undefined : lines.slice(start).findLast((line) => /^[A-Za-z_.]+(?:: |$)/.test(line))
}

function message(line: string): string {
  return line.slice(MARK.length).replace(IMAGE_PREFIX, '').trim()
}
