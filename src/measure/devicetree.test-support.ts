/** A devicetree of a root node with these properties (Devicetree Specification 5). */
export function devicetree(properties: readonly (readonly [name: string, value: string])[]): Buffer {
  const names = properties.map(([name]) => `${name}\0`)
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const structure = Buffer.concat([
    u32(1),
    u32(0),
    ...properties.flatMap(([, value], index) => {
      const bytes = Buffer.from(value)
      const padding = Buffer.alloc(-bytes.byteLength & 3)
      return [u32(3), u32(bytes.byteLength), u32(names.slice(0, index).join('').length), bytes, padding]
    }),
    u32(2),
    u32(9),
  ])
  const strings = Buffer.from(names.join(''))
  const [header, reserved] = [40, 16]
  const structureOffset = header + reserved
  const stringsOffset = structureOffset + structure.byteLength
  return Buffer.concat([
    ...[0xd00dfeed, stringsOffset + strings.byteLength, structureOffset, stringsOffset, header, 17, 16, 0].map(u32),
    u32(strings.byteLength),
    u32(structure.byteLength),
    Buffer.alloc(reserved),
    structure,
    strings,
  ])
}
