import { describe, expect, it } from 'vitest'
import { parseGuid, parsePe } from '../formats/index.ts'
import { devicetree } from './devicetree.test-support.ts'
import { chosenByHardware, hardwareIds, knownHardware, profileScopes } from './index.ts'
import { peFile } from './prediction/boot/boot-disk.test-support.ts'

const identity = {
  system: { manufacturer: 'QEMU', productName: 'Standard PC (Q35 + ICH9, 2009)', version: 'pc-q35-11.0' },
  baseboard: {},
}
const ids = hardwareIds(identity)

/** A `.hwids` section: each ID with what the devicetree is compatible with. */
function hwids(entries: readonly (readonly [id: string | undefined, resource: string, kind?: number])[]): Buffer {
  const table = (entries.length + 1) * 28
  const texts = entries.map(([, resource]) => `${resource}\0`)
  const records = entries.map(([id = '', , kind = 1], index) => {
    const record = Buffer.alloc(28)
    record.writeUInt32LE(kind * 2 ** 28 + 28, 0)
    record.set(parseGuid(id), 4)
    record.writeUInt32LE(table + texts.slice(0, index).join('').length, 24)
    return record
  })
  return Buffer.concat([...records, Buffer.alloc(28), Buffer.from(texts.join(''))])
}

const board = (name: string) => devicetree([['compatible', `${name}\0`]])

function chosen(sections: Parameters<typeof peFile>[0], profile = 0): number | undefined {
  const file = peFile(sections)
  const pe = parsePe(file)
  const [section] = chosenByHardware(profileScopes(pe, profile), file, identity)
  return section === undefined ? undefined : pe.sections.indexOf(section)
}

describe('hardwareIds()', () => {
  it('has nothing of blanks around a field, and zeros in front of it', () => {
    const padded = { ...identity, system: { ...identity.system, manufacturer: '  00QEMU ', family: ' ' } }
    expect(hardwareIds(padded)).toEqual(ids)
    expect(hardwareIds({ ...identity, system: { ...identity.system, manufacturer: 'QEMU0' } })).not.toEqual(ids)
  })

  it('tries the most specific first', () => {
    expect([...ids.keys()]).toEqual([3, 6, 8, 10, 4, 5, 7, 9, 11])
  })
})

describe('chosenByHardware()', () => {
  const linux = ['.linux', 'x'] as const
  const other = '01234567-89ab-5def-8123-456789abcdef'

  it('takes the devicetree of the machine that .hwids knows', () => {
    const known = [
      '.hwids',
      hwids([
        [other, 'a,a'],
        [ids.get(9), 'b,b'],
      ]),
    ] as const
    const trees = [
      ['.dtbauto', board('a,a')],
      ['.dtbauto', 'damaged'],
      ['.dtbauto', board('b,b')],
    ] as const
    expect(chosen([linux, known, ...trees])).toBe(4)
    expect(chosen([linux, known, trees[0]])).toBeUndefined()
    expect(chosen([linux, ...trees])).toBeUndefined()
    expect(chosen([linux, ['.hwids', hwids([[other, 'b,b']])], ...trees])).toBeUndefined()
    expect(chosen([linux, ['.hwids', 'damaged: more than 28 bytes of text'], ...trees])).toBeUndefined()
  })

  it('goes by the most specific ID, not by the order of the table', () => {
    const known = hwids([
      [ids.get(11), 'a,a'],
      [ids.get(8), 'b,b'],
    ])
    expect(chosen([linux, ['.hwids', known], ['.dtbauto', board('a,a')], ['.dtbauto', board('b,b')]])).toBe(3)
  })

  it('looks in a profile first, with the table of the profile', () => {
    const known = ['.hwids', hwids([[ids.get(9), 'b,b']])] as const
    const tree = ['.dtbauto', board('b,b')] as const
    const profiles = [linux, known, tree, ['.profile', 'ID=a'], ['.profile', 'ID=b'], known, tree] as const
    expect(chosen([...profiles], 0)).toBe(2)
    expect(chosen([...profiles], 1)).toBe(6)
    expect(chosen([linux, known, ['.profile', 'ID=a'], tree], 0)).toBeUndefined()
  })

  it('tells firmware from devicetrees', () => {
    const file = peFile([linux, ['.hwids', hwids([[ids.get(9), 'fw', 2]])], ['.dtbauto', board('fw')]])
    const { sections } = parsePe(file)
    expect(knownHardware(sections, file, identity, 'firmware')?.resource).toBe('fw')
    expect(knownHardware(sections, file, identity, 'devicetree')).toBeUndefined()
  })
})
