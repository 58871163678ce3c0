import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, describe as group, it } from 'vitest'
import { describe, quote, run, runUnchecked } from './process.ts'

group('run()', () => {
  it('gives stdout and stderr as they are', async () => {
    const result = await run({ argv: ['sh', '-c', 'echo out; echo err >&2'] })
    expect(result).toMatchObject({ exitCode: 0, stdout: 'out\n', stderr: 'err\n' })
  })

  it('rejects with the last words and the command to repeat', async () => {
    await expect(run({ argv: ['sh', '-c', 'echo "no luck" >&2; exit 3'] })).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: 'sh failed with status 3: no luck',
      hint: `To repeat it: sh -c 'echo "no luck" >&2; exit 3'`,
    })
  })

  it('says which program is missing', async () => {
    await expect(run({ argv: ['no-such-program'] })).rejects.toMatchObject({ code: 'TOOL_MISSING' })
  })

  it('ends a command at its time limit', async () => {
    await expect(run({ argv: ['sleep', '1000'] }, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMED_OUT' })
  })

  it('ends a command with its signal, and rejects with the reason', async () => {
    const abort = new AbortController()
    const running = run({ argv: ['sleep', '1000'] }, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })

  it('hands on input and environment', async () => {
    const { stdout } = await run({ argv: ['sh', '-c', 'cat; printf "$WORD"'], env: { WORD: 'w' } }, { input: 'in ' })
    expect(stdout).toBe('in w')
  })
})

group('runUnchecked()', () => {
  it('tells each line of both streams as it comes', async () => {
    const lines: string[] = []
    const argv = ['sh', '-c', 'echo one; sleep 0.1; echo two >&2; exit 1']
    const { exitCode } = await runUnchecked({ argv }, { onLine: (line) => lines.push(line) })
    expect({ exitCode, lines }).toEqual({ exitCode: 1, lines: ['one', 'two'] })
  })
})

group('runUnchecked() with descendants', () => {
  /** A script that starts something which holds its output open, and says so. */
  const start = 'sleep 1000 & echo "left $!"; '

  async function until(hasEnded: () => boolean): Promise<void> {
    while (!hasEnded()) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  function isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0)
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    } catch {
      return false
    }
  }

  it('gives output and exit status, and ends what the command left', async () => {
    const argv = ['sh', '-c', `${start} echo words >&2; exit 7`]
    const { exitCode, stdout, stderr } = await runUnchecked({ argv }, { withDescendants: true })
    expect({ exitCode, stderr }).toEqual({ exitCode: 7, stderr: 'words\n' })
    await until(() => !isAlive(Number(stdout.slice('left '.length))))
  })

  it('ends command and descendants at its signal', async () => {
    const abort = new AbortController()
    let pid = 0
    const onLine = (line: string): void => {
      pid = Number(line.slice('left '.length))
      abort.abort(new Error('enough'))
    }
    const argv = ['sh', '-c', `${start} wait`]
    await expect(runUnchecked({ argv }, { withDescendants: true, signal: abort.signal, onLine })).rejects.toThrow(
      'enough',
    )
    await until(() => !isAlive(pid))
  })

  it('ends them, deaf as they may be, when this process is killed', async () => {
    const index = join(import.meta.dirname, 'index.ts')
    const script = `trap '' TERM; ${start} while :; do wait; done`
    const program = `import { runUnchecked } from ${JSON.stringify(index)}
      const onLine = (line) => process.stdout.write(line + '\\n')
      await runUnchecked({ argv: ['sh', '-c', ${JSON.stringify(script)}] }, { withDescendants: true, onLine })`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString().slice('left '.length))
    expect(isAlive(pid)).toBe(true)
    child.kill('SIGKILL')
    await until(() => !isAlive(pid))
  })
})

group('quote()', () => {
  it('writes a word so that a shell reads it back', async () => {
    const words = ['plain', '', 'a b', "it's", '$x', '`id`', 'a\nb', '*', '~']
    const { stdout } = await run({ argv: ['sh', '-c', `printf '%s\\0' ${words.map(quote).join(' ')}`] })
    expect(stdout.split('\0').slice(0, -1)).toEqual(words)
    expect(describe({ argv: ['ls', '-l'] })).toBe('ls -l')
  })
})
