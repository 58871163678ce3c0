import { readFile } from 'node:fs/promises'
import { parsePe } from '../formats/index.ts'
import type { BuiltImage } from '../image/index.ts'
import {
  calculatePcr11,
  comparePcrs,
  explainPcrs,
  KERNEL_BOOT_PCR,
  type PcrBanks,
  READY_PHASE_PATH,
  type TcgEventLog,
  type UserspaceLog,
  ukiProfile,
  userspaceExtends,
} from '../measure/index.ts'

/** What a predictor may look at: the image before it booted, and what the machine says now. */
export interface Measured {
  /** Undefined for a machine that was not made from an image of the project. */
  readonly image: Pick<BuiltImage, 'ukiPath'> | undefined
  readonly pcrs: PcrBanks
  readonly firmwareLog: TcgEventLog | undefined
  readonly userspaceLog: UserspaceLog
}

/** One claim about measurements, and whether it holds. */
export interface Finding {
  readonly isRight: boolean
  readonly text: string
  readonly details: readonly string[]
}

/** A part of what can be predicted. */
export interface Predictor {
  compare(measured: Measured): Promise<Finding[]>
}

/** IMA extends it by itself and keeps a log of its own. */
const IMA_PCR = 10

/** PCR 11: the sections of the UKI, and the phases of the boot. */
const uki: Predictor = {
  async compare({ image, pcrs }) {
    if (image === undefined) {
      return [{ isRight: false, text: 'PCR 11: there is no image to predict it from', details: [] }]
    }
    const file = await readFile(image.ukiPath)
    const { measured: sections } = ukiProfile(parsePe(file), file)
    const values = calculatePcr11(sections, { banks: [...pcrs.keys()], phasePaths: [READY_PHASE_PATH] })
    const expected: PcrBanks = new Map(values.map(({ bank, value }) => [bank, new Map([[KERNEL_BOOT_PCR, value]])]))
    return comparePcrs(expected, pcrs).map(({ bank, pcr, status, expected: value, found }) => ({
      isRight: status === 'equal',
      text: status === 'equal' ? `PCR ${pcr} (${bank}): ${value}` : `PCR ${pcr} (${bank}) is not what the UKI leads to`,
      details: [
        `predicted  ${value}`,
        `found      ${found ?? 'nothing'}`,
        `from       ${sections.map(({ name }) => name).join(', ')}, then ${READY_PHASE_PATH}`,
      ],
    }))
  },
}

/** Every PCR is what the logs replay to. */
const replay: Predictor = {
  async compare({ pcrs, firmwareLog, userspaceLog }) {
    if (firmwareLog === undefined) {
      return [{ isRight: false, text: 'the kernel has no event log of the firmware', details: [] }]
    }
    const compared: PcrBanks = new Map(
      [...pcrs].map(([bank, values]) => [bank, new Map([...values].filter(([pcr]) => pcr !== IMA_PCR))]),
    )
    const unexplained = explainPcrs(firmwareLog, compared, userspaceExtends(userspaceLog))
    if (unexplained.length === 0) {
      const count = [...compared.values()].reduce((sum, values) => sum + values.size, 0)
      const text = `${count} PCR values replay from ${firmwareLog.events.length} firmware and ${userspaceLog.records.length} userspace records`
      return [{ isRight: true, text, details: [] }]
    }
    return unexplained.map(({ bank, pcr, replayed, found, explanation }) => ({
      isRight: false,
      text: `PCR ${pcr} (${bank}) is not what the event logs lead to (${explanation.kind})`,
      details: [`replayed   ${replayed ?? 'nothing'}`, `found      ${found}`],
    }))
  },
}

/** What can be predicted so far. A predictor of more PCRs goes here, and every test that asks profits. */
export const PREDICTORS: readonly Predictor[] = [uki, replay]
