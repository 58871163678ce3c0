import { describe } from 'vitest'
import { expect, test } from '../src/testing/vitest.ts'

describe("firmware with Microsoft's keys", () => {
  test('refuses a loader that nobody signed, in seconds', async ({ boot }) => {
    await using machine = await boot('minimal', {
      firmware: 'microsoft-keys',
      sign: false,
      from: 'cold',
      until: 'power-on',
    })
    await expect(machine).toRefuseBoot({ by: 'firmware', because: 'secure-boot' })
  })
})
