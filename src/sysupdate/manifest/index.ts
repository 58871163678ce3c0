export {
  addressOf,
  type FetchedManifest,
  type FetchManifestOptions,
  fetchManifest,
  SIGNATURE_NAMES,
} from './fetch.ts'
export { findKeyrings, type Keyring, type KeyringOptions } from './keyrings.ts'
export type { ManifestEntry } from './manifest.ts'
