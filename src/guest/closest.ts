/** The name that somebody most likely meant: one that begins like it, else the nearest by edits; undefined when none is near. */
export function closest(typed: string, names: readonly string[]): string | undefined {
  const begins = names.find((name) => typed !== '' && name.startsWith(typed))
  if (begins !== undefined) return begins
  let best: { name: string; edits: number } | undefined
  for (const name of names) {
    const edits = editDistance(typed, name)
    if (edits <= MOST_EDITS && (best === undefined || edits < best.edits)) best = { name, edits }
  }
  return best?.name
}

const MOST_EDITS = 5

/** Levenshtein: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const kept = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(kept, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
