import type { Gpt } from '../formats/index.ts'

/** EFI_PARTITION_TABLE_HEADER without what follows it in its block. */
const HEADER_BYTES = 92

/**
 * UEFI_GPT_DATA, which the firmware measures into PCR 5 when it starts the first image from a GPT partition: the header,
 * the number of partitions as a u64, and the entries in use (TCG PC Client Platform Firmware Profile, 10.2.6).
 */
export function gptEventData(gpt: Gpt): Uint8Array {
  const count = Buffer.alloc(8)
  count.writeBigUInt64LE(BigInt(gpt.partitions.length))
  return Buffer.concat([gpt.header.bytes.subarray(0, HEADER_BYTES), count, ...gpt.partitions.map(({ bytes }) => bytes)])
}
