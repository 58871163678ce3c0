/** A truth value as systemd's tools take it; undefined for anything else. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(?:1|yes|y|true|t|on)$/i.test(text)) return true
  if (/^(?:0|no|n|false|f|off)$/i.test(text)) return false
  return undefined
}

const USEC: ReadonlyMap<string, number> = new Map(
  (
    [
      ['us usec µs μs', 1],
      ['ms msec', 1e3],
      ['s sec second seconds', 1e6],
      ['m min minute minutes', 60e6],
      ['h hr hour hours', 3600e6],
      ['d day days', 86_400e6],
      ['w week weeks', 604_800e6],
      ['M month months', 2_629_800e6],
      ['y year years', 31_557_600e6],
    ] as const
  ).flatMap(([names, usec]) => [...names.split(' ').map((name) => [name, usec] as const), ['', 1e6] as const]),
)

/** A span of time in microseconds (systemd.time(7)): numbers with units, seconds without; `infinity` is what systemd has for it; undefined for anything else. */
export function parseTimeSpan(text: string): number | undefined {
  if (text.trim() === 'infinity') return Number(2n ** 64n)
  let total: number | undefined
  let rest = text.trim()
  while (rest !== '') {
    const [all, digits, unit = ''] = /^(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-zµμ]*)\s*/.exec(rest) ?? []
    const usec = USEC.get(unit)
    if (all === undefined || usec === undefined) return undefined
    total = (total ?? 0) + Math.floor(Number(digits) * usec)
    rest = rest.slice(all.length)
  }
  return total
}

/** A whole number of 32 bits, decimal, or behind `0x`, `0o` or `0b`; undefined for anything else. */
export function parseUint32(text: string): number | undefined {
  if (!/^(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[1-9]\d*|0)$/.test(text)) return undefined
  const number = Number(/^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text)
  return number <= 0xffff_ffff ? number : undefined
}
