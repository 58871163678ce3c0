import { describe, expect, it } from 'vitest'
import { symptomsIn, unexpected } from './symptoms.ts'

const WARNING = '[   12.345678] WARNING: CPU: 0 PID: 1 at kernel/foo.c:12 bar+0x1/0x2'
const BUG = '[    3.0] BUG: kernel NULL pointer dereference, address: 0000000000000008'

describe('symptomsIn()', () => {
  it.for([
    ['kernel', WARNING],
    ['kernel', '[    1.2][    T1] WARNING: mm/slub.c:44 at foo+0x12/0x34, CPU#1: swapper/0/1'],
    ['kernel', BUG],
    ['kernel', '[    3.0] BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2'],
    ['kernel', '[    3.0] kernel BUG at mm/slub.c:1!'],
    ['kernel', '[    3.0] Oops: 0002 [#1] SMP NOPTI'],
    ['kernel', '[    3.0] UBSAN: shift-out-of-bounds in lib/x.c:3:4'],
    ['coredump', '[    9.1] crash[312]: segfault at 0 ip 0000 sp 0000 error 4 in crash[1000]'],
    ['coredump', 'Process 312 (crash) of user 0 dumped core.'],
    ['sanitizer', '==17==ERROR: AddressSanitizer: heap-use-after-free on address 0x1'],
    ['sanitizer', 'src/basic/x.c:12:3: runtime error: left shift of negative value -1'],
  ] as const)('finds a %s in %j', ([kind, line]) => {
    expect(symptomsIn([line]).map((symptom) => symptom.kind)).toEqual([kind])
  })

  it.for([
    '',
    '[    0.1] x86/mm: Memory block size: 128MB',
    'systemd[1]: Warning: the unit was changed on disk',
    '[    0.2] BUGS: none',
    'WARNING: apt does not have a stable CLI interface.',
    'a runtime error: in words only',
    'sshd[99]: fatal: no hostkeys',
  ])('takes %j for what it is', (line) => {
    expect(symptomsIn([line])).toEqual([])
  })

  it('tells the same line once, whatever the clock', () => {
    expect(symptomsIn([BUG, BUG.replace('3.0', '4.5')])).toEqual([
      { kind: 'kernel', line: 'BUG: kernel NULL pointer dereference, address: 0000000000000008' },
    ])
  })
})

describe('unexpected()', () => {
  it('leaves out what is allowed, by text and by pattern', () => {
    const symptoms = symptomsIn([WARNING, BUG])
    const because = 'known'
    expect(unexpected(symptoms, [{ match: 'kernel/foo.c:12', because }], 'kvm')).toEqual([symptoms[1]])
    expect(unexpected(symptoms, [{ match: /^BUG:|foo\.c/g, because }], 'kvm')).toEqual([])
  })

  it('forgives waiting only where the processor is emulated', () => {
    const symptoms = symptomsIn(['[ 9.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]'])
    expect(unexpected(symptoms, [], 'tcg')).toEqual([])
    expect(unexpected(symptoms, [], 'kvm')).toEqual(symptoms)
  })
})
