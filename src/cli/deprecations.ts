import { mkdtemp, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { scanTree, type TreeScan, unpackImage } from '../deprecation/index.ts'
import { cacheDirectory, removeTree } from '../toolchain/index.ts'
import { buildImage, checkNames } from './image-steps.ts'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

interface DeprecationsOptions extends ToolchainOptions {
  readonly json: boolean
}

export function deprecationsCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('deprecations'))
    .summary('find uses of interfaces that systemd 261 and 262 announce for removal; exit status 1 when there are any')
    .argument('<image or directory>', 'name of an image, or a directory: the root of a system, or any other')
    .option('--json', 'print what was found as JSON', false)
    .action(async (target: string, options: DeprecationsOptions) => {
      const scan = (await isDirectory(target)) ? await scanTree(target) : await scanImage(target, options, signal)
      process.stdout.write(options.json ? `${JSON.stringify(asJson(target, scan))}\n` : asText(target, scan))
      if (scan.findings.length > 0) process.exitCode = 1
    })
}

async function scanImage(name: string, options: DeprecationsOptions, signal: AbortSignal): Promise<TreeScan> {
  await checkNames({ images: [name] })
  using progress = new Progress()
  const toolchain = await prepareToolchain(options, progress, signal)
  const image = await buildImage(name, toolchain, progress, signal, { snapshot: options.snapshot })
  const directory = await mkdtemp(join(cacheDirectory(), 'scan-'))
  try {
    progress.update('unpack', '')
    await unpackImage(image.diskPath, directory, toolchain)
    progress.update('scan', '')
    const scan = await scanTree(directory, (path) => progress.update('scan', path))
    progress.finish()
    return scan
  } finally {
    await removeTree(directory)
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

function asText(target: string, { findings, files, passedOver }: TreeScan): string {
  const lines = findings.map(({ path, line, text, interface: found }) =>
    [`${path}:${line ?? 'program'}: ${found.id}`, `    ${text}`, `    ${found.fate}. ${found.instead}`].join('\n'),
  )
  const own = passedOver === 0 ? '' : `, ${passedOver} of systemd itself passed over`
  return `${[...lines, `${findings.length} uses in ${files} files of ${target}${own}`].join('\n')}\n`
}

function asJson(target: string, { findings, files, passedOver }: TreeScan): object {
  return {
    schema: 1,
    target,
    files,
    passedOver,
    findings: findings.map(({ path, line, text, interface: { id, fate, instead } }) => ({
      path,
      line: line ?? null,
      text,
      interface: id,
      fate,
      instead,
    })),
  }
}
