import { describe, expect, it } from 'vitest'
import { freeMiB, requireSpace } from './disk-space.ts'

const MIB = 1024 * 1024
const missing = Object.assign(new Error('none'), { code: 'ENOENT' })

describe('freeMiB()', () => {
  it('asks the nearest directory above that exists', async () => {
    const asked: string[] = []
    const statFs = async (path: string) => {
      asked.push(path)
      if (path !== '/a') throw missing
      return { bavail: 3, bsize: MIB }
    }
    expect(await freeMiB('/a/b/c', statFs)).toBe(3)
    expect(asked).toEqual(['/a/b/c', '/a/b', '/a'])
  })
})

describe('requireSpace()', () => {
  const statFs = async () => ({ bavail: 100, bsize: MIB })

  it('rejects before the work begins, with what is needed and what is there', async () => {
    await expect(requireSpace('The tree', '/', 101, { statFs })).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: 'The tree needs 101 MiB below /, but only 100 MiB are free',
    })
  })

  it('accepts exactly enough', async () => {
    await expect(requireSpace('The tree', '/', 100, { statFs })).resolves.toBeUndefined()
  })
})
