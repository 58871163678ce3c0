import type { Signer } from './signer.ts'

/** A value at a path: text, bytes with their content type, or text that depends on the time of asking or is signed. */
export type Leaf =
  | string
  | { readonly bytes: Uint8Array; readonly contentType: string }
  | ((nowMs: number, signer: Signer) => string)

/** Names to values, as metadata services list them. */
export interface Directory {
  readonly entries: ReadonlyMap<string, Leaf | Directory>
  /** How an entry is shown in a listing. */
  label(name: string, entry: Leaf | Directory): string
}

export type Found = { readonly leaf: Leaf } | { readonly listing: string }

/** Absent entries are dropped; a directory without any is absent itself. Listings are sorted by code unit. */
export function directory(
  entries:
    | Readonly<Record<string, Leaf | Directory | undefined>>
    | Iterable<readonly [string, Leaf | Directory | undefined]>,
  label: Directory['label'] = withSlash,
): Directory | undefined {
  const pairs = Symbol.iterator in entries ? [...entries] : Object.entries(entries)
  const present = pairs.filter((pair): pair is [string, Leaf | Directory] => pair[1] !== undefined)
  if (present.length === 0) return undefined
  present.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { entries: new Map(present), label }
}

/** Sub-directories end with a slash. */
export function withSlash(name: string, entry: Leaf | Directory): string {
  return isDirectory(entry) ? `${name}/` : name
}

export function isDirectory(entry: Leaf | Directory): entry is Directory {
  return typeof entry === 'object' && 'entries' in entry
}

/**
 * What lies at a path of decoded names; undefined when nothing does. A trailing slash, an empty last name, is allowed
 * for directories only.
 */
export function find(root: Directory, names: readonly string[]): Found | undefined {
  const isSlashed = names.at(-1) === ''
  let here: Leaf | Directory = root
  for (const name of isSlashed ? names.slice(0, -1) : names) {
    const next: Leaf | Directory | undefined = isDirectory(here) ? here.entries.get(name) : undefined
    if (next === undefined) return undefined
    here = next
  }
  if (!isDirectory(here)) return isSlashed ? undefined : { leaf: here }
  const { entries, label } = here
  return { listing: [...entries].map(([name, entry]) => label(name, entry)).join('\n') }
}

/** Makes something of each state of an instance once, as states never change. */
export function oncePerState<State extends object, Made>(make: (state: State) => Made): (state: State) => Made {
  const known = new WeakMap<State, { readonly made: Made }>()
  return (state) => {
    let entry = known.get(state)
    if (entry === undefined) {
      entry = { made: make(state) }
      known.set(state, entry)
    }
    return entry.made
  }
}

/** A directory that is there, though it may have nothing in it. */
export function rootDirectory(
  entries:
    | Readonly<Record<string, Leaf | Directory | undefined>>
    | Iterable<readonly [string, Leaf | Directory | undefined]>,
  label: Directory['label'] = withSlash,
): Directory {
  return directory(entries, label) ?? { entries: new Map(), label }
}
