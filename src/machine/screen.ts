import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { KEY_NAMES, keysFor, parseKeys } from './keys.ts'
import type { Qmp } from './qmp.ts'

/**
 * What the machine's screen shows, as the bytes of a PNG file, which is written to `path` as well where one is given.
 *
 * Rejects with `INVALID_ARGUMENT` for a machine without a screen.
 */
export async function screenshot(
  machine: { readonly qmp: Qmp; readonly name: string; readonly directory: string },
  path?: string,
): Promise<Buffer> {
  const aside = join(machine.directory, `screen-${randomBytes(6).toString('hex')}.png`)
  try {
    await machine.qmp.execute('screendump', { filename: aside, format: 'png' })
    const png = await readFile(aside)
    if (path !== undefined) {
      await writeFile(`${path}.new`, png)
      await rename(`${path}.new`, path)
    }
    return png
  } catch (cause) {
    // QEMU has the keyboard and the mouse in mind: "There is no console to take a screendump from".
    if (!(cause instanceof BootwrightError) || !/no (?:graphical )?console/i.test(cause.message)) throw cause
    throw new BootwrightError('INVALID_ARGUMENT', `Machine "${machine.name}" has no screen to take a picture of`, {
      cause,
      hint: 'Make it with `screen: true`; its serial console is in `console` and console.log in any case.',
    })
  } finally {
    await rm(aside, { force: true })
  }
}

/** Presses keys together and lets them go: `ctrl-alt-delete`, `f2`, `shift-a`. */
export async function sendKey(qmp: Qmp, keys: string): Promise<void> {
  const names = parseKeys(keys)
  await qmp.execute('send-key', { keys: names.map((data) => ({ type: 'qcode', data })) }).catch((cause) => {
    if (!(cause instanceof BootwrightError) || cause.code !== 'TOOL_FAILED') throw cause
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot press ${keys}: ${cause.message}`, { cause, hint: KEY_NAMES })
  })
}

/** Types a text on the machine's keyboard, which has the layout of the United States. */
export async function type(qmp: Qmp, text: string): Promise<void> {
  // All are known before the first is pressed.
  const strokes = [...text].map(keysFor)
  for (const keys of strokes) {
    await qmp.execute('send-key', { keys: keys.map((data) => ({ type: 'qcode', data })), 'hold-time': HOLD_MS })
    // One key goes up before the next goes down, or a letter that comes twice is one.
    await new Promise((resolve) => setTimeout(resolve, 2 * HOLD_MS))
  }
}

const HOLD_MS = 10
