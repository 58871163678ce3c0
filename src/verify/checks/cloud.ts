import { type Check, type CheckContext, type CheckedCloud, equal, passed, unsupported } from '../check.ts'

const BROKER = '/usr/lib/systemd/systemd-imds'

/** Undefined when the guest can be asked about its cloud; else what is missing. */
export async function missingForImds({ guest, cloud }: CheckContext): Promise<string | undefined> {
  if (cloud === undefined) return 'the machine was started in no cloud'
  if (!(await guest.exists(BROKER))) return `the image has no ${BROKER} (package systemd-imds)`
  if (cloud.provider.hwdb === undefined) return `systemd's hwdb does not know ${cloud.provider.title}`
  return undefined
}

export const cloudRecognised: Check = {
  id: 'cloud-recognised',
  title: 'The system knows which cloud it is in',
  async run(context) {
    const { cloud, machine } = context
    const missing = await missingForImds(context)
    if (cloud === undefined || missing !== undefined) return unsupported(missing ?? 'no cloud')
    const vendorOfHwdb = cloud.provider.hwdb?.vendor ?? ''
    const { stdout } = await machine.run(['udevadm', 'info', '--query=property', '--path=/sys/devices/virtual/dmi/id'])
    const vendor = /^IMDS_VENDOR=(.*)$/m.exec(stdout)?.[1] ?? ''
    const modalias = /^MODALIAS=(.*)$/m.exec(stdout)?.[1] ?? ''
    return equal(vendorOfHwdb, vendor, `modalias ${modalias}`)
  },
}

export const imdsHostname: Check = {
  id: 'imds-hostname',
  title: 'The metadata broker gives the hostname',
  async run(context) {
    const { cloud, machine } = context
    const missing = await missingForImds(context)
    if (cloud === undefined || missing !== undefined) return unsupported(missing ?? 'no cloud')
    if (!hasHostname(cloud))
      return unsupported(`systemd's hwdb names no path of the hostname in ${cloud.provider.title}`)
    const { exitCode, stdout, stderr } = await machine.runUnchecked([BROKER, '--well-known=hostname', '--cache=no'])
    const asked = `${cloud.service.transcript.exchanges.length} requests reached the metadata service`
    return equal(
      cloud.instance.hostname,
      stdout.toString(),
      asked,
      ...(exitCode === 0 ? [] : [stderr.toString().trim()]),
    )
  },
}

export const imdsCredentials: Check = {
  id: 'imds-credentials',
  title: 'Hostname and user data arrived as credentials',
  async run(context) {
    const { cloud, machine } = context
    const missing = await missingForImds(context)
    if (cloud === undefined || missing !== undefined) return unsupported(missing ?? 'no cloud')
    const hostname = hasHostname(cloud) ? { 'firstboot.hostname': cloud.instance.hostname } : {}
    const expected: Record<string, string> = { ...hostname, ...cloud.credentials }
    const facts: string[] = []
    for (const [name, value] of Object.entries(expected)) {
      const { exitCode, stdout } = await machine.runUnchecked(['cat', '--', `/run/credstore/${name}`])
      const found = exitCode === 0 ? stdout.toString() : '(no such credential)'
      const result = equal(value, found, `credential ${name}`)
      if (result.status === 'failed') {
        return {
          ...result,
          hint: '`journalctl -u systemd-imds-import.service` in the guest tells what the import did.',
        }
      }
      facts.push(`${name} (${Buffer.byteLength(value)} bytes)`)
    }
    return passed(facts.join(', '))
  },
}

function hasHostname({ provider }: CheckedCloud): boolean {
  return provider.hwdb?.wellKnown.hostname !== undefined
}
