import { describe, expect, it } from 'vitest'
import { cloudNamed, type Provider } from '../../cloud/index.ts'
import type { CheckedCloud } from '../check.ts'
import { asking, type Guest } from '../guest.test-support.ts'
import { verifiedInstance } from '../verified-instance.ts'
import { cloudRecognised, imdsCredentials, imdsHostname } from './cloud.ts'

const BROKER = '/usr/lib/systemd/systemd-imds'
const PROPERTIES = 'udevadm info --query=property --path=/sys/devices/virtual/dmi/id'
const HOSTNAME = `${BROKER} --well-known=hostname --cache=no`

const provider = cloudNamed('aws') as Provider
const made = verifiedInstance(provider, '52:54:00:b0:07:01')
const cloud = { ...made, service: { transcript: { exchanges: [] } } } as unknown as CheckedCloud

function guest(commands: Guest['commands'], files: Guest['files'] = {}): Guest {
  return { commands: commands ?? {}, files: { [BROKER]: '', ...files } }
}

describe.for([cloudRecognised, imdsHostname, imdsCredentials])('$id', (check) => {
  it('is unsupported in no cloud, and without a broker in the image', async () => {
    expect(await asking(check, guest({}))).toEqual({
      status: 'unsupported',
      evidence: ['the machine was started in no cloud'],
    })
    const result = await asking(check, {}, { cloud })
    expect(result.status).toBe('unsupported')
    expect(result.evidence[0]).toContain(BROKER)
  })
})

describe('cloud-recognised', () => {
  it("passes with the vendor that systemd's hwdb has for the cloud", async () => {
    const commands = { [PROPERTIES]: 'MODALIAS=dmi:bvnAmazonEC2:\nIMDS_VENDOR=amazon-ec2\n' }
    expect(await asking(cloudRecognised, guest(commands), { cloud })).toEqual({
      status: 'passed',
      evidence: ['amazon-ec2', 'modalias dmi:bvnAmazonEC2:'],
    })
  })

  it('fails with another vendor or none, and shows what was to be matched', async () => {
    for (const [vendor, found] of [
      ['IMDS_VENDOR=azure\n', '"azure"'],
      ['', '""'],
    ]) {
      const commands = { [PROPERTIES]: `MODALIAS=dmi:bvnX:\n${vendor}` }
      expect(await asking(cloudRecognised, guest(commands), { cloud })).toMatchObject({
        status: 'failed',
        expected: '"amazon-ec2"',
        found,
        evidence: ['modalias dmi:bvnX:'],
      })
    }
  })

  it('is unsupported in a cloud that systemd does not know', async () => {
    const unknown = { ...cloud, provider: { ...provider, hwdb: undefined } }
    for (const check of [cloudRecognised, imdsHostname, imdsCredentials]) {
      expect(await asking(check, guest({}), { cloud: unknown })).toEqual({
        status: 'unsupported',
        evidence: ["systemd's hwdb does not know Amazon EC2"],
      })
    }
  })
})

describe('imds-hostname', () => {
  const { hostname } = made.instance

  it('passes with the hostname of the instance', async () => {
    expect(await asking(imdsHostname, guest({ [HOSTNAME]: hostname }), { cloud })).toMatchObject({ status: 'passed' })
  })

  it('fails with another one, and with the words of a broker that has none', async () => {
    expect(await asking(imdsHostname, guest({ [HOSTNAME]: 'impostor' }), { cloud })).toMatchObject({
      status: 'failed',
      expected: JSON.stringify(hostname),
      found: '"impostor"',
    })
    const result = await asking(imdsHostname, guest({ [HOSTNAME]: [1, '', 'no route\n'] }), { cloud })
    expect(result).toMatchObject({ status: 'failed', found: '""' })
    expect(result.evidence).toContain('no route')
  })
})

describe('in a cloud whose hostname systemd does not know where to find', () => {
  const without = verifiedInstance(cloudNamed('scaleway'), '52:54:00:b0:07:01')
  const there = { ...cloud, ...without }

  it('the hostname is unsupported, and only the user data is imported', async () => {
    expect(await asking(imdsHostname, guest({}), { cloud: there })).toEqual({
      status: 'unsupported',
      evidence: ["systemd's hwdb names no path of the hostname in Scaleway"],
    })
    const [[name, value] = ['', '']] = Object.entries(without.credentials)
    const files = { [`/run/credstore/${name}`]: value }
    expect(await asking(imdsCredentials, guest({}, files), { cloud: there })).toMatchObject({ status: 'passed' })
  })
})

describe('imds-credentials', () => {
  const arrived = Object.fromEntries(
    Object.entries({ 'firstboot.hostname': made.instance.hostname, ...made.credentials }).map(([name, value]) => [
      `/run/credstore/${name}`,
      value,
    ]),
  )

  it('passes when all are there, and does not print them', async () => {
    const result = await asking(imdsCredentials, guest({}, arrived), { cloud })
    expect(result.status).toBe('passed')
    for (const secret of Object.values(made.credentials)) expect(JSON.stringify(result)).not.toContain(secret)
  })

  it.for(Object.keys(arrived))('fails when %s is wrong or missing', async (path) => {
    const wrong = await asking(imdsCredentials, guest({}, { ...arrived, [path]: 'other' }), { cloud })
    expect(wrong).toMatchObject({ status: 'failed', found: '"other"', hint: expect.stringContaining('import') })
    const { [path]: _left, ...rest } = arrived
    expect(await asking(imdsCredentials, guest({}, rest), { cloud })).toMatchObject({
      status: 'failed',
      found: '"(no such credential)"',
    })
  })
})
