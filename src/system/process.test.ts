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

group('quote()', () => {
  it('writes a word so that a shell reads it back', async () => {
    const words = ['plain', '', 'a b', "it's", '$x', '`id`', 'a\nb', '*', '~']
    const { stdout } = await run({ argv: ['sh', '-c', `printf '%s\\0' ${words.map(quote).join(' ')}`] })
    expect(stdout.split('\0').slice(0, -1)).toEqual(words)
    expect(describe({ argv: ['ls', '-l'] })).toBe('ls -l')
  })
})
