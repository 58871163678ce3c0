import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { linesOf } from './lines.ts'

async function lines(...chunks: (string | Uint8Array)[]): Promise<string[]> {
  const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
  return (await Array.fromAsync(linesOf(stream, 100))).map((line) => line.toString('latin1'))
}

it('linesOf() puts lines together, whatever the chunks', async () => {
  expect(await lines('on', 'e\ntwo\n\nth', 'ree')).toEqual(['one', 'two', '', 'three'])
  expect(await lines(Uint8Array.of(0xff, 0x0a))).toEqual(['\xff'])
  expect(await lines()).toEqual([])
})

it('linesOf() refuses a line that does not end, and rejects as its stream does', async () => {
  await expect(lines('x'.repeat(60), 'x'.repeat(60))).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
  const broken = new Readable({ read: () => undefined })
  const reading = Array.fromAsync(linesOf(broken))
  broken.destroy(new Error('gone'))
  await expect(reading).rejects.toThrow('gone')
})
