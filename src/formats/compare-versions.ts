/**
 * Orders version strings (UAPI.10 Version Format): negative if `a` is older, 0 if they are equivalent.
 *
 * @example compareVersions('6.1~rc2', '6.1') < 0
 */
export function compareVersions(a: string, b: string): number {
  let [left, right] = [a, b]
  for (;;) {
    // Anything else separates segments, and means nothing by itself.
    left = left.replace(/^[^a-zA-Z0-9~.^-]+/, '')
    right = right.replace(/^[^a-zA-Z0-9~.^-]+/, '')
    if (left.startsWith('~') || right.startsWith('~')) {
      if (left[0] !== right[0]) return left.startsWith('~') ? -1 : 1
      left = left.slice(1)
      right = right.slice(1)
    }
    if (left === '' || right === '') return Math.sign(left.length - right.length)
    let isDecided = 0
    for (const mark of ['-', '^', '.']) {
      const marked = [left.startsWith(mark), right.startsWith(mark)] as const
      if (marked[0] !== marked[1]) {
        isDecided = marked[0] ? -1 : 1
        break
      }
      if (!marked[0]) continue
      left = left.slice(1)
      right = right.slice(1)
    }
    if (isDecided !== 0) return isDecided
    const isNumber = /^[0-9]/.test(left) || /^[0-9]/.test(right)
    const pattern = isNumber ? /^[0-9]*/ : /^[a-zA-Z]*/
    const segments = [pattern.exec(left)?.[0] ?? '', pattern.exec(right)?.[0] ?? ''] as const
    const order = isNumber ? compareNumbers(...segments) : compareWords(...segments)
    if (order !== 0) return order
    left = left.slice(segments[0].length)
    right = right.slice(segments[1].length)
  }
}

/** A number is newer than none, even one of zeros. */
function compareNumbers(a: string, b: string): number {
  if ((a === '') !== (b === '')) return a === '' ? -1 : 1
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  return Math.sign(left.length - right.length) || compareWords(left, right)
}

/** Capitals before small letters, and a word before its continuations. */
function compareWords(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}
