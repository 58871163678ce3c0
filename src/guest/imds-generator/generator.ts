import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hardwareProperties, hostSources, kernelItems, networkMode } from '../../imds/index.ts'
import { parseBoolean } from '../parse-values.ts'
import { errnoText } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'

const UNITS = '/usr/lib/systemd/system'
const DMI_DEVICE = 'sys-devices-virtual-dmi-id.device'

export interface GeneratorContext {
  /** This process's own when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Where `/sys`, `/etc`, `/usr` and `/run` are looked for. */
  readonly root?: string
}

/**
 * Drop-in for systemd-imds-generator(8) of systemd 262: pulls in the units of the broker where the machine is one of a cloud, or the
 * kernel command line says so. Returns the exit status.
 */
export async function imdsGenerator(
  argv: readonly string[],
  output: Pick<ToolOutput, 'out' | 'error'>,
  { environment = process.env, root = '/' }: GeneratorContext = {},
): Promise<number> {
  if (argv.length !== 1 && argv.length !== 3) {
    output.error('One or three directories are expected.\n')
    return 1
  }
  const sources = hostSources(undefined, { compat: false, environment })
  const wanted = new Map(kernelItems(sources.kernelCommandLine, sources).map(({ key, value }) => [key, value]))
  try {
    const isEnabled =
      truth(wanted, 'systemd.imds') ?? (!isContainer(root, environment) && hardwareProperties(root).has('IMDS_VENDOR'))
    if (!isEnabled) return 0
    const isImported = truth(wanted, 'systemd.imds.import') ?? sources.isInitrd
    writeUnits(argv[1] ?? argv[0] ?? '', { isImported, hasNetwork: networkMode(sources) !== 'off' })
    return 0
  } catch (error) {
    output.error(`systemd-imds-generator: ${errnoText(error)}\n`)
    return 1
  }
}

/** Undefined where nothing is said, `auto`, or what means nothing. */
function truth(wanted: ReadonlyMap<string, string | undefined>, key: string): boolean | undefined {
  return parseBoolean(wanted.get(key) ?? '')
}

function writeUnits(directory: string, { isImported, hasNetwork }: { isImported: boolean; hasNetwork: boolean }): void {
  const pullIn = (target: string, unit: string): void => {
    mkdirSync(join(directory, `${target}.wants`), { recursive: true })
    symlinkSync(join(UNITS, unit), join(directory, `${target}.wants`, unit))
  }
  if (hasNetwork) {
    pullIn('sysinit.target', 'systemd-imds-early-network.service')
    afterDmi('systemd-imds-early-network.service')
  }
  pullIn('sockets.target', 'systemd-imdsd.socket')
  pullIn('sockets.target', 'systemd-imds-metrics.socket')
  if (isImported) pullIn('sysinit.target', 'systemd-imds-import.service')
  afterDmi('systemd-imdsd@.service')

  /** Which cloud it is, is a property of this device. */
  function afterDmi(unit: string): void {
    mkdirSync(join(directory, `${unit}.d`), { recursive: true })
    const lines = ['[Unit]', `Wants=${DMI_DEVICE}`, `After=${DMI_DEVICE}`, '']
    writeFileSync(join(directory, `${unit}.d`, '50-dmi-id.conf'), lines.join('\n'))
  }
}

function isContainer(root: string, environment: Readonly<Record<string, string | undefined>>): boolean {
  return environment.SYSTEMD_VIRTUALIZATION?.startsWith('container') ?? existsSync(join(root, 'run/systemd/container'))
}
