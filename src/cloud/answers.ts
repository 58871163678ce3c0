import type { HeaderLines, MetadataRequest, MetadataResponse } from './provider.ts'
import type { Signer } from './signer.ts'
import { type Directory, find, type Leaf } from './tree.ts'

/** A whole answer of a content type. */
export function respond(
  status: number,
  contentType: string,
  body: string | Uint8Array,
  headers: HeaderLines = [],
): MetadataResponse<never> {
  return {
    status,
    headers: [['Content-Type', contentType], ...headers],
    body: typeof body === 'string' ? Buffer.from(body) : body,
  }
}

/** Undefined for a method that reads; else the refusal. */
export function refuseWrites(
  { method }: MetadataRequest,
  contentType: string,
  body: string,
): MetadataResponse<never> | undefined {
  return method === 'GET' || method === 'HEAD' ? undefined : respond(405, contentType, body, [['Allow', 'GET, HEAD']])
}

/** A value as it goes out; its own content type where it has one. */
export function leafBody(
  leaf: Leaf,
  nowMs: number,
  signer: Signer,
): { readonly body: Uint8Array; readonly contentType: string | undefined } {
  if (typeof leaf === 'string') return { body: Buffer.from(leaf), contentType: undefined }
  if (typeof leaf === 'function') return { body: Buffer.from(leaf(nowMs, signer)), contentType: undefined }
  return { body: leaf.bytes, contentType: leaf.contentType }
}

/** What lies in a tree of text at a path below some prefix; undefined when nothing does. Listings are text. */
export function treeAnswer(
  root: Directory,
  names: readonly string[],
  nowMs: number,
  signer: Signer,
  contentType: string,
): MetadataResponse<never> | undefined {
  const found = find(root, names)
  if (found === undefined) return undefined
  if ('listing' in found) return respond(200, contentType, found.listing)
  const leaf = leafBody(found.leaf, nowMs, signer)
  return respond(200, leaf.contentType ?? contentType, leaf.body)
}
