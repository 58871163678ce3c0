import { respond } from '../answers.ts'
import { derivedUuid } from '../instance-parts.ts'
import { decodeQuery } from '../path.ts'
import { headerValue, type MetadataRequest, type MetadataResponse } from '../provider.ts'
import type { AzureInstance } from './instance.ts'

export const WIRE_SERVER_IPV4 = '168.63.129.16'
const XML_TYPE = 'text/xml; charset=utf-8'
export const PROTOCOL_VERSION = '2012-11-30'
/** Azure takes so much of a guest's description of why it is not ready. */
const MAX_DESCRIPTION = 512

type Answered = MetadataResponse<AzureInstance>

/** The wire server of Azure's fabric, as the guest agent and cloud-init talk to it. */
export function answerWireServer(request: MetadataRequest, instance: AzureInstance): Answered {
  const query = new Map(decodeQuery(request.query) ?? [])
  const comp = query.get('comp') ?? ''
  const path = request.path.replace(/\/$/, '')
  if (request.method === 'GET' && path === '' && comp === 'versions') return xml(versions())
  // What the agent has seen of its host, without a header for the version.
  if (request.method === 'POST' && path === '/HealthService') return respond(200, 'application/json', '')
  if (path !== '/machine' && !path.startsWith('/machine/'))
    return xml(error('ResourceNotAvailable', 'No such resource'), 404)
  if (headerValue(request.headers, 'x-ms-version') !== PROTOCOL_VERSION) {
    return xml(error('InvalidHeader', `x-ms-version must be ${PROTOCOL_VERSION}`), 400)
  }
  if (request.method === 'GET' && comp === 'goalstate') return xml(goalState(instance))
  if (request.method === 'GET' && comp === 'config') return config(path, query.get('type') ?? '', instance)
  if (request.method === 'POST' && comp === 'health') return takeHealth(request, instance)
  if (request.method === 'POST' && (comp === 'roleProperties' || comp === 'telemetrydata')) return xml('')
  return xml(error('ResourceNotAvailable', 'No such resource'), 404)
}

/** HostGAPlugin, on a port of its own: versions and health only; this fake has no extensions to hand out. */
export function answerHostPlugin(request: MetadataRequest): Answered {
  const isRead = request.method === 'GET'
  if (isRead && request.path === '/versions') return respond(200, 'application/json', JSON.stringify(['2015-09-01']))
  if (isRead && request.path === '/health') return respond(200, 'text/plain', '')
  if (request.method === 'PUT' && ['/status', '/vmAgentLog'].includes(request.path))
    return respond(200, 'text/plain', '')
  return respond(404, 'text/plain', 'Resource Not Found')
}

/** Names of the container and the role instance: part of every address in the goal state. */
function placeOf(instance: AzureInstance): { container: string; role: string } {
  return {
    container: derivedUuid(`container ${instance.id}`),
    role: `${derivedUuid(`deployment ${instance.id}`)}._${instance.name}`,
  }
}

function goalState(instance: AzureInstance): string {
  const { container, role } = placeOf(instance)
  const { incarnation } = instance
  const address = (type: string) =>
    `http://${WIRE_SERVER_IPV4}:80/machine/${container}/${encodeURIComponent(role)}?comp=config&amp;type=${type}&amp;incarnation=${incarnation}`
  const configuration = ['HostingEnvironmentConfig', 'SharedConfig', 'ExtensionsConfig', 'FullConfig'].map((name) =>
    element(name, address(name.replace(/^./, (letter) => letter.toLowerCase()))),
  )
  return document(
    'GoalState',
    element('Version', PROTOCOL_VERSION),
    element('Incarnation', String(incarnation)),
    element(
      'Machine',
      element('ExpectedState', 'Started'),
      element('StopRolesDeadlineHint', '300000'),
      element('LBProbePorts', element('Port', '16001')),
      element('ExpectHealthReport', 'FALSE'),
    ),
    element(
      'Container',
      element('ContainerId', container),
      element(
        'RoleInstanceList',
        element(
          'RoleInstance',
          element('InstanceId', escaped(role)),
          element('State', 'Started'),
          element('Configuration', ...configuration, element('ConfigName', `${escaped(role)}.xml`)),
        ),
      ),
    ),
  )
}

/** What the goal state points at. There are no certificates, so it points at none. */
function config(path: string, type: string, instance: AzureInstance): Answered {
  const { container, role } = placeOf(instance)
  if (path !== `/machine/${container}/${encodeURIComponent(role)}` && path !== `/machine/${container}/${role}`) {
    return xml(error('ResourceNotAvailable', 'No such container or role instance'), 410)
  }
  const name = escaped(instance.name)
  switch (type) {
    case 'hostingEnvironmentConfig':
      return xml(
        `<?xml version="1.0" encoding="utf-8"?>\n<HostingEnvironmentConfig version="1.0.0.0" goalStateIncarnation="${instance.incarnation}"><Deployment name="${derivedUuid(`deployment ${instance.id}`)}"><Service name="bootwright"/><ServiceInstance name="bootwright"/></Deployment><Incarnation number="${instance.incarnation}" instance="${name}"/><Role name="${name}"/></HostingEnvironmentConfig>`,
      )
    case 'sharedConfig':
      return xml(
        `<?xml version="1.0" encoding="utf-8"?>\n<SharedConfig version="1.0.0.0" goalStateIncarnation="${instance.incarnation}"><Deployment name="${derivedUuid(`deployment ${instance.id}`)}" incarnation="0"/><Incarnation number="${instance.incarnation}"/><Role name="${name}"/><Instances><Instance id="${escaped(role)}" address="${instance.interfaces[0].ipv4}"/></Instances></SharedConfig>`,
      )
    case 'extensionsConfig':
      return xml(
        `<?xml version="1.0" encoding="utf-8"?>\n<Extensions version="1.0.0.0" goalStateIncarnation="${instance.incarnation}"><GuestAgentExtension/><Plugins/><PluginSettings/></Extensions>`,
      )
    case 'fullConfig':
      return xml(document('FullConfig'))
    default:
      return xml(error('ResourceNotAvailable', 'No such configuration'), 404)
  }
}

/** Only what is said of the state is looked at; what is no report is refused. */
function takeHealth(request: MetadataRequest, instance: AzureInstance): Answered {
  const body = Buffer.from(request.body).toString()
  const text = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1]?.trim()
  const state = text('State')
  if (state !== 'Ready' && state !== 'NotReady')
    return xml(error('InvalidInput', 'State must be Ready or NotReady'), 400)
  const health = {
    state,
    subStatus: text('SubStatus') ?? '',
    description: (text('Description') ?? '').slice(0, MAX_DESCRIPTION),
  }
  return { ...xml(''), next: { ...instance, health } }
}

function versions(): string {
  return document(
    'Versions',
    element('Preferred', element('Version', PROTOCOL_VERSION)),
    element('Supported', ...['2015-04-05', PROTOCOL_VERSION, '2012-09-15'].map((one) => element('Version', one))),
  )
}

function error(code: string, message: string): string {
  return document('Error', element('Code', code), element('Message', message), element('Details'))
}

function document(name: string, ...content: readonly string[]): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n${element(name, ...content)}`
}

function element(name: string, ...content: readonly string[]): string {
  return `<${name}>${content.join('')}</${name}>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function xml(body: string, status = 200): Answered {
  return respond(status, XML_TYPE, body)
}
