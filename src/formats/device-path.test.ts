import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import {
  firmwareFileNode,
  firmwareVolumeNode,
  formatDevicePath,
  parseDevicePath,
  parseGuid,
  pciNode,
  pciRootNode,
  writeDevicePath,
} from './index.ts'

const GUID = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

function node(type: number, subType: number, data: Uint8Array | string): Buffer {
  const bytes = typeof data === 'string' ? Buffer.from(data.replaceAll(' ', ''), 'hex') : data
  return Buffer.concat([Buffer.of(type, subType, bytes.byteLength + 4, 0), bytes])
}
const END = Buffer.of(0x7f, 0xff, 4, 0)
const utf16 = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')

// The path of the boot loader in an event log of OVMF: a partition of a virtio disk in slot 1.
const logged = Buffer.from(
  '02010c00d041030a00000000' +
    '010106000001' +
    '04012a000100000000080000000000000020080000000000a62e80556b181440b7218bcdc1673b020202' +
    `04043000${utf16('\\EFI\\BOOT\\BOOTX64.EFI').toString('hex')}` +
    '7fff0400',
  'hex',
)

describe('formatDevicePath()', () => {
  it('prints the path of a boot loader as EDK2 does', () => {
    expect(formatDevicePath(parseDevicePath(logged))).toBe(
      'PciRoot(0x0)/Pci(0x1,0x0)/HD(1,GPT,55802EA6-186B-4014-B721-8BCDC1673B02,0x800,0x82000)/\\EFI\\BOOT\\BOOTX64.EFI',
    )
  })

  it.for([
    [node(1, 1, '021f'), 'Pci(0x1F,0x2)'],
    [node(1, 3, '0b000000 0000c0fe00000000 ff0fc0fe00000000'), 'MemoryMapped(0xB,0xFEC00000,0xFEC00FFF)'],
    [node(1, 4, Buffer.concat([parseGuid(GUID), Buffer.of(0xab, 1)])), `VenHw(${GUID.toUpperCase()},AB01)`],
    [node(1, 5, '02000000'), 'Ctrl(0x2)'],
    [node(2, 1, 'd041080a 01000000'), 'PcieRoot(0x1)'],
    [node(2, 1, 'd0410105 00000000'), 'Serial(0x0)'],
    [node(2, 1, 'd0410303 00000000'), 'Acpi(PNP0303,0x0)'],
    [node(2, 1, '4d080001 00000000'), 'Acpi(0x0100084D,0x0)'],
    [node(2, 3, '00010080'), 'AcpiAdr(0x80000100)'],
    [node(3, 1, '01000000'), 'Ata(Secondary,Master,0x0)'],
    [node(3, 2, '05000000'), 'Scsi(0x5,0x0)'],
    [node(3, 5, '0300'), 'USB(0x3,0x0)'],
    [node(3, 10, parseGuid(GUID)), `VenMsg(${GUID.toUpperCase()})`],
    [node(3, 11, `525400b00701${'00'.repeat(26)}01`), 'MAC(525400B00701,0x1)'],
    [node(3, 12, '0a000002 0a000001 0000 0000 1100 01'), 'IPv4(10.0.0.1,UDP,Static,10.0.0.2)'],
    [
      node(3, 12, '00000000 00000000 0000 0000 0600 00 0a0000fe ffffff00'),
      'IPv4(0.0.0.0,TCP,DHCP,0.0.0.0,10.0.0.254,255.255.255.0)',
    ],
    [
      node(3, 13, `fe80${'00'.repeat(14)}${'00'.repeat(16)} 0000 0000 0600 01 40 ${'00'.repeat(16)}`),
      'IPv6(0000:0000:0000:0000:0000:0000:0000:0000,TCP,StatelessAutoConfigure,' +
        'FE80:0000:0000:0000:0000:0000:0000:0000,0x40,0000:0000:0000:0000:0000:0000:0000:0000)',
    ],
    [node(3, 18, '0000 ffff 0000'), 'Sata(0x0,0xFFFF,0x0)'],
    [node(3, 20, '6400'), 'Vlan(100)'],
    [node(3, 23, '01000000 0102030405060708'), 'NVMe(0x1,08-07-06-05-04-03-02-01)'],
    [node(3, 24, Buffer.from('http://a/b')), 'Uri(http://a/b)'],
    [
      node(4, 1, `01000000 0008000000000000 0010000000000000 78563412${'00'.repeat(12)} 01 01`),
      'HD(1,MBR,0x12345678,0x800,0x1000)',
    ],
    [node(4, 2, '00000000 1000000000000000 2000000000000000'), 'CDROM(0x0,0x10,0x20)'],
    [node(4, 8, '00000000 0001000000000000 ff01000000000000'), 'Offset(0x100,0x1FF)'],
    [node(5, 1, Buffer.concat([Buffer.of(2, 0, 0, 0), Buffer.from('disk\0')])), 'BBS(Harddrive,disk,0x0)'],
    [node(3, 99, 'ab'), 'Msg(99,AB)'],
    [node(9, 1, ''), 'Path(9,1)'],
  ] as const)('prints %o', ([bytes, text]) => {
    expect(formatDevicePath(parseDevicePath(Buffer.concat([bytes, END])))).toBe(text)
  })

  it('separates the instances of a path', () => {
    const two = Buffer.concat([
      node(3, 5, '0100'),
      Buffer.of(0x7f, 1, 4, 0),
      node(3, 5, '0200'),
      node(1, 1, '0001'),
      END,
    ])
    expect(formatDevicePath(parseDevicePath(two))).toBe('USB(0x1,0x0),USB(0x2,0x0)/Pci(0x1,0x0)')
  })

  it('names the field of a node that is too short', () => {
    const nodes = parseDevicePath(Buffer.concat([node(1, 1, '00'), END]), 100)
    expect(() => formatDevicePath(nodes)).toThrow('Device at offset 105: needs 1 bytes')
  })
})

describe('parseDevicePath()', () => {
  it('leaves what follows the end alone', () => {
    expect(parseDevicePath(Buffer.concat([END, Buffer.from('more')]))).toEqual([])
  })

  it('rejects a node shorter than its header, and a path of too many nodes', () => {
    expect(() => parseDevicePath(Buffer.of(1, 1, 3, 0))).toThrow('Length at offset 2: is 3')
    const many = Buffer.concat([...Array.from({ length: 1025 }, () => node(9, 1, '')), END])
    expect(() => parseDevicePath(many)).toThrow('begins node 1025')
  })

  it('rejects every truncation', () => {
    for (let length = 0; length < logged.byteLength; length++) {
      expect(expectResultOrMalformed(() => parseDevicePath(logged.subarray(0, length)))).toBe('malformed')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      expectResultOrMalformed(() => formatDevicePath(parseDevicePath(damaged(logged, seed))))
      expectResultOrMalformed(() => formatDevicePath(parseDevicePath(garbage(seed, seed))))
    }
  })
})

it('writeDevicePath() is the inverse of parseDevicePath()', () => {
  expect(logged.equals(writeDevicePath(parseDevicePath(logged)))).toBe(true)
  const built = writeDevicePath([pciRootNode(0), pciNode(1, 0), firmwareVolumeNode(GUID), firmwareFileNode(GUID)])
  expect(formatDevicePath(parseDevicePath(built))).toBe(
    `PciRoot(0x0)/Pci(0x1,0x0)/Fv(${GUID.toUpperCase()})/FvFile(${GUID.toUpperCase()})`,
  )
})
