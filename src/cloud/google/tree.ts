import { type Json, type JsonObject, members, scalarText } from '../json.ts'

export type GoogleNode =
  | { readonly kind: 'directory'; readonly json: Json; readonly children: ReadonlyMap<string, GoogleNode> }
  | { readonly kind: 'value'; readonly json: Json; readonly text: string; readonly isJson: boolean }
  /** Made when it is asked for, and no part of what is asked for recursively. */
  | { readonly kind: 'token' | 'identity'; readonly account: JsonObject }

/** Below these, so many levels of names are the user's own. */
const OWN_LEVELS: Readonly<Record<string, number>> = { attributes: 1, guestAttributes: 2, serviceAccounts: 1 }
/** Arrays that are one value, an element a line; all others are directories by index. */
const LINES = new Set(['dnsServers', 'ipv6s', 'scopes', 'aliases'])

/** The tree of text (`network-interfaces/0/…`) of a document with the names of JSON (`networkInterfaces`). */
export function googleTree(json: Json, key = '', ownLevels = 0): GoogleNode {
  if (key === 'tags') return { kind: 'value', json, text: JSON.stringify(json), isJson: true }
  if (Array.isArray(json) && LINES.has(key)) {
    return { kind: 'value', json, text: json.map((line: Json) => `${scalarText(line)}\n`).join(''), isJson: false }
  }
  if (typeof json !== 'object' || json === null || isRaw(json)) {
    return { kind: 'value', json, text: isRaw(json) ? JSON.stringify(json) : scalarText(json), isJson: false }
  }
  const children = members(json).map(([name, value]): [string, GoogleNode] => {
    const isOwn = ownLevels > 0
    const childKey = key === 'serviceAccounts' ? 'account' : isOwn || Array.isArray(json) ? '' : name
    const levels = isOwn ? ownLevels - 1 : (OWN_LEVELS[childKey] ?? 0)
    return [isOwn || Array.isArray(json) ? name : dashed(name), googleTree(value, childKey, levels)]
  })
  if (key === 'account') {
    for (const kind of ['identity', 'token'] as const) children.push([kind, { kind, account: json as JsonObject }])
  }
  return { kind: 'directory', json, children: new Map(children.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
}

export function nodeAt(root: GoogleNode, names: readonly string[]): GoogleNode | undefined {
  let here: GoogleNode | undefined = root
  for (const name of names) here = here?.kind === 'directory' ? here.children.get(name) : undefined
  return here
}

/** A name a line; directories end with a slash. */
export function listing(children: ReadonlyMap<string, GoogleNode>): string {
  return [...children].map(([name, { kind }]) => `${name}${kind === 'directory' ? '/' : ''}\n`).join('')
}

/** `?recursive=true&alt=text`: a line a value, after its path. */
export function flattened(node: GoogleNode, prefix = ''): string {
  if (node.kind === 'value') return `${prefix} ${node.text.trimEnd()}\n`
  if (node.kind !== 'directory') return ''
  const below = (name: string) => (prefix === '' ? name : `${prefix}/${name}`)
  return [...node.children].map(([name, child]) => flattened(child, below(name))).join('')
}

function dashed(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function isRaw(value: Json): boolean {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value)
}
