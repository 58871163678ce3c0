import { Command } from 'commander'
import {
  cloudNamed,
  clouds,
  describedInstance,
  type Exchange,
  LiveInstance,
  type MetadataEndpoint,
  type Provider,
  serveMetadata,
} from '../cloud/index.ts'
import { cloudAuthorityPath, cloudSigner } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import { readInput } from './input-file.ts'
import { wholeNumber } from './whole-number.ts'

interface ServeOptions {
  readonly cloud: string
  readonly port: number
  readonly instance?: string
  readonly hwdbPaths: boolean
  readonly json: boolean
}

export function imdsCommand(signal: AbortSignal): Command {
  const imds = new Command('imds')
    .summary("the clouds' metadata services: list them, or run one on loopback")
    .exitOverride()
  for (const command of [cloudsCommand(), serveCommand(signal)]) imds.addCommand(command.copyInheritedSettings(imds))
  return imds
}

function cloudsCommand(): Command {
  return new Command('clouds')
    .summary('list the clouds that there are, with their facts')
    .option('--json', 'print all facts as JSON', false)
    .action(({ json }: { json: boolean }) => {
      const facts = [...clouds.values()].map(factsOf)
      process.stdout.write(json ? `${JSON.stringify({ schema: 1, clouds: facts })}\n` : facts.map(asText).join(''))
    })
}

function serveCommand(signal: AbortSignal): Command {
  return new Command('serve')
    .summary('run the metadata service of a cloud on loopback, until Ctrl-C')
    .requiredOption('--cloud <name>', 'the cloud')
    .option(
      '--port <number>',
      'where its first endpoint listens, the others behind it; any free ports without',
      wholeNumber('--port', 0, 65_000),
      0,
    )
    .option('--instance <file>', 'JSON with what is different about the instance')
    .option('--hwdb-paths', "have values also where systemd's hwdb looks for them", false)
    .option('--json', 'print addresses and requests as JSON lines', false)
    .action((options: ServeOptions) => serve(options, signal))
}

async function serve({ cloud, port, instance, hwdbPaths, json }: ServeOptions, signal: AbortSignal): Promise<void> {
  const provider = cloudNamed(cloud)
  const live = new LiveInstance(await instanceOf(provider, instance))
  const targets = provider.endpoints.map(({ name }, index) => ({
    host: '127.0.0.1',
    port: port === 0 ? 0 : port + index,
    endpoint: name,
  }))
  const options = { signer: await cloudSigner(), hasHwdbPaths: hwdbPaths }
  await using service = await serveMetadata(provider, live, targets, options)
  const endpoints = service.addresses.map((address, index) => ({
    endpoint: targets[index]?.endpoint,
    url: `http://${address.address}:${address.port}`,
  }))
  const authority = await cloudAuthorityPath()
  if (json) print({ schema: 1, cloud, endpoints, authority })
  else {
    for (const { endpoint, url } of endpoints) process.stdout.write(`${endpoint}: ${url}\n`)
    process.stdout.write(`signed by: ${authority}\n`)
  }
  signal.addEventListener('abort', () => service.transcript.close(), { once: true })
  for await (const exchange of service.transcript) {
    if (json) print(exchange)
    else process.stdout.write(exchangeLine(exchange))
  }
}

async function instanceOf(provider: Provider, file: string | undefined) {
  if (file === undefined) return provider.instance()
  const { bytes } = await readInput(file)
  let description: unknown
  try {
    description = JSON.parse(bytes.toString())
  } catch (cause) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected JSON in ${file}`, {
      cause,
      hint: 'For example {"hostname": "web-1", "userData": "#cloud-config\\n"}.',
    })
  }
  return describedInstance(provider, description)
}

/** What a cloud is known by, and where it answers: its data, without what depends on an instance. */
function factsOf(provider: Provider) {
  const { name, title, hwdb, endpoints, dnsNames, dhcp } = provider
  return { name, title, hwdb: hwdb ?? null, endpoints, dnsNames, dhcp, smbios: provider.smbios(provider.instance()) }
}

function asText({ name, title, hwdb, endpoints, dnsNames }: ReturnType<typeof factsOf>): string {
  const lines = [
    `${name}: ${title}`,
    ...endpoints.map((endpoint) => `  ${endpoint.name}: ${addressesOf(endpoint)}`),
    ...(dnsNames.length > 0 ? [`  names: ${dnsNames.join(', ')}`] : []),
    `  systemd: ${hwdb === null ? 'not in its hwdb' : hwdb.vendor}`,
  ]
  return `${lines.join('\n')}\n`
}

function addressesOf({ ipv4, ipv6, port }: MetadataEndpoint): string {
  const hosts = [ipv4, ipv6 === undefined ? undefined : `[${ipv6}]`].filter((host) => host !== undefined)
  return hosts.map((host) => `${host}:${port}`).join(', ')
}

function exchangeLine({ endpoint, method, target, status, outcome, responseBytes }: Exchange): string {
  // The target is the client's word, and this a terminal.
  const shown = target.replaceAll(/[^\x21-\x7e]/g, '?')
  return `${endpoint} ${method} ${shown}: ${status ?? outcome}, ${responseBytes} bytes\n`
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
