/**
 * The prediction of the whole cloud image, firmware and disk, in four banks: warm, and how much is read for it.
 *
 * Usage: node bench/predict.ts [rounds]
 */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { build } from '../src/image/index.ts'
import { firmwareNamed, PrivateNetwork } from '../src/machine/index.ts'
import { HASH_ALGORITHMS } from '../src/measure/index.ts'
import { calibrate, predictMachine } from '../src/scene/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { machineStates, verifiedMachine } from '../src/verify/index.ts'
import { keepResult, report, rounds } from './support/rounds.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const MIB = 1024 ** 2

const cache = new Cache()
const toolchain = await setUp()
const places = { imagesDirectory: join(CHECKOUT, 'images'), outDirectory: join(CHECKOUT, 'out') }
const image = await build('cloud', { toolchain, cache, ...places })
const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), 'plain', toolchain, cache)
const { spec } = verifiedMachine({
  image,
  firmware,
  cloud: 'aws',
  accelerator: 'tcg',
  spec: { tpm: { banks: HASH_ALGORITHMS } },
})
const stateParent = machineStates(cacheDirectory())
await mkdir(stateParent, { recursive: true })
const directory = await mkdtemp(join(cacheDirectory(), 'bench-predict-'))
try {
  const context = { toolchain, stateParent, name: basename(directory) }
  const calibration = await (async () => {
    await using network = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] })
    return await calibrate(spec, { ...context, network }, cache)
  })()
  let readBytes = 0
  const rows = await rounds(Number(process.argv[2] ?? 11), [
    {
      name: 'predict',
      // What has been read once is in memory.
      prepare: () => predictMachine(spec, { toolchain, calibration }),
      async run() {
        const before = bytesRead()
        const begun = performance.now()
        const { events } = await predictMachine(spec, { toolchain, calibration })
        const seconds = (performance.now() - begun) / 1000
        readBytes = bytesRead() - before
        if (events.length < 50) throw new Error(`Expected a whole boot, found ${events.length} events`)
        return seconds
      },
    },
  ])
  await report('predict', rows, [{ name: 'predict', limit: 1 }])
  const diskBytes = (await stat(image.diskPath)).size
  const ukiBytes = (await stat(image.ukiPath)).size
  process.stdout.write(
    `  read   ${(readBytes / MIB).toFixed(1)} MiB: the UKI has ${(ukiBytes / MIB).toFixed(1)} MiB, the disk ${(diskBytes / MIB).toFixed(0)} MiB\n`,
  )
  await keepResult('predict-read', { readBytes, ukiBytes, diskBytes })
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** Of this process, by read(2) and its like (proc_pid_io(5)). */
function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
}
