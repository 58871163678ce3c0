import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Gpt, type GptPartition, parseGpt } from '../formats/index.ts'
import { BootwrightError, run, unknownName } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** The disk of a machine that is off, as the guest would see it. */
export interface DiskView {
  /** In bytes. */
  readonly size: number
  /** Throws `MALFORMED_INPUT` for a disk without a partition table, as `partitions` and `partition` do. */
  readonly gpt: Gpt
  readonly partitions: readonly GptPartition[]
  /** A partition by its name or number; rejects with `UNKNOWN_NAME` for another. */
  partition(nameOrNumber: string | number): GptPartition
  /** Bytes of the disk; `INVALID_ARGUMENT` for a range outside it. */
  read(offset: number, length: number): Promise<Buffer>
}

/** qemu-img copies blocks of this size; what is read is rounded to them. */
const BLOCK_BYTES = 4096
/** A GPT takes a few reads: its headers and its arrays. */
const MAX_READS = 16
const MAX_LENGTH = 1024 * 1024 * 1024

/**
 * Looks at a qcow2 disk with qemu-img: no root, no loop device, and nothing is written to it.
 */
export async function diskView(toolchain: Toolchain, path: string): Promise<DiskView> {
  const size = await virtualSize(toolchain, path)
  const read = (offset: number, length: number) => readRange(toolchain, path, size, offset, length)
  const table = await readGpt(size, read).catch((error: unknown) => {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return error
    throw error
  })
  const whole = (): Gpt => {
    if (table instanceof BootwrightError) throw table
    return table
  }
  return {
    size,
    get gpt() {
      return whole()
    },
    get partitions() {
      return whole().partitions
    },
    partition(which) {
      const gpt = whole()
      const found = gpt.partitions.find(({ name, number }) => which === (typeof which === 'number' ? number : name))
      if (found !== undefined) return found
      throw unknownName(
        'partition',
        String(which),
        gpt.partitions.map(({ name }) => name),
      )
    },
    read,
  }
}

async function virtualSize(toolchain: Toolchain, path: string): Promise<number> {
  const { stdout } = await run(toolchain.command(['qemu-img', 'info', '--output=json', resolve(path)]))
  return (JSON.parse(stdout) as { 'virtual-size': number })['virtual-size']
}

/** The parser asks for bytes and cannot wait: each range that it misses is fetched, and it starts again. */
async function readGpt(size: number, read: (offset: number, length: number) => Promise<Buffer>): Promise<Gpt> {
  const known = new Map<string, Buffer>()
  for (let attempt = 0; attempt < MAX_READS; attempt++) {
    let missing: { offset: number; length: number } | undefined
    try {
      return parseGpt({
        size,
        read(offset, length) {
          const bytes = known.get(`${offset} ${length}`)
          if (bytes !== undefined) return bytes
          missing = { offset, length }
          throw new Missing()
        },
      })
    } catch (error) {
      if (!(error instanceof Missing) || missing === undefined) throw error
      known.set(`${missing.offset} ${missing.length}`, await read(missing.offset, missing.length))
    }
  }
  throw new BootwrightError(
    'MALFORMED_INPUT',
    `The partition table of the disk is spread over more than ${MAX_READS} places`,
  )
}

class Missing extends Error {}

async function readRange(
  toolchain: Toolchain,
  path: string,
  size: number,
  offset: number,
  length: number,
): Promise<Buffer> {
  const isInside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
  if (!isInside || offset + length > size || length > MAX_LENGTH) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected a range in the disk of ${size} bytes, at most ${MAX_LENGTH} at once, found ${length} at ${offset}`,
    )
  }
  if (length === 0) return Buffer.alloc(0)
  const first = Math.floor(offset / BLOCK_BYTES)
  const count = Math.ceil((offset + length) / BLOCK_BYTES) - first
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-disk-'))
  try {
    const copy = join(directory, 'range')
    // Its count is that of the blocks up to the end, those skipped included.
    // biome-ignore format: operands of dd
    const argv = [
      'qemu-img', 'dd', '-f', 'qcow2', '-O', 'raw',
      `if=${resolve(path)}`, `of=${copy}`, `bs=${BLOCK_BYTES}`, `skip=${first}`, `count=${first + count}`,
    ]
    await run(toolchain.command(argv))
    const start = offset - first * BLOCK_BYTES
    const bytes = (await readFile(copy)).subarray(start, start + length)
    if (bytes.length === length) return bytes
    throw new BootwrightError('TOOL_FAILED', `qemu-img dd read ${bytes.length} of ${length} bytes at ${offset}`)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
