import { describe, expect, it } from 'vitest'
import { parsePattern } from './pattern.ts'
import type { PlanBehaviour } from './plan.ts'
import { planVacuum, type VacuumRequest } from './plan-vacuum.ts'
import type { Instance, Resource } from './types.ts'

const resource = (type: Resource['type']): Resource => ({
  type,
  path: '/',
  pathRelativeTo: 'root',
  patterns: [parsePattern('@v')],
  partitionType: '8484680c-9521-48c6-9c11-b0720656f69e',
})
const PARTITION = { target: resource('partition') }

function instance(word: string): Instance {
  const state = word.startsWith('~') ? 'partial' : word.startsWith('?') ? 'pending' : 'complete'
  const version = word.replace(/^[~?]/, '')
  return { type: 'regular-file', path: `/${word}`, fields: { version }, state, patternIndex: 0 }
}

function removed(
  installed: string,
  facts: Partial<VacuumRequest> = {},
  behaviour: PlanBehaviour = 'correct',
): string[] {
  const request = {
    installed: installed.split(' ').filter(Boolean).map(instance),
    isEnabled: true,
    target: resource('regular-file'),
    emptySlots: 0,
    instancesMax: undefined,
    protectVersions: [],
    acquiring: undefined,
    space: 0,
    ...facts,
  }
  return planVacuum(request, behaviour).map(({ instance: { path }, reason }) => `${reason} ${path}`)
}

describe('planVacuum()', () => {
  it('keeps three files, or as many as it is told, the newest and the protected', () => {
    expect(removed('1 2 10 3')).toEqual(['old /1'])
    expect(removed('1 2 3', { instancesMax: 1 })).toEqual(['old /1', 'old /2'])
    expect(removed('1 2 3', { instancesMax: 2, protectVersions: ['1'] })).toEqual(['old /2'])
    expect(removed('1 2', { instancesMax: 2, space: 1 })).toEqual(['old /1'])
    expect(removed('')).toEqual([])
  })

  it('lets go of what does not boot before all others', () => {
    expect(removed('1 2 3 4', { failedVersions: ['4'] })).toEqual(['old /4'])
    expect(removed('1 2 3 4', { failedVersions: ['4'], protectVersions: ['4'] })).toEqual(['old /1'])
    expect(removed('2 3', { ...PARTITION, space: 1, failedVersions: ['3'] })).toEqual(['old /3'])
  })

  it('throws away what is unfinished, but not what is being acquired', () => {
    expect(removed('1 ~2 ?3')).toEqual(['partial /~2', 'pending /?3'])
    expect(removed('1 ?3 ?4', { acquiring: '3' })).toEqual(['pending /?4'])
    expect(removed('1 ?3', { protectVersions: ['3'] })).toEqual([])
  })

  it('empties a disabled target, but partitions only when they have a limit', () => {
    expect(removed('1 2', { isEnabled: false })).toEqual(['disabled /1', 'disabled /2'])
    expect(removed('1 2', { isEnabled: false, ...PARTITION })).toEqual([])
    expect(removed('1 2', { isEnabled: false, ...PARTITION, instancesMax: 2 })).toHaveLength(2)
  })

  it('frees a slot only when there is none', () => {
    const partition = { ...PARTITION, space: 1 }
    expect(removed('1', { ...partition, emptySlots: 1 })).toEqual([])
    expect(removed('1 2', partition)).toEqual(['old /1'])
    expect(removed('1 ~2', partition)).toEqual(['partial /~2'])
    expect(() => removed('1', partition)).toThrowError(
      "less than two partition slots of the right type 8484680c-9521-48c6-9c11-b0720656f69e (usr-x86-64) and matching the expected pattern '@v'",
    )
    expect(() => removed('1 2', { ...PARTITION, space: 2 })).toThrowError('Asked to empty all partition table slots')
  })

  it('keeps of a disabled target what is protected', () => {
    expect(removed('1 2', { isEnabled: false, protectVersions: ['1'] })).toEqual(['disabled /2'])
  })

  it('says when there can be no room, or lets the original find out', () => {
    expect(() => removed('1 2', { instancesMax: 2, space: 2 })).toThrowError('One instance must always remain')
    expect(() => removed('1 2', { instancesMax: 2, space: 3 })).toThrowError('more instances than total maximum')
    const full = { ...PARTITION, space: 1, protectVersions: ['1', '2'] }
    expect(() => removed('1 2', full)).toThrowError('is protected (1, 2): there is no room')
    expect(removed('1 2', full, 'original')).toEqual([])
    // Files can be more than there should be.
    expect(removed('1 2', { instancesMax: 2, space: 1, protectVersions: ['1', '2'] })).toEqual([])
  })
})
