import { describe, expect, it } from 'vitest'
import { parseHardwareIds } from './hardware-ids.ts'

/** Made by `ukify build --hwids=` of systemd 262 from two files, the first with two IDs. */
const SECTION = Buffer.from(
  '1c00001067452301ab89ef5d8123456789abcdef7b0000008c0000001c00001011111111222233538444555555555555' +
    '7b0000008c0000001c000020aaaaaaaabbbbcc5c8dddeeeeeeeeeeee700000009d000000' +
    `${'00'.repeat(28)}4669726d7761726520580051454d55205374616e646172642050430071656d752c7374616e646172642d70630076656e646f722d66772d7800`,
  'hex',
)

describe('parseHardwareIds()', () => {
  it('reads what ukify writes', () => {
    const board = { kind: 'devicetree', name: 'QEMU Standard PC', resource: 'qemu,standard-pc' }
    expect(parseHardwareIds(SECTION)).toEqual([
      { ...board, hardwareId: '01234567-89ab-5def-8123-456789abcdef' },
      { ...board, hardwareId: '11111111-2222-5333-8444-555555555555' },
      {
        kind: 'firmware',
        hardwareId: 'aaaaaaaa-bbbb-5ccc-8ddd-eeeeeeeeeeee',
        name: 'Firmware X',
        resource: 'vendor-fw-x',
      },
    ])
  })

  it('takes a record without texts, and an empty section', () => {
    const bare = Buffer.concat([SECTION.subarray(0, 20), Buffer.alloc(8 + 28)])
    expect(parseHardwareIds(bare)).toMatchObject([{ name: undefined, resource: undefined }])
    expect(parseHardwareIds(new Uint8Array())).toEqual([])
  })

  it.for([
    [0, 0x3000001c, 'descriptor at offset 0: unknown kind 3'],
    [20, SECTION.byteLength, `name at offset 20: points to ${SECTION.byteLength}, behind the end`],
    [24, 0xffffffff, 'compatible at offset 24: points to 4294967295, behind the end'],
  ] as const)('refuses another number at %i', ([offset, value, problem]) => {
    const forged = Buffer.from(SECTION)
    forged.writeUInt32LE(value, offset)
    expect(() => parseHardwareIds(forged)).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(problem) }),
    )
  })

  it('refuses a text without an end', () => {
    expect(() => parseHardwareIds(SECTION.subarray(0, -1))).toThrow(/fwid at offset 80: the text at 157 has no end/)
  })
})
