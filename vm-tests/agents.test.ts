import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import {
  type AzureInstance,
  cloudNamed,
  type GoogleInstance,
  type Instance,
  type LiveInstance,
} from '../src/cloud/index.ts'
import { azure, expect, google, type TestMachine, test } from '../src/testing/vitest.ts'
import { provisioningMedia } from './support/provisioning-media.ts'

const GOOGLE_AGENT = 'google-guest-agent.service'
const AZURE_AGENT = 'walinuxagent.service'
const PATIENT = { timeout: 300_000, interval: 2_000 }
/** Nothing here is about measurements, and without a TPM the firmware does not hash the image. */
const WITHOUT_TPM = { tpm: 'absent' } as const

type Machine = Pick<TestMachine, 'runUnchecked' | 'cloud'>

/** Minutes under emulation: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')("Debian's google-guest-agent", () => {
  const alice = { name: 'alice', openssh: cloudNamed('google').instance().sshKeys[0]?.openssh ?? '' }
  const bob = { ...alice, name: 'bob' }

  test('makes the users of the keys, follows their changes, runs the startup script, and tells its host keys', async ({
    boot,
  }) => {
    const attributes = { 'startup-script': '#!/bin/sh\necho started >/etc/started\n' }
    const cloud = google({ sshKeys: [alice], attributes, guestAttributes: {} })
    await using machine = await boot('agents', { ...WITHOUT_TPM, cloud })
    // Of sudo, which is not there.
    await machine.run(['mkdir', '/etc/sudoers.d'])
    await machine.run(['systemctl', 'start', GOOGLE_AGENT])
    await expect.poll(() => said(machine, 'cat', '/home/alice/.ssh/authorized_keys'), PATIENT).toContain(alice.openssh)
    expect(await said(machine, 'id', '-nG', 'alice')).toContain('google-sudoers')
    expect(await said(machine, 'cat', '/etc/sudoers.d/google_sudoers')).toContain('%google-sudoers')

    machine.cloud?.instance.update({ sshKeys: [bob] })
    await expect.poll(() => said(machine, 'cat', '/home/bob/.ssh/authorized_keys'), PATIENT).toContain(bob.openssh)
    await expect.poll(() => said(machine, 'id', '-nG', 'alice'), PATIENT).not.toContain('google-sudoers')
    expect(await said(machine, 'cat', '/home/alice/.ssh/authorized_keys')).not.toContain(alice.openssh)

    // Attributes that other products of Google's have: the agent looks for them to know where it is.
    expect(refusedBy(machine)).toEqual([
      'GET /computeMetadata/v1/instance/attributes/cluster-name 404',
      'GET /computeMetadata/v1/instance/attributes/gae_app_bucket 404',
    ])

    await machine.run(['systemctl', 'start', 'google-startup-scripts.service'])
    expect(await said(machine, 'cat', '/etc/started')).toBe('started\n')
    const { guestAttributes } = instanceOf<GoogleInstance>(machine).current
    const hostKey = await said(machine, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub')
    expect(`ssh-ed25519 ${guestAttributes?.hostkeys?.['ssh-ed25519']}`).toBe(hostKey.split(' ', 2).join(' '))
  })

  test('makes nobody of what is no metadata, until it gets them', async ({ boot }) => {
    await using machine = await boot('agents', { ...WITHOUT_TPM, cloud: google({ sshKeys: [alice] }) })
    const asked = () => machine.cloud?.service.transcript.exchanges.length ?? 0
    const notFound = await machine.cloud?.fail({ kind: 'status', status: 404 })
    await machine.run(['systemctl', 'start', '--no-block', GOOGLE_AGENT])
    await expect.poll(asked, PATIENT).toBeGreaterThan(3)
    const garbage = await machine.cloud?.fail('garbage')
    await notFound?.end()
    const before = asked()
    await expect.poll(asked, PATIENT).toBeGreaterThan(before + 3)
    expect((await machine.runUnchecked(['id', 'alice'])).exitCode).not.toBe(0)
    await garbage?.end()
    await expect.poll(() => said(machine, 'cat', '/home/alice/.ssh/authorized_keys'), PATIENT).toContain(alice.openssh)
  })
})

/** Minutes under emulation: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')("Debian's waagent", () => {
  const userData = Buffer.from('of web-1')
  const facts = { ...(cloudNamed('azure').instance() as AzureInstance), hostname: 'web-1', userData }
  let directory: string
  let medium: { readonly name: string; readonly sizeMiB: number; readonly contentPath: string }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-agents-'))
    medium = { name: 'provisioning', sizeMiB: 1, contentPath: await provisioningMedia(directory, facts) }
  })
  afterAll(() => rm(directory, { recursive: true }))

  const health = (machine: Machine) => instanceOf<AzureInstance>(machine).current.health
  const log = (machine: Machine) => said(machine, 'cat', '/var/log/waagent.log')
  const provisioned = async (machine: Machine) =>
    (await machine.runUnchecked(['test', '-e', '/var/lib/waagent/provisioned'])).exitCode === 0

  test('sets up the machine, reports to the wire server that it is ready, and follows the goal state', async ({
    boot,
  }) => {
    await using machine = await boot('agents', { ...WITHOUT_TPM, cloud: azure({ hostname: 'web-1' }), disks: [medium] })
    await machine.run(['systemctl', 'start', AZURE_AGENT])
    await expect.poll(() => health(machine)?.state, PATIENT).toBe('Ready')
    expect(await provisioned(machine)).toBe(true)
    expect(await said(machine, 'hostname')).toBe('web-1\n')
    expect(await said(machine, 'cat', '/home/azureuser/.ssh/authorized_keys')).toContain(facts.sshKeys[0]?.openssh)
    expect(await said(machine, 'cat', '/var/lib/waagent/CustomData')).toBe(userData.toString('base64'))

    await expect.poll(() => log(machine), PATIENT).toContain('ProcessExtensionsGoalState completed [incarnation_1')
    instanceOf<AzureInstance>(machine).update({ incarnation: 2 })
    await expect.poll(() => log(machine), PATIENT).toContain('ProcessExtensionsGoalState completed [incarnation_2')
    const lines = (await log(machine)).split('\n').filter((line) => / (WARNING|ERROR) /.test(line))
    expect(lines.filter((line) => !KNOWN_COMPLAINTS.test(line))).toEqual([])
    expect(refusedBy(machine)).toEqual(['GET /vmSettings 404'])
  })

  test('reports that it failed where nothing says whom to set up for', async ({ boot }) => {
    await using machine = await boot('agents', { ...WITHOUT_TPM, cloud: azure() })
    await machine.run(['systemctl', 'start', AZURE_AGENT])
    await expect
      .poll(() => health(machine), PATIENT)
      .toMatchObject({
        state: 'NotReady',
        subStatus: 'ProvisioningFailed',
        description: expect.stringContaining('dvd'),
      })
    expect(await provisioned(machine)).toBe(false)
  })

  test.for([{ kind: 'status', status: 404 } as const, 'garbage' as const])(
    'sets up nothing while the wire server gives %j',
    async (fault, { boot }) => {
      await using machine = await boot('agents', {
        ...WITHOUT_TPM,
        cloud: azure({ hostname: 'web-1' }),
        disks: [medium],
      })
      const active = await machine.cloud?.fail(fault)
      await machine.run(['systemctl', 'start', AZURE_AGENT])
      await expect.poll(() => machine.cloud?.service.transcript.exchanges.length, PATIENT).toBeGreaterThan(1)
      await expect.poll(() => log(machine), PATIENT).toMatch(/WireServer is not responding|Protocol endpoint not found/)
      expect(await provisioned(machine)).toBe(false)
      expect(await said(machine, 'hostname')).not.toBe('web-1\n')
      await active?.end()
      await expect.poll(() => health(machine)?.state, PATIENT).toBe('Ready')
    },
  )
})

/** Of the image, which has no ifupdown and no dhclient, of the machine, which has no resource disk, and of a goal state without agents. */
const KNOWN_COMPLAINTS =
  /ifdown|failed to restart enp|Dhcp client is not running|ResourceDiskError|AgentFamilyMissingError|eject|Could not load ATAPI/

function instanceOf<I extends Instance>({ cloud }: Machine): LiveInstance<I> {
  if (cloud === undefined) throw new Error('The machine is in no cloud')
  return cloud.instance as unknown as LiveInstance<I>
}

/** Standard output, whatever becomes of the command. */
async function said(machine: Machine, ...argv: string[]): Promise<string> {
  return (await machine.runUnchecked(argv)).stdout.toString()
}

/** Each once. */
function refusedBy({ cloud }: Machine): string[] {
  const refused = (cloud?.service.transcript.exchanges ?? []).filter(
    ({ status }) => status === undefined || status >= 300,
  )
  return [...new Set(refused.map(({ method, target, status }) => `${method} ${target} ${status}`))].sort()
}
