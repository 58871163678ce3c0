import type { WellKnown } from '../../imds/index.ts'
import { parseInterface, VarlinkErrorReply, type VarlinkService, varlinkService } from '../../varlink/index.ts'
import type { Metadata } from './metadata.ts'
import { text } from './summary.ts'

const METRICS = parseInterface(`# What a service tells of itself
interface io.systemd.Metrics

# What the values of a family are
type MetricFamilyType(
	# A number that only grows
	counter,
	# A number
	gauge,
	# A text
	string,
	# An object
	object
)

# All values
method List() -> (
	# Name of the family
	name: string,
	# What the value is of
	object: ?string,
	# What tells values of the same thing apart
	fields: ?object,
	# The value
	value: any
)

# All families
method Describe() -> (
	# Name of the family
	name: string,
	# What it is
	description: string,
	# What its values are
	type: MetricFamilyType
)

# There are none
error NoSuchMetric()
`)

const FAMILIES: readonly (readonly [name: string, field: WellKnown | 'vendor', description: string])[] = [
  ['Hostname', 'hostname', 'Host name of the instance'],
  ['IPv4Public', 'ipv4-public', 'Public IPv4 address'],
  ['IPv6Public', 'ipv6-public', 'Public IPv6 address'],
  ['Region', 'region', 'Region of the cloud'],
  ['Vendor', 'vendor', 'Whose cloud it is'],
  ['Zone', 'zone', 'Zone of the cloud'],
]

/** The same fields as in the summary, for systemd-report(1). */
export function metricsService(open: () => Promise<Metadata>): VarlinkService {
  const nameOf = (family: string): string => `io.systemd.InstanceMetadata.${family}`
  return varlinkService(
    { vendor: 'Bootwright', product: 'bootwright (systemd-imds)', version: '262', url: 'https://systemd.io/' },
    [
      {
        description: METRICS,
        streams: ['List', 'Describe'],
        methods: {
          async List({ send }) {
            await using from = await open()
            const found: { name: string; value: string }[] = []
            for (const [family, field] of FAMILIES) {
              const value = await (field === 'vendor' ? from.vendor() : from.get(field).then(text)).catch(
                () => undefined,
              )
              if (value !== undefined && value !== '') found.push({ name: nameOf(family), value })
            }
            const last = found.pop()
            if (last === undefined) throw new VarlinkErrorReply('io.systemd.Metrics.NoSuchMetric')
            for (const one of found) await send(one)
            return last
          },
          async Describe({ send }) {
            const families = FAMILIES.map(([family, , description]) => ({
              name: nameOf(family),
              description,
              type: 'string',
            }))
            for (const one of families.slice(0, -1)) await send(one)
            return families.at(-1) ?? {}
          },
        },
      },
    ],
  )
}
