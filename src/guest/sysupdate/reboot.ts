import { compareVersions } from '../../formats/index.ts'
import { run } from '../../system/index.ts'
import { type OpenedUpdates, planUpdate, readOsRelease } from '../../sysupdate/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { noTransfers } from './open.ts'
import type { SysupdateOptions } from './options.ts'

/** The version of the image that is running. */
export function bootedVersion(): string {
  const booted = readOsRelease('/').get('IMAGE_VERSION')
  if (booted === undefined || booted === '') throw new ToolFailure('/etc/os-release lacks IMAGE_VERSION= field.')
  return booted
}

/** Whether a newer version is installed than is running, which is told. */
export async function comparePending(
  { verify, compat, verb }: SysupdateOptions,
  output: ToolOutput,
  opened: OpenedUpdates,
): Promise<boolean> {
  const transfers = await opened.discover({ isOffline: true, verify, compat, warn: () => undefined })
  const booted = bootedVersion()
  const { sets } = planUpdate(transfers, compat ? 'original' : 'correct', booted)
  const newest = sets.find(({ isInstalled, isFailed }) => isInstalled && !isFailed)
  if (newest === undefined) throw new ToolFailure("Couldn't find any suitable installed versions.")
  const { version } = newest
  const failed = sets.find(({ isFailed }) => isFailed)
  if (failed !== undefined)
    output.log('warning', `Version '${failed.version}' has burnt all its tries, passing it over.`)
  const order = compareVersions(version, booted)
  const word = order > 0 ? 'is newer than' : order === 0 ? 'matches' : 'is older than'
  const advice = order > 0 && verb === 'pending' ? ' Reboot recommended.' : ''
  output.log('info', `Newest installed version '${version}' ${word} booted version '${booted}'.${advice}`)
  return order > 0
}

/** `reboot`: when something newer waits for it. */
export async function reboot(options: SysupdateOptions, output: ToolOutput, opened: OpenedUpdates): Promise<number> {
  if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noTransfers(options.component)
  if (await comparePending(options, output, opened)) await rebootNow()
  return 0
}

/** Asks logind, as root, past those who only ask to wait: whoever must not be interrupted blocks (org.freedesktop.login1(5)). */
export async function rebootNow(): Promise<void> {
  const [service, path, api] = ['org.freedesktop.login1', '/org/freedesktop/login1', 'org.freedesktop.login1.Manager']
  await run({ argv: ['busctl', 'call', service, path, api, 'RebootWithFlags', 't', CHECK_INHIBITORS] })
}

/** SD_LOGIND_ROOT_CHECK_INHIBITORS: root is kept from rebooting by them as everybody else is. */
const CHECK_INHIBITORS = '1'
