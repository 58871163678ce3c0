import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { scanTree } from './scan-tree.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bootwright-scan-'))
})

afterEach(() => rm(root, { recursive: true, force: true }))

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}

describe('scanTree()', () => {
  it('finds uses by path and line, and counts what it looked at', async () => {
    await put('usr/bin/b', 'updatectl list\n')
    await put('usr/bin/a', '#!/bin/sh\n\nls /run/boot-loader-entries\nupdatectl list\n')
    await put('etc/other', 'nothing\n')
    const { findings, files, passedOver } = await scanTree(root)
    expect(findings.map(({ path, line, interface: { id } }) => `${path}:${line}: ${id}`)).toEqual([
      'usr/bin/a:3: boot-loader-entries',
      'usr/bin/a:4: sysupdated-bus',
      'usr/bin/b:1: sysupdated-bus',
    ])
    expect({ files, passedOver }).toEqual({ files: 3, passedOver: 0 })
  })

  it("passes over systemd's own files, by whichever name its packages have them, and documentation", async () => {
    await put('var/lib/dpkg/info/systemd-container.list', '/.\n/usr/bin/updatectl\n')
    await put('var/lib/dpkg/info/udev.list', '/lib/udev/tool\n')
    await put('var/lib/dpkg/info/other.list', '/usr/bin/mine\n')
    for (const path of ['usr/bin/updatectl', 'usr/lib/udev/tool', 'usr/bin/mine', 'usr/share/doc/x'])
      await put(path, 'updatectl\n')
    const { findings, passedOver } = await scanTree(root)
    expect(findings.map(({ path }) => path)).toEqual(['usr/bin/mine'])
    expect(passedOver).toBe(2)
  })

  it('follows no link', async () => {
    await put('outside/file', 'updatectl\n')
    await mkdir(join(root, 'inside'))
    await symlink('../outside', join(root, 'inside/link'))
    await symlink('../outside/file', join(root, 'inside/file'))
    expect((await scanTree(join(root, 'inside'))).findings).toEqual([])
  })
})
