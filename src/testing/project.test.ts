import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findProject, PACKAGE } from './project.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-project-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function image(): Promise<void> {
  await mkdir(join(directory, 'images/hello'), { recursive: true })
  await writeFile(join(directory, 'images/hello/mkosi.conf'), '')
}

describe('findProject()', () => {
  it('finds images here or above', async () => {
    await image()
    const below = join(directory, 'vm-tests/deep')
    await mkdir(below, { recursive: true })
    expect(findProject(below, {})).toMatchObject({
      directory,
      imagesDirectory: join(directory, 'images'),
      outDirectory: join(directory, 'out'),
      firmwareDirectories: [join(directory, 'ovmf'), join(PACKAGE, 'ovmf')],
      quarantineFile: join(directory, 'quarantine.json'),
    })
  })

  it('takes paths from bootwright.json', async () => {
    const file = { images: 'os', out: '../built', image: 'hello', allowedSymptoms: [{ match: 'x', because: 'y' }] }
    await writeFile(join(directory, 'bootwright.json'), JSON.stringify(file))
    expect(findProject(directory, {})).toMatchObject({
      imagesDirectory: join(directory, 'os'),
      outDirectory: join(directory, '../built'),
      image: 'hello',
      allowedSymptoms: [{ match: 'x', because: 'y' }],
    })
  })

  it('prefers the environment, and falls back to the checkout', async () => {
    await image()
    expect(findProject('/', { BOOTWRIGHT_PROJECT: directory }).directory).toBe(directory)
    expect(findProject('/', {}).directory).toBe(PACKAGE)
  })

  it.for([
    ['{', 'it is not JSON'],
    ['[]', 'it is no object'],
    ['{"imgaes": "x"}', 'there is no setting "imgaes"'],
    ['{"images": 1}', '"images" should be a text'],
    [
      '{"allowedSymptoms": [{"match": "x", "because": ""}]}',
      '"allowedSymptoms" should be a list of { "match": …, "because": … }, both given',
    ],
    ['{"allowedSymptoms": [null]}', '"allowedSymptoms" should be a list of { "match": …, "because": … }, both given'],
  ] as const)('refuses %s', async ([text, found]) => {
    await writeFile(join(directory, 'bootwright.json'), text)
    expect(() => findProject(directory, {})).toThrow(`bootwright.json: ${found}`)
  })
})
