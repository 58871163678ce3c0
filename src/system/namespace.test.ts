import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Namespace } from './namespace.ts'

const modulePath = new URL('./namespace.ts', import.meta.url).href

async function gone(pid: number): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (!readdirSync('/proc').includes(String(pid))) return true
    await sleep(50)
  }
  return false
}

describe('Namespace', () => {
  it('has no network but its own loopback', async () => {
    await using namespace = await Namespace.open()
    const { stdout } = await namespace.run({ argv: ['ls', '/sys/class/net'] })
    expect(Object.keys(networkInterfaces()).length).toBeGreaterThan(0)
    const { stdout: seen } = await namespace.run({ argv: ['cat', '/proc/net/dev'] })
    expect(
      seen
        .trim()
        .split('\n')
        .slice(2)
        .map((line) => line.split(':')[0]?.trim()),
    ).toEqual(['lo'])
    expect(stdout).toContain('lo')
  })

  it('passes words on as they are, and the exit status back', async () => {
    await using namespace = await Namespace.open()
    const result = await namespace.run({
      argv: ['sh', '-c', 'printf "%s|" "$@"; exit 7', 'sh', 'a b', "'", '$HOME', ''],
    })
    expect(result).toMatchObject({ exitCode: 7, stdout: "a b|'|$HOME||" })
  })

  it('listens inside and is served outside', async () => {
    await using namespace = await Namespace.open()
    await namespace.run({ argv: ['ip', 'address', 'add', '169.254.169.254/32', 'dev', 'lo'] })
    await namespace.run({ argv: ['ip', 'link', 'set', 'lo', 'up'] })
    const server = await namespace.listen('169.254.169.254', 80)
    server.on('connection', (socket) => socket.end('from outside'))
    const { stdout } = await namespace.run({ argv: ['bash', '-c', 'cat </dev/tcp/169.254.169.254/80'] })
    server.close()
    expect(stdout).toBe('from outside')
  })

  it('says why it cannot listen', async () => {
    await using namespace = await Namespace.open()
    // Before the first interface is up there is no routing table, and the kernel lets anything be bound.
    await namespace.run({ argv: ['ip', 'link', 'set', 'lo', 'up'] })
    await expect(namespace.listen('169.254.169.254', 80)).rejects.toThrow(/169\.254\.169\.254 port 80.*EADDRNOTAVAIL/)
  })

  it('ends what runs in it when it is disposed of', async () => {
    const namespace = await Namespace.open()
    const sleeper = namespace.start({ argv: ['sh', '-c', 'echo started; exec sleep 1000'] }, [
      'ignore',
      'pipe',
      'inherit',
    ])
    await once(sleeper.child.stdout ?? process.stdin, 'data')
    await namespace[Symbol.asyncDispose]()
    expect(await sleeper.ended).toEqual({ exitCode: null, signal: 'SIGKILL' })
  })

  it('ends what runs in it when its owner is killed', async () => {
    const script = `
      const { Namespace } = await import(${JSON.stringify(modulePath)})
      const namespace = await Namespace.open()
      const sleeper = namespace.start({ argv: ['sleep', '1000'] }, 'ignore')
      process.stdout.write(String(sleeper.child.pid))
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [chunk] = (await once(owner.stdout, 'data')) as [Buffer]
    const pid = Number(chunk.toString())
    expect(execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })).toContain('sleep 1000')
    owner.kill('SIGKILL')
    expect(await gone(pid)).toBe(true)
  })
})
