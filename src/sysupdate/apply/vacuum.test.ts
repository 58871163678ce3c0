import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openUpdates } from '../open-updates.ts'
import type { PlanBehaviour } from '../plan.ts'
import { vacuum } from './vacuum.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bootwright-vacuum-'))
  for (const path of ['usr/lib/sysupdate.d', 'src', 'dst']) mkdirSync(join(root, path), { recursive: true })
  const text =
    '[Source]\nType=regular-file\nPath=/src\nMatchPattern=k_@v.efi\n' +
    '[Target]\nType=regular-file\nPath=/dst\nMatchPattern=k_@v+@l-@d.efi k_@v.efi\nInstancesMax=2\n'
  writeFileSync(join(root, 'usr/lib/sysupdate.d/90-kernel.transfer'), text)
})
afterEach(() => rmSync(root, { recursive: true }))

async function left(
  files: readonly string[],
  running: string | undefined,
  {
    behaviour = 'correct',
    acquiring,
    isRecorded = false,
  }: { behaviour?: PlanBehaviour; acquiring?: string; isRecorded?: boolean } = {},
): Promise<string[]> {
  for (const name of readdirSync(join(root, 'dst'))) rmSync(join(root, 'dst', name))
  for (const name of files) writeFileSync(join(root, 'dst', name), '')
  const opened = openUpdates({
    root,
    directory: undefined,
    component: undefined,
    transferSource: undefined,
    environment: {},
  })
  const found = await opened.discover({ isOffline: true, verify: undefined, compat: false, warn: () => undefined })
  await vacuum(
    {
      opened,
      component: undefined,
      behaviour,
      running,
      instancesMax: undefined,
      isSynced: false,
      isRecorded,
      lock: undefined,
      signal: undefined,
      retry: {},
      tell: () => undefined,
    },
    found,
    acquiring,
  )
  return readdirSync(join(root, 'dst')).sort()
}

it('vacuum() never deletes the version that is running, which the original does', async () => {
  const files = ['k_1.efi', 'k_2.efi', 'k_3.efi']
  expect(await left(files, '1')).toEqual(['k_1.efi', 'k_3.efi'])
  expect(await left(files, undefined)).toEqual(['k_2.efi', 'k_3.efi'])
  expect(await left(files, '1', { behaviour: 'original' })).toEqual(['k_2.efi', 'k_3.efi'])
})

it('vacuum() makes room by what does not boot', async () => {
  const files = ['k_1.efi', 'k_2+0-3.efi']
  expect(await left(files, '1', { acquiring: '3' })).toEqual(['k_1.efi'])
  // The last try of what runs takes its counter to zero as well.
  expect(await left(files, '2', { acquiring: '3' })).toEqual(['k_2+0-3.efi'])
  expect(await left(files, undefined, { acquiring: '3' })).toEqual(['k_2+0-3.efi'])
})

it('vacuum() notes what does not boot before it deletes it', async () => {
  const note = join(root, 'var/lib/systemd/sysupdate/failed.json')
  await left(['k_1.efi', 'k_2+0-3.efi'], '1', { acquiring: '3' })
  expect(existsSync(note)).toBe(false)
  await left(['k_1.efi', 'k_2+0-3.efi'], '1', { acquiring: '3', behaviour: 'original', isRecorded: true })
  expect(existsSync(note)).toBe(false)
  for (const version of ['2', '4', '4']) {
    await left(['k_1.efi', `k_${version}+0-3.efi`], '1', { acquiring: '5', isRecorded: true })
  }
  expect(JSON.parse(readFileSync(note, 'utf8'))).toEqual({ versions: ['2', '4'] })
})
