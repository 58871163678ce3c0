import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { quote } from '../../src/system/index.ts'
import { type OtherProject, strangersEnvironment } from './other-project.ts'

/** Whether there is script(1), which gives a program a terminal. */
export const hasTerminals = spawnSync('script', ['--version']).status === 0

/** What appears on the terminal, and what is typed then. */
export type Answer = readonly [prompt: RegExp, answer: () => string | Promise<string>]

/** Runs a command in a project, on a terminal, and types an answer each time that a prompt appears. */
export async function converse(project: OtherProject, argv: readonly string[], answers: readonly Answer[]) {
  const script = ['--quiet', '--flush', '--return', '--command', argv.map(quote).join(' '), '/dev/null']
  const child = spawn('script', script, {
    cwd: project.directory,
    env: strangersEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const left = [...answers]
  let output = ''
  let unanswered = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const text = stripVTControlCharacters(chunk.toString())
    output += text
    unanswered += text
    const [next] = left
    if (next === undefined || !next[0].test(unanswered)) return
    left.shift()
    unanswered = ''
    void Promise.resolve(next[1]()).then((answer) => child.stdin.write(answer))
  })
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { exitCode, output, unasked: left.length }
}
