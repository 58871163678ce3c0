import { expect, it } from 'vitest'
import { parseGpt } from '../formats/index.ts'
import { gptEventData } from './index.ts'
import { bootDisk } from './prediction/boot/boot-disk.test-support.ts'

it('gptEventData() is the header, the number of partitions, and their entries', () => {
  const disk = bootDisk({ esp: {}, root: 'ext4' })
  const expected = Buffer.concat([
    disk.subarray(512, 512 + 92),
    Buffer.from('0200000000000000', 'hex'),
    disk.subarray(1024, 1024 + 256),
  ])
  expect(Buffer.from(gptEventData(parseGpt(disk)))).toEqual(expected)
})

it('gptEventData() is that of the backup table where the primary one is damaged', () => {
  const disk = bootDisk({ esp: {} })
  const whole = gptEventData(parseGpt(disk))
  disk.writeUInt8(0xff, 512 + 60)
  const damaged = Buffer.from(gptEventData(parseGpt(disk)))
  expect(damaged.subarray(0, 92)).toEqual(disk.subarray(disk.byteLength - 512, disk.byteLength - 512 + 92))
  expect(damaged.subarray(92)).toEqual(Buffer.from(whole).subarray(92))
})
