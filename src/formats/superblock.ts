import { ByteReader } from './byte-reader.ts'
import { readDisk } from './disk-range.ts'
import type { DiskReader } from './gpt.ts'

/** What a partition holds, in the words of blkid(8). */
export interface FileSystemIdentity {
  /** `ext4`, `crypto_LUKS`, … */
  readonly type: string
  /** In small letters, as blkid(8) prints it; empty where the format has none. */
  readonly uuid: string
  readonly label: string
}

const WHAT = 'superblock'
const HEAD_BYTES = 4096
const EXT_OFFSET = 1024
const EXT_MAGIC = 0xef53
const COMPAT_HAS_JOURNAL = 0x4
/** Features that ext3 does not know; a file system with any of them is ext4 (e2fsprogs, ext2_fs.h). */
const INCOMPAT_OF_EXT3 = 0x2 | 0x4 | 0x10
const RO_COMPAT_OF_EXT3 = 0x1 | 0x2 | 0x4
const EROFS_MAGIC = 0xe0f5e1e2
const LUKS_MAGIC = 'LUKS\xba\xbe'

/** Recognises ext2/3/4, EROFS and LUKS by their superblocks; undefined for anything else. */
export function fileSystemIdentity(partition: DiskReader): FileSystemIdentity | undefined {
  if (partition.size < HEAD_BYTES) return undefined
  const head = readDisk(partition, 0, HEAD_BYTES, WHAT, 'superblock')
  const reader = new ByteReader(head, WHAT)
  reader.seek(EXT_OFFSET + 0x38, 's_magic')
  if (reader.u16('s_magic') === EXT_MAGIC) return readExt(reader)
  reader.seek(EXT_OFFSET, 'magic')
  if (reader.u32('magic') === EROFS_MAGIC) {
    reader.seek(EXT_OFFSET + 48, 'uuid')
    return { type: 'erofs', uuid: uuidText(reader.bytes(16, 'uuid')), label: text(reader.bytes(16, 'volume_name')) }
  }
  if (Buffer.from(head.subarray(0, 6)).toString('latin1') === LUKS_MAGIC) {
    reader.seek(168, 'uuid')
    return { type: 'crypto_LUKS', uuid: text(reader.bytes(40, 'uuid')), label: '' }
  }
  return undefined
}

function readExt(reader: ByteReader): FileSystemIdentity {
  reader.seek(EXT_OFFSET + 0x5c, 's_feature_compat')
  const compatible = reader.u32('s_feature_compat')
  const incompatible = reader.u32('s_feature_incompat')
  const readOnly = reader.u32('s_feature_ro_compat')
  const uuid = uuidText(reader.bytes(16, 's_uuid'))
  const label = text(reader.bytes(16, 's_volume_name'))
  const isExt4 = (incompatible & ~INCOMPAT_OF_EXT3) !== 0 || (readOnly & ~RO_COMPAT_OF_EXT3) !== 0
  const type = isExt4 ? 'ext4' : (compatible & COMPAT_HAS_JOURNAL) !== 0 ? 'ext3' : 'ext2'
  return { type, uuid, label }
}

/** Linux keeps UUIDs of file systems in big-endian order, unlike GUIDs. */
function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').split('\0', 1)[0] ?? ''
}
