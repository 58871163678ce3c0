import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { quote, type RunResult, runUnchecked } from '../system/index.ts'

const progress = new URL('./progress.ts', import.meta.url).href
const script = (body: string) =>
  `const { Progress } = await import(${JSON.stringify(progress)})
   const { setTimeout: sleep } = await import('node:timers/promises')
   ${body}`
const argvOf = (body: string) => [process.execPath, '--input-type=module', '--eval', script(body)]

/** Runs it with standard error going into a pipe, as in CI. */
function piped(body: string): Promise<RunResult> {
  return runUnchecked({ argv: argvOf(body) }, { timeoutMs: 20_000 })
}

/** Runs it on a terminal of 80 columns. Without a variable that says that it is CI. */
function onTerminal(body: string): Promise<RunResult> {
  const command = `stty cols 80; unset CI; exec ${argvOf(body).map(quote).join(' ')}`
  return runUnchecked({ argv: ['script', '--quiet', '--return', '--command', command, '/dev/null'] })
}

const terminal = await runUnchecked({
  argv: ['script', '--quiet', '--return', '--command', 'true', '/dev/null'],
}).catch(() => undefined)

describe('Progress without a terminal', () => {
  it('has two timed lines a step, and keeps standard output clean', async () => {
    const { stdout, stderr } = await piped(`
      const progress = new Progress()
      progress.update('build', 'one')
      progress.update('build', 'two')
      progress.update('boot')
      progress.finish()
      progress.finish()`)
    expect(stdout).toBe('')
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^ 0:\d\d\.\d build \.\.\.$/),
      expect.stringMatching(/^ 0:\d\d\.\d build: done in \d+\.\d s$/),
      expect.stringMatching(/^ 0:\d\d\.\d boot \.\.\.$/),
      expect.stringMatching(/^ 0:\d\d\.\d boot: done in \d+\.\d s$/),
    ])
  })

  it('does not call a step done that did not end well', async () => {
    const { stderr } = await piped(`
      try { using progress = new Progress(); progress.update('boot'); throw 1 } catch {}`)
    expect(stderr).toMatch(/^ 0:\d\d\.\d boot \.\.\.\n$/)
  })

  it('says nothing when there was nothing to do', async () => {
    expect((await piped('{ using progress = new Progress(); progress.finish() }')).stderr).toBe('')
  })
})

describe.skipIf(terminal?.exitCode !== 0)('Progress on a terminal (needs script(1))', () => {
  it('has a last line that moves, and a line for what is done', async () => {
    const { stdout } = await onTerminal(`
      const progress = new Progress()
      progress.update('boot', 'a line of the guest')
      await sleep(500)
      progress.finish()`)
    expect(stdout).toContain('\r\x1b[2K')
    const text = stripVTControlCharacters(stdout)
    expect(text).toMatch(/ 0:00\.\d boot {2}a line of the guest/)
    expect(text).toMatch(/✓ boot \d\.\d s\r?\n$/)
  })

  it('never fills the last line, nor lets a guest move the cursor', async () => {
    const { stdout } = await onTerminal(`
      const progress = new Progress()
      progress.update('boot', '\\x1b[2J' + 'x'.repeat(500))
      await sleep(500)
      progress[Symbol.dispose]()`)
    expect(stdout).not.toContain('\x1b[2J')
    const drawn = stdout.split('\r').map((line) => stripVTControlCharacters(line))
    expect(drawn.some((line) => line.includes('xxx'))).toBe(true)
    expect(Math.max(...drawn.map(({ length }) => length))).toBeLessThan(80)
    expect(stdout).not.toContain('✓')
  })

  it('does not keep the program alive', async () => {
    const { exitCode } = await onTerminal(`new Progress().update('boot', 'left alone')`)
    expect(exitCode).toBe(0)
  })
})
