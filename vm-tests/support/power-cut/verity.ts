import { createHash } from 'node:crypto'
import { ByteReader, type DiskReader } from '../../../src/formats/index.ts'

const SIGNATURE = 0x0000_7974_6972_6576n // "verity", NUL, NUL
const HASH_BYTES = 32

/**
 * What dm-verity would find wrong with a file system and its hash tree, both read in full: undefined when every block is what the
 * root hash says.
 */
export function verityProblem(data: DiskReader, tree: DiskReader, rootHash: string): string | undefined {
  const reader = new ByteReader(tree.read(0, 512), 'dm-verity')
  if (reader.u64('signature') !== SIGNATURE) return 'there is no hash tree'
  const [version, hashType] = [reader.u32('version'), reader.u32('hash_type')]
  reader.bytes(16, 'uuid')
  const algorithm = Buffer.from(reader.bytes(32, 'algorithm')).toString('latin1').replace(/\0.*$/s, '')
  const [dataBlockBytes, hashBlockBytes] = [reader.u32('data_block_size'), reader.u32('hash_block_size')]
  const blocks = reader.safeU64('data_blocks')
  const saltBytes = reader.u16('salt_size')
  reader.bytes(6, 'padding')
  const salt = reader.bytes(saltBytes, 'salt')
  if (version !== 1 || hashType !== 1 || algorithm !== 'sha256')
    return `its hash tree is of a kind that is not read here`
  if (blocks * dataBlockBytes > data.size) return `the hash tree is for ${blocks} blocks`

  const digest = (block: Uint8Array) => createHash('sha256').update(salt).update(block).digest()
  const perBlock = hashBlockBytes / HASH_BYTES
  let hashes = Buffer.alloc(blocks * HASH_BYTES)
  for (let index = 0; index < blocks; index++) {
    digest(data.read(index * dataBlockBytes, dataBlockBytes)).copy(hashes, index * HASH_BYTES)
  }
  const levels: Buffer[] = []
  do {
    const count = Math.ceil(hashes.length / HASH_BYTES / perBlock)
    const level = Buffer.alloc(count * hashBlockBytes)
    hashes.copy(level)
    levels.push(level)
    hashes = Buffer.alloc(count * HASH_BYTES)
    for (let index = 0; index < count; index++) {
      digest(level.subarray(index * hashBlockBytes, (index + 1) * hashBlockBytes)).copy(hashes, index * HASH_BYTES)
    }
  } while (hashes.length > HASH_BYTES)
  if (hashes.toString('hex') !== rootHash) return 'a block is not what its root hash says'
  // Behind the superblock, the top of the tree first.
  const stored = tree.read(
    hashBlockBytes,
    levels.reduce((sum, level) => sum + level.length, 0),
  )
  return Buffer.concat(levels.toReversed()).equals(stored) ? undefined : 'a block of its hash tree is not what it was'
}
