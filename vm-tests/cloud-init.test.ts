import { describe } from 'vitest'
import { cloudNamed, type Exchange, type Instance } from '../src/cloud/index.ts'
import {
  akamai,
  alibaba,
  aws,
  azure,
  type CloudDescription,
  digitalocean,
  exoscale,
  expect,
  google,
  hetzner,
  openstack,
  oracle,
  scaleway,
  type TestMachine,
  tencent,
  test,
  upcloud,
  vultr,
} from '../src/testing/vitest.ts'

/** A document for the first stage, and a program for the last. Host keys of one kind only, as each takes its time. */
const USER_DATA = `#cloud-config
ssh_genkeytypes: [ed25519]
write_files:
- path: /etc/bootwright/written
  content: by the user data
runcmd:
- [sh, -c, 'echo "ran on $(hostname)" >/etc/bootwright/ran']
`
const COMMON = { hostname: 'web-1', userData: USER_DATA } as const
/** Nothing here is about measurements, and without a TPM the firmware does not hash the image. */
const COLD = { from: 'cold', tpm: 'absent' } as const

interface Judgement {
  readonly cloud: CloudDescription
  /** The name of the datasource, as `cloud-init status` has it. */
  readonly datasource: string
  /** What cloud-init makes of the instance; null where it does not ask. */
  readonly facts: (instance: Instance & Record<string, unknown>) => {
    readonly instance_id: unknown
    readonly region: unknown
    readonly availability_zone: unknown
  }
  /** What it does not take from this cloud. */
  readonly ignores?: readonly ('hostname' | 'keys')[]
  /** Whose key it is, when not that of the distribution's user. */
  readonly user?: string
  /** Requests that the cloud itself refuses as well: method, path and status. */
  readonly refused?: readonly string[]
  /** What it has told the cloud. */
  readonly told?: Readonly<Record<string, unknown>>
  /** What cloud-init itself complains of, though everything is as in the cloud. */
  readonly complaints?: readonly RegExp[]
}

const JUDGEMENTS: readonly Judgement[] = [
  {
    cloud: akamai(COMMON),
    datasource: 'akamailocal',
    facts: ({ id, region }) => ({ instance_id: id, region, availability_zone: null }),
    ignores: ['hostname', 'keys'],
  },
  {
    cloud: alibaba(COMMON),
    datasource: 'aliyunlocal',
    facts: ({ id }) => ({ instance_id: id, region: null, availability_zone: null }),
    refused: ['GET /2016-01-01/vendor-data 404'],
    // It trips over every refusal of this cloud: its handler takes one argument too many.
    complaints: [/^Failed fetching vendor-data from url/],
  },
  {
    cloud: aws(COMMON),
    datasource: 'ec2local',
    facts: ({ id, region, zone }) => ({ instance_id: id, region, availability_zone: zone }),
  },
  {
    cloud: azure(COMMON),
    datasource: 'azure',
    facts: ({ id, region }) => ({ instance_id: id, region, availability_zone: '0' }),
    user: 'azureuser',
    told: { health: { state: 'Ready' } },
    // No machine here has the disk that Azure brings what IMDS leaves out on.
    complaints: [/^Unable to find provisioning media, falling back to IMDS/],
  },
  {
    cloud: digitalocean(COMMON),
    datasource: 'digitalocean',
    facts: ({ id, region }) => ({ instance_id: id, region: null, availability_zone: region }),
    complaints: [/^DataSourceDigitalOcean is deprecated/],
  },
  {
    cloud: exoscale(COMMON),
    datasource: 'exoscale',
    facts: ({ id, zone }) => ({ instance_id: id, region: null, availability_zone: zone }),
  },
  {
    // A key there belongs to the user whose name is before it.
    cloud: google({
      ...COMMON,
      sshKeys: cloudNamed('google')
        .instance()
        .sshKeys.map((key) => ({ ...key, name: 'debian' })),
    }),
    datasource: 'gce',
    facts: ({ id, region, zone }) => ({ instance_id: id, region, availability_zone: zone }),
    refused: ['PUT /computeMetadata/v1/instance/guest-attributes/hostkeys/ssh-ed25519 403'],
    // Nothing resolves names before the network is there; images made for Google have this one in /etc/hosts.
    complaints: [/^address "http:\/\/metadata\.google\.internal\/computeMetadata\/v1\/" is not resolvable$/],
  },
  {
    cloud: hetzner(COMMON),
    datasource: 'hetzner',
    facts: ({ id }) => ({ instance_id: id, region: null, availability_zone: null }),
  },
  {
    cloud: openstack(COMMON),
    datasource: 'openstacklocal',
    facts: ({ id, zone }) => ({ instance_id: id, region: null, availability_zone: zone }),
  },
  {
    cloud: oracle(COMMON),
    datasource: 'oracle',
    facts: ({ id }) => ({ instance_id: id, region: null, availability_zone: expect.stringMatching(/-ad-1$/) }),
  },
  {
    cloud: scaleway(COMMON),
    datasource: 'scaleway',
    facts: ({ id, region, zone }) => ({ instance_id: id, region, availability_zone: zone }),
    refused: ['GET /vendor_data/cloud-init 404'],
    // What it makes of IPv6 addresses is no array of its own schema.
    complaints: [/^network-config-v2 failed schema validation!/],
  },
  {
    cloud: upcloud(COMMON),
    datasource: 'upcloudlocal',
    facts: ({ id, region }) => ({ instance_id: id, region: null, availability_zone: region }),
  },
  {
    cloud: vultr(COMMON),
    datasource: 'vultr',
    facts: ({ v2Id }) => ({ instance_id: v2Id, region: 'de', availability_zone: null }),
    // It says itself that routers are to be heeded, with a number where its own schema has a truth value.
    complaints: [/^network-config-v1 failed schema validation!/],
  },
]

describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')(
  "Debian's cloud-init, which finds out by itself where it is",
  () => {
    for (const {
      cloud,
      datasource,
      facts,
      ignores = [],
      user = 'debian',
      told = {},
      refused = [],
      complaints = [],
    } of JUDGEMENTS) {
      test(`takes ${cloud.cloud} for what it is, and does there what it does in the cloud`, async ({ boot }) => {
        await using machine = await boot('cloud-init', { ...COLD, cloud })
        const status = await statusOf(machine)
        expect(status).toMatchObject({ status: 'done', datasource, errors: [] })
        expect(complaintsIn(status, complaints)).toEqual([])

        const instance = machine.cloud?.instance.current as Instance & Record<string, unknown>
        const v1 = JSON.parse((await machine.run(['cloud-init', 'query', 'v1'])).stdout.toString())
        expect(v1).toMatchObject(facts(instance))
        const hostname = ignores.includes('hostname') ? 'localhost' : 'web-1'
        expect(await machine.run(['hostname'])).toPrint(hostname)
        expect(await machine.run(['cat', '/etc/bootwright/written'])).toPrint('by the user data')
        expect(await machine.run(['cat', '/etc/bootwright/ran'])).toPrint(`ran on ${hostname}`)
        expect(instance).toMatchObject(told)
        const keys = await machine.runUnchecked(['cat', `/home/${user}/.ssh/authorized_keys`])
        const openssh = instance.sshKeys.map((key) => key.openssh)
        expect(keys.stdout.toString().trim().split('\n')).toEqual(ignores.includes('keys') ? [''] : openssh)

        const exchanges = machine.cloud?.service.transcript.exchanges ?? []
        expect(exchanges.length).toBeGreaterThan(0)
        expect(exchanges.filter(({ outcome }) => outcome !== 'answered')).toEqual([])
        expect(refusedIn(exchanges)).toEqual(refused)
        // The network that cloud-init has set up by what it was told leads there as well.
        const address = machine.cloud?.provider.endpoints[0].ipv4
        expect(await machine.run(['python3', '-c', ANY_ANSWER, `http://${address}/`])).toPrint(/^[2-5]\d\d$/)
      })
    }

    test('has no datasource for Tencent Cloud, and stays away', async ({ boot }) => {
      await using machine = await boot('cloud-init', { ...COLD, cloud: tencent(COMMON) })
      await expectDisabled(machine)
      expect(machine.cloud?.service.transcript.exchanges).toEqual([])
    })

    test('stays away from a machine in no cloud', async ({ boot }) => {
      await using machine = await boot('cloud-init', COLD)
      await expectDisabled(machine)
    })

    test('takes no instance of Hetzner whose serial number is another one', async ({ boot }) => {
      const { system } = cloudNamed('hetzner').smbios(cloudNamed('hetzner').instance())
      const smbios = { system: { ...system, serialNumber: '1' } }
      await using machine = await boot('cloud-init', { ...COLD, cloud: hetzner(COMMON), smbios })
      const status = await statusOf(machine)
      expect(status).toMatchObject({ datasource: 'none', extended_status: 'degraded done' })
      expect(complaintsIn(status, [])).toContainEqual(expect.stringMatching(/DataSourceHetzner'> failed$/))
      expect((await machine.runUnchecked(['cat', '/etc/bootwright/written'])).exitCode).not.toBe(0)
    })

    for (const cloud of [aws(COMMON), digitalocean(COMMON)]) {
      test(`says that something is wrong where the metadata service of ${cloud.cloud} has nothing`, async ({
        boot,
      }) => {
        await using machine = await boot('cloud-init', { ...COLD, cloud, until: 'power-on' })
        await machine.cloud?.fail({ kind: 'status', status: 404 })
        await machine.booted({ idleMs: 300_000 })
        const status = await statusOf(machine)
        expect(status.datasource).toBe('none')
        expect(status.extended_status).not.toBe('done')
        expect(await machine.run(['hostname'])).toPrint('localhost')
        expect((await machine.runUnchecked(['cat', '/etc/bootwright/written'])).exitCode).not.toBe(0)
      })
    }
  },
)

interface Status {
  readonly status: string
  readonly extended_status: string
  readonly datasource: string
  readonly boot_status_code: string
  readonly errors: readonly string[]
  /** By severity. */
  readonly recoverable_errors: Readonly<Record<string, readonly string[]>>
}

/** The exit status tells of complaints as well, and these are looked at one by one. */
async function statusOf(machine: Pick<TestMachine, 'runUnchecked'>): Promise<Status> {
  const { stdout } = await machine.runUnchecked(['cloud-init', 'status', '--wait', '--format=json'])
  return JSON.parse(stdout.toString())
}

async function expectDisabled(machine: Pick<TestMachine, 'runUnchecked'>): Promise<void> {
  expect(await statusOf(machine)).toMatchObject({
    status: 'disabled',
    boot_status_code: 'disabled-by-generator',
    datasource: '',
  })
}

function complaintsIn({ recoverable_errors }: Status, known: readonly RegExp[]): string[] {
  const all = Object.values(recoverable_errors).flat()
  return all.filter((text) => !known.some((pattern) => pattern.test(text)))
}

/** Each once. */
function refusedIn(exchanges: readonly Exchange[]): string[] {
  const refused = exchanges.filter(({ status }) => status === undefined || status >= 300)
  return [...new Set(refused.map(({ method, target, status }) => `${method} ${target} ${status}`))]
}

const ANY_ANSWER = `
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
`
