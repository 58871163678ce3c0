import { ByteReader } from './byte-reader.ts'

/** A machine that a `.hwids` section knows (UAPI.5), and what a unified kernel image has for it. */
export interface KnownHardware {
  /** Computer hardware ID, lower-case text. */
  readonly hardwareId: string
  readonly kind: 'devicetree' | 'firmware'
  /** For a person. */
  readonly name: string | undefined
  /** What the devicetree is compatible with, or the identity of the firmware image. */
  readonly resource: string | undefined
}

const WHAT = '.hwids section'
const RECORD_BYTES = 28
const KINDS: ReadonlyMap<number, KnownHardware['kind']> = new Map([
  [1, 'devicetree'],
  [2, 'firmware'],
])
/** The upper four bits of a record's first number are its kind, the rest its size. */
const KIND_SHIFT = 28

/**
 * Reads a `.hwids` section: records of 28 bytes up to one of zeros, then the texts that they point to. Rejects with
 * `MALFORMED_INPUT` what systemd's stub refuses, which then chooses nothing by hardware.
 */
export function parseHardwareIds(bytes: Uint8Array): KnownHardware[] {
  const reader = new ByteReader(bytes, WHAT)
  const known: KnownHardware[] = []
  // The stub does not look at a last record that nothing follows.
  while (reader.remaining > RECORD_BYTES) {
    const descriptor = reader.u32('descriptor')
    if (descriptor === 0) break
    const kind = KINDS.get(descriptor >>> KIND_SHIFT)
    if (kind === undefined) throw reader.malformed('descriptor', `unknown kind ${descriptor >>> KIND_SHIFT}`, 4)
    const hardwareId = reader.guid('CHID')
    const name = textAt(bytes, reader, 'name')
    const resource = textAt(bytes, reader, kind === 'devicetree' ? 'compatible' : 'fwid')
    known.push({ hardwareId, kind, name, resource })
  }
  return known
}

/** 0 stands for none. */
function textAt(bytes: Uint8Array, reader: ByteReader, field: string): string | undefined {
  const offset = reader.u32(field)
  if (offset >= bytes.byteLength) throw reader.malformed(field, `points to ${offset}, behind the end`, 4)
  if (offset === 0) return undefined
  const end = bytes.indexOf(0, offset)
  if (end === -1) throw reader.malformed(field, `the text at ${offset} has no end`, 4)
  return Buffer.from(bytes.subarray(offset, end)).toString('latin1')
}
