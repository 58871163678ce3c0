import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EfiSignatureList, parseEfiSignatureLists, parseEfiVariableStore } from '../formats/index.ts'
import { Cache, readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { type Firmware, firmwareNamed } from './firmware.ts'

const toolchain = { root: '/tools' } as Toolchain
const OWN = resolve(import.meta.dirname, '../../ovmf')
let directory: string
let cache: Cache

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-firmware-'))
  cache = new Cache(join(directory, 'cache'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe('firmwareNamed()', () => {
  it('takes code and variables from the toolchain', async () => {
    expect(await firmwareNamed(OWN, 'setup-mode', toolchain, cache)).toEqual({
      name: 'setup-mode',
      codePath: '/tools/usr/share/OVMF/OVMF_CODE_4M.secboot.fd',
      variablesPath: '/tools/usr/share/OVMF/OVMF_VARS_4M.fd',
      needsSmm: true,
    })
    expect((await firmwareNamed(OWN, 'plain', toolchain, cache)).needsSmm).toBe(false)
  })

  it('lists those that exist when the name is not one of them', async () => {
    await writeFile(join(directory, 'b.json'), '{}')
    await writeFile(join(directory, 'a.json'), '{}')
    await expect(firmwareNamed(directory, 'c', toolchain, cache)).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: 'There is no firmware "c"; there are: a, b',
    })
    await expect(firmwareNamed(join(directory, 'none'), 'c', toolchain, cache)).rejects.toMatchObject({
      message: 'There is no firmware "c"; there are none',
    })
    await expect(firmwareNamed(directory, '../x', toolchain, cache)).rejects.toMatchObject({ code: 'UNKNOWN_NAME' })
  })

  it.for([
    '',
    '{',
    'null',
    '[]',
    '{"code": 1, "variables": "/v"}',
    '{"code": "/c"}',
    '{"code": "/c", "variables": "/v", "ownKeys": ["PK", "dbx"]}',
    '{"code": "/c", "variables": "/v", "ownKeys": true}',
  ])('rejects a description that is %j', async (text) => {
    await writeFile(join(directory, 'x.json'), text)
    await expect(firmwareNamed(directory, 'x', toolchain, cache)).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
  })
})

const tools = await readyToolchain().catch(() => undefined)
const ovmf = join(tools?.root ?? '', 'usr/share/OVMF')

describe.skipIf(tools === undefined || !existsSync(ovmf))(
  'firmwareNamed() with own keys (needs the tools: ./bootwright setup)',
  () => {
    const named = (name: string): Promise<Firmware> => firmwareNamed(OWN, name, tools as Toolchain, cache)

    it('makes the keys once, and readable for their user alone', async () => {
      const [one, other] = [await named('secure-boot'), await named('self-enrolling')]
      expect(other.ownKeys?.keys).toEqual(one.ownKeys?.keys)
      const path = one.ownKeys?.keys.keys.PK.privateKeyPath ?? ''
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      expect(await readFile(path, 'utf8')).toContain('PRIVATE KEY')
    })

    it('enrols them in an empty store, and hands it out again for the same keys', async () => {
      const firmware = await named('secure-boot')
      const keys = firmware.ownKeys?.keys
      for (const name of ['db', 'KEK', 'PK'] as const) {
        const [list, ...more] = await listsOf(firmware, name)
        expect(more).toEqual([])
        expect(list?.signatures).toEqual([{ owner: keys?.owner, data: keys?.keys[name].certificate }])
      }
      expect((await named('secure-boot')).variablesPath).toBe(firmware.variablesPath)
    })

    it("puts the own certificate behind Microsoft's in db, and leaves the rest alone", async () => {
      const firmware = await named('microsoft-keys')
      const before = { variablesPath: join(ovmf, 'OVMF_VARS_4M.ms.fd') }
      const enrolled = await listsOf(firmware, 'db')
      const data = firmware.ownKeys?.keys.keys.db.certificate
      expect(enrolled.slice(0, -1)).toEqual(await listsOf(before, 'db'))
      expect(enrolled.at(-1)?.signatures).toMatchObject([{ data }])
      for (const name of ['PK', 'KEK', 'dbx'])
        expect(await listsOf(firmware, name)).toEqual(await listsOf(before, name))
    })

    it('leaves the store in setup mode where the image brings the keys', async () => {
      expect(await named('self-enrolling')).toMatchObject({
        variablesPath: join(ovmf, 'OVMF_VARS_4M.fd'),
        ownKeys: { enrolled: 'at-first-boot' },
      })
    })
  },
)

async function listsOf({ variablesPath }: Pick<Firmware, 'variablesPath'>, name: string): Promise<EfiSignatureList[]> {
  const { variables } = parseEfiVariableStore(await readFile(variablesPath))
  const data = variables.find((variable) => variable.name === name)?.data
  return parseEfiSignatureLists(data ?? new Uint8Array())
}
