import { describe, expect, it } from 'vitest'
import { planVacuum, type VacuumRequest } from './plan-vacuum.ts'
import type { Instance } from './types.ts'

function instance(word: string): Instance {
  const state = word.startsWith('~') ? 'partial' : word.startsWith('?') ? 'pending' : 'complete'
  const version = word.replace(/^[~?]/, '')
  return { type: 'regular-file', path: `/${word}`, fields: { version }, state, patternIndex: 0 }
}

function removed(installed: string, facts: Partial<VacuumRequest> = {}): string[] {
  return planVacuum({
    installed: installed.split(' ').filter(Boolean).map(instance),
    isEnabled: true,
    isPartition: false,
    emptySlots: 0,
    instancesMax: undefined,
    protectVersions: [],
    acquiring: undefined,
    space: 0,
    ...facts,
  }).map(({ instance: { path }, reason }) => `${reason} ${path}`)
}

describe('planVacuum()', () => {
  it('keeps three files, or as many as it is told, the newest and the protected', () => {
    expect(removed('1 2 10 3')).toEqual(['old /1'])
    expect(removed('1 2 3', { instancesMax: 1 })).toEqual(['old /1', 'old /2'])
    expect(removed('1 2 3', { instancesMax: 2, protectVersions: ['1'] })).toEqual(['old /2'])
    expect(removed('1 2', { instancesMax: 2, space: 1 })).toEqual(['old /1'])
    expect(removed('')).toEqual([])
  })

  it('throws away what is unfinished, but not what is being acquired', () => {
    expect(removed('1 ~2 ?3')).toEqual(['partial /~2', 'pending /?3'])
    expect(removed('1 ?3 ?4', { acquiring: '3' })).toEqual(['pending /?4'])
    expect(removed('1 ?3', { protectVersions: ['3'] })).toEqual([])
  })

  it('empties a disabled target, but partitions only when they have a limit', () => {
    expect(removed('1 2', { isEnabled: false })).toEqual(['disabled /1', 'disabled /2'])
    expect(removed('1 2', { isEnabled: false, isPartition: true })).toEqual([])
    expect(removed('1 2', { isEnabled: false, isPartition: true, instancesMax: 2 })).toHaveLength(2)
  })

  it('frees a slot only when there is none', () => {
    const partition = { isPartition: true, space: 1 } as const
    expect(removed('1', { ...partition, emptySlots: 1 })).toEqual([])
    expect(removed('1 2', partition)).toEqual(['old /1'])
    expect(removed('1 ~2', partition)).toEqual(['partial /~2'])
    expect(() => removed('1', partition)).toThrowError(/needs two/)
  })

  it('says when there can be no room', () => {
    expect(() => removed('1 2', { instancesMax: 2, space: 2 })).toThrowError(/no room/)
    expect(() => removed('1 2', { isPartition: true, space: 1, protectVersions: ['1', '2'] })).toThrowError(/protected/)
  })
})
