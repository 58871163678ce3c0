/**
 * Runs one SDK against a metadata service on loopback: `node real-clients.test-support.ts <client> <port> [<other port>]`.
 *
 * Their built-in addresses are real ones. So the environment must name ours, and nothing in this process connects to
 * anywhere else, whatever they try.
 */
import { Socket } from 'node:net'

const SWITCHES: Readonly<Record<string, string>> = {
  'ec2-metadata-service': 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'credential-provider-imds': 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'gcp-metadata': 'GCE_METADATA_HOST',
  'managed-identity': 'AZURE_POD_IDENTITY_AUTHORITY_HOST',
  // It is told in its own words, below.
  'oci-common': 'BOOTWRIGHT_OCI_METADATA',
  // What the guard itself is tried with.
  escape: 'BOOTWRIGHT_ESCAPE',
}

const [client = '', ...ports] = process.argv.slice(2)
const [port, otherPort] = ports
const endpoint = `http://127.0.0.1:${port}`
if (process.env[SWITCHES[client] ?? ''] !== endpoint) {
  throw new Error(
    `${client} must be sent to ${endpoint} by its environment, found ${process.env[SWITCHES[client] ?? '']}`,
  )
}

const connect = Socket.prototype.connect
Socket.prototype.connect = function guarded(this: Socket, ...words: unknown[]): Socket {
  // Node passes the arguments of net.connect() on as one normalised array.
  const [first] = words.flat() as { readonly host?: unknown; readonly port?: unknown }[]
  if (first?.host !== '127.0.0.1' || !ports.includes(String(first.port))) {
    process.stderr.write(`refused to connect to ${JSON.stringify(first)}\n`)
    process.exit(3)
  }
  return Reflect.apply(connect, this, words)
}

const RUNS: Readonly<Record<string, () => Promise<unknown>>> = {
  'ec2-metadata-service': async () => {
    const { MetadataService } = await import('@aws-sdk/ec2-metadata-service')
    const service = new MetadataService({})
    const absent = await service.request('/latest/meta-data/nothing', {}).catch((error: Error) => error.message)
    return {
      token: await service.fetchMetadataToken(),
      id: await service.request('/latest/meta-data/instance-id', {}),
      listing: await service.request('/latest/meta-data/placement/', {}),
      absent,
    }
  },
  'credential-provider-imds': async () => {
    const { fromInstanceMetadata } = await import('@smithy/credential-provider-imds')
    return fromInstanceMetadata({ maxRetries: 0 })()
  },
  'gcp-metadata': async () => {
    const metadata = await import('gcp-metadata')
    return {
      id: String(await metadata.instance('id')),
      zone: await metadata.instance('zone'),
      attributes: await metadata.instance({ property: 'attributes/', params: { recursive: 'true' } }),
      token: await metadata.instance('service-accounts/default/token'),
      identity: await metadata.instance({
        property: 'service-accounts/default/identity',
        params: { audience: 'https://example', format: 'full' },
      }),
      project: await metadata.project('project-id'),
      universe: await metadata.universe('universe-domain'),
      absent: await metadata.instance('nothing').catch(({ status }: { status?: number }) => status),
    }
  },
  'managed-identity': async () => {
    const { ManagedIdentityCredential } = await import('@azure/identity')
    const clientId = process.env.BOOTWRIGHT_CLIENT_ID
    const credential =
      clientId === undefined ? new ManagedIdentityCredential() : new ManagedIdentityCredential({ clientId })
    return credential.getToken('https://vault.azure.net/.default')
  },
  'oci-common': async () => {
    const { InstancePrincipalsAuthenticationDetailsProviderBuilder } = await import('oci-common')
    const builder = new InstancePrincipalsAuthenticationDetailsProviderBuilder()
    builder.metadataBaseUrl = `${endpoint}/opc/v2/`
    builder.federationEndpoint = `http://127.0.0.1:${otherPort}`
    const provider = await builder.build()
    return { tenancy: builder.tenancyId, keyId: await provider.getKeyId() }
  },
  escape: async () => (await fetch('http://127.0.0.2/')).status,
}

process.stdout.write(JSON.stringify(await RUNS[client]?.()))
