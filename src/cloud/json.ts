import { type Directory, type Leaf, withSlash } from './tree.ts'

/** What metadata services answer in JSON. Absent members are left out, as JSON.stringify does. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined }

export type JsonObject = { readonly [name: string]: Json | undefined }

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What lies at a path of names, elements of arrays by their index; undefined when nothing does. */
export function jsonAt(root: Json, names: readonly string[]): Json | undefined {
  let here: Json | undefined = root
  for (const name of names) here = members(here).find(([key]) => key === name)?.[1]
  return here
}

/** Members of an object, elements of an array by index, nothing of anything else; without those that are absent. */
export function members(value: Json | undefined): (readonly [name: string, value: Json])[] {
  const entries: readonly (readonly [string, Json | undefined])[] = Array.isArray(value)
    ? value.map((element: Json, index) => [`${index}`, element] as const)
    : isObject(value)
      ? Object.entries(value)
      : []
  return entries.filter((entry): entry is [string, Json] => entry[1] !== undefined)
}

export interface TextTreeStyle {
  /** Arrays whose elements are the lines of one value; true takes them all. */
  isLines?(path: readonly string[]): boolean
  readonly label?: Directory['label']
}

/**
 * The same document as a tree of text: objects and arrays are directories, also empty ones, and the rest is text, `null`
 * the empty one.
 */
export function textTree(json: JsonObject | readonly Json[], style: TextTreeStyle = {}): Directory {
  return treeAt(json, [], style)
}

function treeAt(json: Json, path: readonly string[], style: TextTreeStyle): Directory {
  const entries = members(json).map(([name, value]): readonly [string, Leaf | Directory] => {
    const below = [...path, name]
    if (Array.isArray(value) && style.isLines?.(below) === true) return [name, value.map(scalarText).join('\n')]
    return [name, typeof value === 'object' && value !== null ? treeAt(value, below, style) : scalarText(value)]
  })
  return { entries: new Map(entries), label: style.label ?? withSlash }
}

export function scalarText(value: Json): string {
  if (value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
