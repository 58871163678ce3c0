import { expect, test } from 'bootwright/vitest'

test('boots, and measures what it should', async ({ boot, image }) => {
  await using machine = await boot(image)
  await machine.unitActive('multi-user.target')
  expect(await machine.run(['systemctl', 'is-system-running'])).toPrint('running')
  await expect(machine).toHaveFailedUnits([])
  await expect(machine).toMeasureAsPredicted()
})
