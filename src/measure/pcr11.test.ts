import { describe, expect, it } from 'vitest'
import {
  calculatePcr11,
  DEFAULT_PHASE_PATHS,
  digestsOf,
  KERNEL_BOOT_PCR,
  MEASURED_SECTIONS,
  measuredFiles,
  parsePhasePath,
  phaseExtends,
  READY_PHASE_PATH,
  replay,
  ukiExtends,
} from './index.ts'
import { ascii } from './log-writer.test-support.ts'

const linux = ascii('HALLO\n')
const sections = measuredFiles({ '.linux': linux, '.initrd': ascii('foobar\n') })

describe('calculatePcr11()', () => {
  // Values of systemd's TEST-70-TPM2.measure.
  it('gives the known answers, in every bank, with and without a phase', () => {
    expect(calculatePcr11(sections, { phasePaths: [[], ['foo']] })).toEqual([
      { bank: 'sha1', phasePath: [], value: '5177e4ad69db92192c10e5f80402bf81bfec8a81' },
      { bank: 'sha1', phasePath: ['foo'], value: '6765ee305db063040c454d32697d922b3d4f232b' },
      {
        bank: 'sha256',
        phasePath: [],
        value: '37b48bd0b222394dbe3cceff2fca4660c4b0a90ae9369ec90b42f14489989c13',
      },
      {
        bank: 'sha256',
        phasePath: ['foo'],
        value: '21c49c1242042649e09c156546fd7d425ccc3c67359f840507b30be4e0f6f699',
      },
      {
        bank: 'sha384',
        phasePath: [],
        value: '5573f9b2caf55b1d0a6a701f890662d682af961899f0419cf1e2d5ea4a6a68c1f25bd4f5b8a0865eeee82af90f5cb087',
      },
      {
        bank: 'sha384',
        phasePath: ['foo'],
        value: '08d0b003a134878eee552070d51d58abe942f457ca85704131dd36f73728e7327ca837594bc9d5ac7de818d02a3d5dd2',
      },
      {
        bank: 'sha512',
        phasePath: [],
        value:
          '961305d7e9981d6606d1ce97b3a9a1f92610cac033e9c39064895f0e306abc1680463d55767bd98e751eae115bdef3675a9ee1d29ed37da7885b1db45bb2555b',
      },
      {
        bank: 'sha512',
        phasePath: ['foo'],
        value:
          '65120f6ebc04b156421c6f3d543b2fad545363d9ca61c514205459e9c0e0b22e09c23605eae5853e38458ef3ca54e087168af8d8a882a98d220d9391e48be6d0',
      },
    ])
  })

  it('gives the known answer for a kernel alone', () => {
    expect(calculatePcr11(measuredFiles({ '.linux': linux }), { banks: ['sha256'] })).toEqual([
      { bank: 'sha256', phasePath: [], value: '5880291716494ea0e494d0c7f9763708b26b29f2f0ebcc45e9464623283f33f1' },
    ])
  })

  it('gives the known answer for all 14 sections', () => {
    const all = measuredFiles(Object.fromEntries(MEASURED_SECTIONS.map((name) => [name, linux])))
    expect(all).toHaveLength(14)
    expect(calculatePcr11(all, { banks: ['sha1'], phasePaths: [['foo']] })[0]?.value).toBe(
      '8a625cbc3c497b9a86dcf4f6a32582895ce969bb',
    )
  })

  it('hashes zeros up to the size in memory, across more than one block of them', () => {
    const size = 200_001
    const padded = calculatePcr11([{ name: '.linux', bytes: linux, size }])
    const whole = Buffer.alloc(size)
    linux.copy(whole)
    expect(padded).toEqual(calculatePcr11([{ name: '.linux', bytes: whole, size }]))
  })

  it('refuses to hash gigabytes of zeros', () => {
    expect(() => calculatePcr11([{ name: '.linux', bytes: linux, size: 0xffffffff }])).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT' }),
    )
  })

  it('is what a replay of the same records gives', () => {
    const records = [...ukiExtends(sections), ...phaseExtends(READY_PHASE_PATH, ['sha256', 'sha512'])]
    const { values } = replay(records, ['sha256', 'sha512'])
    const [sha256, sha512] = calculatePcr11(sections, { banks: ['sha256', 'sha512'], phasePaths: [READY_PHASE_PATH] })
    expect(values.get('sha256')?.get(KERNEL_BOOT_PCR)).toBe(sha256?.value)
    expect(values.get('sha512')?.get(KERNEL_BOOT_PCR)).toBe(sha512?.value)
  })
})

it('ukiExtends() logs the name with its NUL, then the content', () => {
  const [name, content] = ukiExtends(sections, ['sha256']).map(({ digests }) =>
    Buffer.from(digests.get('sha256') ?? []).toString('hex'),
  )
  expect(name).toBe('0da293e37ad5511c59be47993769aacb91b243f7d010288e118dc90e95aaef5a')
  expect(content).toBe(Buffer.from(digestsOf(['sha256'], linux).get('sha256') ?? []).toString('hex'))
})

it.for([
  ['enter-initrd', '51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed'],
  ['leave-initrd', '3be261aff7db92bf507eae947f4003ffa2bcad0bffe3524601d62d0bc8be7135'],
  ['sysinit', '730bb5a583ba880c277e656d2dc8aba1a314a11b14d25b05153d2bab82567a48'],
  ['ready', 'b24d6d33736ecd5604a4b17bc9c6481039fac362bb7df044ef1c10a2bfd21db6'],
  ['shutdown', '08434ba9cdf55a02284e2913400586cd289878e0f055f7bb0b07ce392caeb989'],
  ['final', '2443630b4620165c8b173e7265e17526fe2787ae594364dd6d839ad58f2fc007'],
] as const)('phaseExtends() hashes "%s" without a NUL', ([word, digest]) => {
  expect(Buffer.from(phaseExtends([word], ['sha256'])[0]?.digests.get('sha256') ?? []).toString('hex')).toBe(digest)
})

it('parsePhasePath() drops empty words', () => {
  expect(parsePhasePath('enter-initrd:leave-initrd')).toEqual(['enter-initrd', 'leave-initrd'])
  expect(parsePhasePath(':a::b:')).toEqual(['a', 'b'])
  expect(parsePhasePath(':')).toEqual([])
  expect(DEFAULT_PHASE_PATHS.map((path) => path.join(':'))).toEqual([
    'enter-initrd',
    'enter-initrd:leave-initrd',
    'enter-initrd:leave-initrd:sysinit',
    'enter-initrd:leave-initrd:sysinit:ready',
  ])
})
