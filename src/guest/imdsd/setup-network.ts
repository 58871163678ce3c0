import { join } from 'node:path'
import { type NetworkMode, networkFile, staticRecords, type UsableEndpoint } from '../../imds/index.ts'
import { placeFile } from '../place-file.ts'

/** Writes what brings the network up for the endpoint, below `/run`. Nothing where the mode is `off`. */
export function setUpNetwork(
  runDirectory: string,
  mode: NetworkMode,
  { addressIPv4, addressIPv6 }: UsableEndpoint,
  brokerUid: number | undefined,
): void {
  if (mode === 'off') return
  const file = networkFile({ mode, addressIPv4, addressIPv6, brokerUid })
  placeFile(join(runDirectory, 'systemd/network/85-imds-early.network'), file, 0o644)
  const addresses = [addressIPv4, addressIPv6].filter((address) => address !== undefined)
  if (addresses.length === 0) return
  placeFile(join(runDirectory, 'systemd/resolve/static.d/imds-endpoint.rr'), staticRecords('_imds', addresses), 0o644)
}
