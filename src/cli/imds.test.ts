import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const MAIN = resolve(import.meta.dirname, 'main.ts')
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-imds-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

function imds(...words: string[]) {
  return runUnchecked({ argv: [process.execPath, MAIN, 'imds', ...words], env: { BOOTWRIGHT_CACHE: directory } })
}

describe('imds clouds', () => {
  it('lists each with its addresses and names', async () => {
    const { stdout, exitCode } = await imds('clouds')
    expect(exitCode).toBe(0)
    expect(stdout).toContain(
      'google: Google Compute Engine\n  metadata: 169.254.169.254:80\n  names: metadata.google.internal, metadata\n  systemd: google-gcp\n',
    )
    expect(stdout).toContain('  metadata: 169.254.42.42:80, [fd00:42::42]:80\n')
    expect(stdout).toContain('digitalocean: DigitalOcean\n  metadata: 169.254.169.254:80\n  systemd: not in its hwdb\n')
  })

  it('gives all facts as JSON', async () => {
    const { schema, clouds } = JSON.parse((await imds('clouds', '--json')).stdout)
    expect(schema).toBe(1)
    const azure = clouds.find(({ name }: { name: string }) => name === 'azure')
    expect(azure).toMatchObject({
      dhcp: { options: [{ code: 245, value: '168.63.129.16' }] },
      smbios: { chassis: { assetTag: '7783-7084-3265-9085-8269-3286-77' } },
      hwdb: { vendor: 'microsoft-azure', extraHeaders: ['Metadata: true'] },
    })
  })
})

describe('imds serve', () => {
  async function served(...words: string[]): Promise<{ child: ChildProcess; lines: AsyncIterator<string> }> {
    const child = spawn(process.execPath, [MAIN, 'imds', 'serve', ...words], {
      env: { ...process.env, BOOTWRIGHT_CACHE: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (child.stdout === null) throw new Error('There is no standard output')
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  }

  it('answers on loopback as the cloud does, tells each request, and ends with Ctrl-C', async () => {
    const file = join(directory, 'instance.json')
    await writeFile(file, '{"name": "web-1"}')
    const { child, lines } = await served('--cloud', 'azure', '--instance', file, '--json')
    try {
      const next = async () => JSON.parse((await lines.next()).value)
      const { endpoints, authority } = await next()
      expect(authority).toContain(directory)
      const [metadata, wireServer] = endpoints as { url: string }[]
      const target = '/metadata/instance/compute/name?api-version=2021-02-01&format=text'
      const answer = await fetch(`${metadata?.url}${target}`, { headers: { Metadata: 'true' } })
      expect(await answer.text()).toBe('web-1')
      expect(await next()).toMatchObject({ endpoint: 'metadata', target, status: 200, outcome: 'answered' })
      expect(await (await fetch(`${wireServer?.url}/?comp=versions`)).text()).toContain('2012-11-30')
      child.kill('SIGINT')
      await once(child, 'exit')
      expect(child.exitCode).toBe(0)
      await expect(fetch(`${metadata?.url}${target}`)).rejects.toThrow()
    } finally {
      child.kill('SIGKILL')
    }
  })

  it.for([
    ['there are: akamai, alibaba, aws', '--cloud', 'nimbus'],
    [
      'An instance of Hetzner Cloud needs a string as hostname, found number',
      '--cloud',
      'hetzner',
      '--instance',
      '{"hostname": 1}',
    ],
    ['A server of Hetzner Cloud has no colour', '--cloud', 'hetzner', '--instance', '{"colour": "red"}'],
    ['Expected JSON in', '--cloud', 'hetzner', '--instance', '{'],
    ["required option '--cloud <name>'"],
    ['Expected a whole number', '--cloud', 'hetzner', '--port', 'x'],
  ])('says "%s"', async ([message = '', ...words]) => {
    const at = words.indexOf('--instance') + 1
    if (at > 0) {
      const file = join(directory, 'bad.json')
      await writeFile(file, words[at] ?? '')
      words[at] = file
    }
    const { exitCode, stderr } = await imds('serve', ...words)
    expect(stderr).toContain(message)
    expect(exitCode).toBe(2)
  })
})
