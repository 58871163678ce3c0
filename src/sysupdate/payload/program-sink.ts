import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { BootwrightError } from '../../system/index.ts'
import { printable } from './download-error.ts'
import type { Sink } from './sink.ts'

const MAX_COMPLAINT = 2000

/**
 * A program that takes bytes on its standard input. Leaving the scope ends it, unless it has ended well by then. Rejects with
 * `TOOL_MISSING`, and with `MALFORMED_INPUT` and what it says when it does not like the bytes.
 */
export function programSink(
  argv: readonly [string, ...string[]],
  options: { readonly maxBytes: number; readonly name: string },
): Sink & AsyncDisposable {
  const [program, ...args] = argv
  const env = { PATH: process.env.PATH, LC_ALL: 'C' }
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'], env })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  ended.catch(() => undefined)
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(0, MAX_COMPLAINT)
  })
  // A program that has ended says itself why.
  child.stdin.on('error', () => undefined)
  const finish = async (): Promise<void> => {
    child.stdin.end()
    const status = await ended.catch((cause: unknown) => {
      throw new BootwrightError('TOOL_MISSING', `Cannot start ${program}, which unpacks what was downloaded`, {
        cause,
        hint: `Install ${program} on the system that is updated.`,
      })
    })
    if (status === 0) return
    const why = printable(complaint.trim().split('\n')[0] ?? '') || `it ended with status ${status}`
    throw new BootwrightError('MALFORMED_INPUT', `Cannot unpack ${options.name}: ${why}`, {
      hint: 'What is served is damaged, or no archive: make the release again.',
    })
  }
  return {
    ...options,
    async write(block) {
      // The block is used again as soon as this resolves.
      const isTaken = await new Promise<boolean>((resolve) => {
        child.stdin.write(block, (error) => resolve(error === null || error === undefined))
      })
      if (!isTaken) await finish()
    },
    finish,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.pid === undefined) return
      child.kill('SIGKILL')
      await Promise.race([once(child, 'close'), ended.catch(() => undefined)])
    },
  }
}
